/*
 * Prefault engine: the threads that work through a plan
 *
 * Each place has a queue, and workers are spread over the places; one that
 * finds its queue empty helps at the next.  Each worker takes a chunk,
 * populates the host memory behind it and then maps it for the guest, until the
 * plan is done or the engine is stopped.  The work on a chunk is in work.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_ENGINE_H
#define HW_CORE_PREFAULT_ENGINE_H

#include "work.h"

typedef struct PrefaultEngine PrefaultEngine;

/**
 * prefault_engine_start: start workers on a plan
 * @plan: the chunks; stays the caller's and lives longer than the engine
 * @ops: the operations on a chunk; likewise
 * @opaque: handed to each operation
 * @threads: number of workers; 0 if only prefault_engine_work() is to work
 *
 * If not so many threads can be made there are fewer workers; without any the
 * work fails, and nobody calls @done.
 *
 * Context: any thread.
 *
 * Returns: the engine, for prefault_engine_free().
 */
PrefaultEngine *prefault_engine_start(const PrefaultPlan *plan,
                                      const PrefaultOps *ops,
                                      void *opaque, unsigned threads);

/**
 * prefault_engine_work: be a worker of an engine without threads
 * @engine: the engine
 * @go_on: asked after each chunk
 * @opaque: handed to @go_on
 *
 * Returns when the plan is done, @go_on says false, or the engine is stopped.
 *
 * Context: any thread, one at a time.
 */
void prefault_engine_work(PrefaultEngine *engine, bool (*go_on)(void *opaque),
                          void *opaque);

/**
 * prefault_engine_cancel: stop early
 * @engine: the engine
 *
 * Returns at once; workers stop after the operation they are in.  Does nothing
 * if the run is over or being stopped for another reason.
 *
 * Context: any thread.
 */
void prefault_engine_cancel(PrefaultEngine *engine);

/**
 * prefault_engine_invalidate: stop because the plan no longer holds
 * @engine: the engine
 *
 * As prefault_engine_cancel(), but the outcome is PREFAULT_OUTCOME_STALE.  A
 * thread that changes the memory map closes the gate (gate.h) as well.
 *
 * Context: any thread.
 */
void prefault_engine_invalidate(PrefaultEngine *engine);

/**
 * prefault_engine_workers: the workers that were made
 * @engine: the engine
 * @busy: set to the number of them that have not finished; NULL if not wanted
 *
 * Context: any thread.
 *
 * Returns: their number.
 */
unsigned prefault_engine_workers(PrefaultEngine *engine, unsigned *busy);

/**
 * prefault_engine_wait: wait until all workers are gone
 * @engine: the engine
 *
 * Context: any thread but a worker; one at a time.
 *
 * Returns: how the run ended.
 */
PrefaultOutcome prefault_engine_wait(PrefaultEngine *engine);

/**
 * prefault_engine_progress: figures and state of a run
 * @engine: the engine
 * @progress: filled in; NULL if not wanted
 *
 * Context: any thread.
 *
 * Returns: how far the run is.
 */
PrefaultOutcome prefault_engine_progress(PrefaultEngine *engine,
                                         PrefaultProgress *progress);

/**
 * prefault_engine_failure: the first failure, see prefault_tally_failure()
 * @engine: the engine
 * @errp: set if there was one
 *
 * Context: any thread.
 */
void prefault_engine_failure(PrefaultEngine *engine, Error **errp);

/**
 * prefault_engine_free: cancel, wait and free
 * @engine: the engine; NULL does nothing
 *
 * Context: any thread but a worker.
 */
void prefault_engine_free(PrefaultEngine *engine);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PrefaultEngine, prefault_engine_free)

#endif /* HW_CORE_PREFAULT_ENGINE_H */
