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
 * @populate: make @chunk's host memory present and writable.  Not called for
 *            private memory, which has none.  Returns 0 or
 *            -errno: -EINTR and -EAGAIN are tried again, -EHWPOISON leads to
 *            smaller pieces until the poisoned page is found and left out,
 *            any other error ends the run.
 * @map: try once to map @size bytes of guest memory from @gpa on, for worker
 *       number @worker; sets *@mapped to the bytes done, also if it fails.
 *       Returns 0 or -errno as KVM_PRE_FAULT_MEMORY does: -EINTR and -EAGAIN
 *       are tried again, a limited number of times; a page that is interrupted
 *       for ever, or poisoned, is left out; -EOPNOTSUPP for private memory means not yet, and
 *       the chunk is left for later; any other error, or success without
 *       progress, ends the run.  NULL: populate only.
 * @kick: make a @map that is under way in @thread return -EINTR soon.  Called
 *        again and again while somebody waits for it.  NULL: @map is short.
 * @done: the last worker has nothing left to do.  Called once, from that
 *        worker: it may schedule something, but not wait for the engine.
 */
typedef struct PrefaultEngineOps {
    void (*enter)(void *opaque, unsigned place);
    int (*populate)(void *opaque, const PrefaultChunk *chunk);
    int (*map)(void *opaque, unsigned worker, hwaddr gpa, uint64_t size,
               uint64_t *mapped);
    void (*kick)(void *opaque, QemuThread *thread);
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
 * @later: bytes that cannot be mapped yet: there is private memory, and the
 *         guest's launch is not finished; or it cannot be mapped at all
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
 * @threads: number of workers, 1 at least
 *
 * Context: any thread.
 *
 * Returns: the engine, for prefault_engine_free().
 */
PrefaultEngine *prefault_engine_start(const PrefaultPlan *plan,
                                      const PrefaultEngineOps *ops,
                                      void *opaque, unsigned threads);

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
 * As prefault_engine_cancel(), for another reason; and waits until no map
 * operation is under way.  None begins any more.
 *
 * Why: KVM_PRE_FAULT_MEMORY tries again inside the call while a memslot is
 * being deleted (up to Linux 6.17), or once the deletion has retired the page
 * table root that it works on (up to 6.14), and holds KVM's SRCU read lock
 * meanwhile; the deletion waits for that lock (virt/kvm/kvm_main.c,
 * kvm_swap_active_memslots()).  They would wait for each other for ever.
 *
 * Context: any thread but a worker.
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
