/*
 * Prefault engine: the threads that work through a plan
 *
 * A queue for each place, some workers, spread over the places; one that finds
 * its queue empty helps at the next.  Each worker takes a chunk, populates the
 * host memory behind it and then maps it for the guest, until the plan is done
 * or somebody stops it.  What "populate" and "map" do is the caller's: the
 * engine knows their error contract, not KVM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_ENGINE_H
#define HW_CORE_PREFAULT_ENGINE_H

#include "plan.h"
#include "qemu/thread.h"

/**
 * PrefaultEngineOps: what the workers do; called without any lock, nor the BQL
 *
 * @enter: the calling worker goes on with chunks of @place: it may move itself
 *         there.  NULL: places do not matter.
 * @present: for a chunk that is only mapped where the host has it: sets
 *           *@present for its first bytes, and returns for how many of them
 *           that holds.  NULL if the plan has no such chunk.
 * @populate: make @chunk's host memory present and writable.  Not called for
 *            private memory, which has none.  Returns 0 or
 *            -errno: -EINTR and -EAGAIN are tried again, -EHWPOISON leads to
 *            smaller pieces until the poisoned page is found and left out,
 *            -ECANCELED means that the plan is stale, any other error ends the
 *            run.
 * @map: try once to map @size bytes of guest memory from @gpa on, for worker
 *       number @worker; sets *@mapped to the bytes done, also if it fails.
 *       Returns 0 or -errno as KVM_PRE_FAULT_MEMORY does: -EINTR, -ETIME (no
 *       page in the time that a call has) and -EAGAIN are tried again, a limited
 *       number of times; a page that is interrupted for ever, or poisoned, is
 *       left out; -EOPNOTSUPP, -ENOEXEC, -EBUSY and -ENODEV mean not yet, and
 *       the chunk is left for later; -ECANCELED as above; any other error, or
 *       success without progress, ends the run.  NULL: populate only.
 * @settle: @piece was mapped, or, if not @mapped, never can be.  NULL: nobody
 *          wants to know.
 * @later: @piece is left for later.  NULL likewise.
 * @done: the last worker has nothing left to do.  Called once, from that
 *        worker: it may schedule something, but not wait for the engine.  NULL:
 *        nobody wants to know.
 */
typedef struct PrefaultEngineOps {
    void (*enter)(void *opaque, unsigned place);
    uint64_t (*present)(void *opaque, const PrefaultChunk *chunk,
                        bool *present);
    int (*populate)(void *opaque, const PrefaultChunk *chunk);
    int (*map)(void *opaque, unsigned worker, hwaddr gpa, uint64_t size,
               uint64_t *mapped);
    void (*settle)(void *opaque, const PrefaultChunk *piece, bool mapped);
    void (*later)(void *opaque, const PrefaultChunk *piece);
    void (*done)(void *opaque);
} PrefaultEngineOps;

/**
 * PrefaultOutcome: how far a run got, or how it ended
 *
 * @PREFAULT_OUTCOME_RUNNING: workers are busy
 * @PREFAULT_OUTCOME_COMPLETED: every chunk was handled
 * @PREFAULT_OUTCOME_CANCELLED: prefault_engine_cancel() came first
 * @PREFAULT_OUTCOME_STALE: prefault_engine_invalidate() came first: the plan
 *                          is of a memory map that is no more
 * @PREFAULT_OUTCOME_FAILED: an operation failed
 */
typedef enum PrefaultOutcome {
    PREFAULT_OUTCOME_RUNNING,
    PREFAULT_OUTCOME_COMPLETED,
    PREFAULT_OUTCOME_CANCELLED,
    PREFAULT_OUTCOME_STALE,
    PREFAULT_OUTCOME_FAILED,
} PrefaultOutcome;

/**
 * PrefaultProgress: figures of a run; each only grows
 * @populated: bytes whose host memory is present
 * @mapped: bytes mapped for the guest
 * @failed: bytes left out because the page is poisoned or cannot be mapped
 * @private_mapped: bytes of @mapped that are private memory
 * @later: bytes that cannot be mapped yet: no vCPU can do it now, writes to
 *         them are tracked, or they are private memory and the guest's launch
 *         is not finished
 * @private_later: bytes of @later that are private memory
 */
typedef struct PrefaultProgress {
    uint64_t populated;
    uint64_t mapped;
    uint64_t failed;
    uint64_t private_mapped;
    uint64_t later;
    uint64_t private_later;
} PrefaultProgress;

typedef struct PrefaultEngine PrefaultEngine;

/**
 * prefault_engine_start: start workers on a plan
 * @plan: what to do; stays the caller's and lives longer than the engine
 * @ops: how to do it; likewise
 * @opaque: handed to each operation
 * @threads: number of workers; 0 if only prefault_engine_work() is to work
 *
 * Context: any thread.
 *
 * Returns: the engine, for prefault_engine_free().
 */
PrefaultEngine *prefault_engine_start(const PrefaultPlan *plan,
                                      const PrefaultEngineOps *ops,
                                      void *opaque, unsigned threads);

/**
 * prefault_engine_work: be a worker of an engine without threads
 * @engine: the engine
 * @go_on: asked after each chunk, with the engine's opaque
 *
 * Returns when the plan is done, @go_on says false, or the engine is stopped.
 *
 * Context: any thread, one at a time.
 */
void prefault_engine_work(PrefaultEngine *engine, bool (*go_on)(void *opaque));

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
 * As prefault_engine_cancel(), for another reason.  Whoever changes the memory
 * map closes the gate (gate.h) as well.
 *
 * Context: any thread.
 */
void prefault_engine_invalidate(PrefaultEngine *engine);

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
 * prefault_engine_failure: why a run failed
 * @engine: the engine, whose outcome is PREFAULT_OUTCOME_FAILED
 * @errp: set to a sentence with the step, the guest address range and the
 *        cause
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
