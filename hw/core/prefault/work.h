/*
 * Prefault work: a worker's work on a chunk, and the progress of all workers
 *
 * A chunk is populated, then mapped.  The caller supplies both operations: this
 * code knows their error contract, and nothing of KVM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_WORK_H
#define HW_CORE_PREFAULT_WORK_H

#include "plan.h"
#include "qemu/thread.h"

/**
 * PrefaultKnowledge: what is known of a chunk before anything is done
 * @PREFAULT_UNKNOWN: nothing
 * @PREFAULT_IS_MAPPED: all of it is populated and mapped: nothing is to be done
 * @PREFAULT_WAS_RETURNED: what the host has not of it was given back by the
 *                         guest: it is skipped, and not populated
 */
typedef enum PrefaultKnowledge {
    PREFAULT_UNKNOWN,
    PREFAULT_IS_MAPPED,
    PREFAULT_WAS_RETURNED,
} PrefaultKnowledge;

/**
 * PrefaultOps: the workers' operations; called without any lock, nor the BQL
 *
 * @enter: the calling worker goes on with chunks of @place: it may move itself
 *         there.  NULL: places do not matter.
 * @known: what is known of @chunk before anything is done.  NULL: nothing.
 * @begin: work on @chunk begins.  Returns false if the host has not enough
 *         memory for it: @errp is a sentence, and the chunk is left for later
 *         (@patient), skipped (@tolerant) or the run ends.  NULL: nobody looks.
 * @end: work on @chunk, which @begin allowed, is over; @cost is what @begin
 *       set.  NULL likewise.
 * @present: for a chunk of which only present pages are mapped: sets *@present
 *           for its first bytes, and returns the number of bytes for which that
 *           holds.  NULL if the plan has no such chunk.
 * @populate: make @chunk's host memory present and writable.  Not called for
 *            private memory, which has none.  Returns 0 or -errno: -EINTR and
 *            -EAGAIN are tried again, -EHWPOISON leads to smaller pieces until
 *            the poisoned page is found and left out, -EINVAL means that it
 *            is of a kind that cannot be populated and is skipped (PFN mappings
 *            of devices, SGX: MADV_POPULATE_WRITE of Linux, mm/gup.c,
 *            faultin_page_range()), -ECANCELED means that the plan is stale,
 *            any other error is a failure.
 * @map: try once to map @size bytes of guest memory from @gpa on, for worker
 *       number @worker; sets *@mapped to the bytes done, also if it fails.
 *       Returns 0 or -errno as KVM_PRE_FAULT_MEMORY does: -EINTR, -ETIME (no
 *       page in the time that a call has) and -EAGAIN are tried again, a
 *       limited number of times; a page that is interrupted for ever, or
 *       poisoned, is left out; -EOPNOTSUPP, -ENOEXEC, -EBUSY and -ENODEV mean
 *       not yet, and the chunk is left for later; -ECANCELED as above; any
 *       other error, or success without progress, is a failure.  NULL: populate
 *       only.
 * @tolerant: true: after a failure the memory is left out, and the run goes on;
 *            false: a failure ends the run.
 * @patient: true: memory that has no room, or whose mapping is interrupted for
 *           ever, or always -EAGAIN, is left for later, and another run tries
 *           again.  false: it is left out, or a failure.
 * @settle: @piece was mapped, or, if not @mapped, need not or cannot be.  NULL
 *          if the caller does not want to know.
 * @later: @piece is left for later.  NULL likewise.
 * @done: the last worker has nothing left to do.  Called once, from that
 *        worker: it may schedule something, but not wait for the engine.
 */
typedef struct PrefaultOps {
    void (*enter)(void *opaque, unsigned place);
    PrefaultKnowledge (*known)(void *opaque, const PrefaultChunk *chunk);
    bool (*begin)(void *opaque, const PrefaultChunk *chunk, uint64_t *cost,
                  Error **errp);
    void (*end)(void *opaque, const PrefaultChunk *chunk, uint64_t cost);
    uint64_t (*present)(void *opaque, const PrefaultChunk *chunk,
                        bool *present);
    int (*populate)(void *opaque, const PrefaultChunk *chunk);
    int (*map)(void *opaque, unsigned worker, hwaddr gpa, uint64_t size,
               uint64_t *mapped);
    bool tolerant;
    bool patient;
    void (*settle)(void *opaque, const PrefaultChunk *piece, bool mapped);
    void (*later)(void *opaque, const PrefaultChunk *piece);
    void (*done)(void *opaque);
} PrefaultOps;

/**
 * PrefaultOutcome: how far a run got, or how it ended
 *
 * @PREFAULT_OUTCOME_RUNNING: workers are busy
 * @PREFAULT_OUTCOME_COMPLETED: every chunk was handled
 * @PREFAULT_OUTCOME_CANCELLED: prefault_engine_cancel() came first
 * @PREFAULT_OUTCOME_STALE: prefault_engine_invalidate() came first: the memory
 *                          map has changed since it was planned
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
 * @failed: bytes left out because the page is poisoned or cannot be had
 * @private_mapped: bytes of @mapped that are private memory
 * @later: bytes that cannot be mapped yet: no vCPU can do it now, writes to
 *         them are tracked, or they are private memory and the guest's launch
 *         is not finished
 * @skipped: bytes that turned out to be memory that is skipped, by reason
 * @private_skipped: bytes of @skipped that are private memory
 */
typedef struct PrefaultProgress {
    uint64_t populated;
    uint64_t mapped;
    uint64_t failed;
    uint64_t private_mapped;
    uint64_t later;
    uint64_t skipped[PREFAULT_SKIP_REASON__MAX];
    uint64_t private_skipped;
} PrefaultProgress;

/**
 * PrefaultWork: work that some threads share
 *
 * Made by prefault_work_init(); only work.c looks inside.
 */
typedef struct PrefaultWork {
    const PrefaultOps *ops;
    void *opaque;

    QemuMutex lock;             /* protects the rest */
    PrefaultProgress progress;
    PrefaultOutcome outcome;
    Error *failure;             /* the first one */
} PrefaultWork;

/**
 * prefault_work_init: make work of which nothing is done yet
 * @work: for prefault_work_destroy()
 * @ops: the operations; live as long as @work
 * @opaque: handed to each operation
 *
 * Context: any thread.
 */
void prefault_work_init(PrefaultWork *work, const PrefaultOps *ops,
                        void *opaque);

/**
 * prefault_work_destroy: undo prefault_work_init()
 * @work: nobody uses it any more
 */
void prefault_work_destroy(PrefaultWork *work);

/**
 * prefault_work_chunk: populate and map a chunk, as far as that goes
 * @work: the work
 * @worker: number of the calling worker, for the map operation
 * @chunk: the chunk
 *
 * Context: any thread; the work may be stopped meanwhile.
 */
void prefault_work_chunk(PrefaultWork *work, unsigned worker,
                         const PrefaultChunk *chunk);

/**
 * prefault_work_stop: end the work
 * @work: the work
 * @why: the outcome; the first one counts
 *
 * Context: any thread.
 */
void prefault_work_stop(PrefaultWork *work, PrefaultOutcome why);

/**
 * prefault_work_fail: end the work with PREFAULT_OUTCOME_FAILED
 * @work: the work
 * @why: a sentence; the work owns it now
 *
 * Context: any thread.
 */
void prefault_work_fail(PrefaultWork *work, Error *why);

/**
 * prefault_work_outcome: how far the work is
 * @work: the work
 * @progress: filled in; NULL if not wanted
 *
 * Context: any thread.
 *
 * Returns: PREFAULT_OUTCOME_RUNNING until the work is over.
 */
PrefaultOutcome prefault_work_outcome(PrefaultWork *work,
                                      PrefaultProgress *progress);

/**
 * prefault_work_failure: the first failure, also one after which work went on
 * @work: the work
 * @errp: set, if there was one, to a sentence with the guest address range and
 *        the cause, or with the limit and its figures
 *
 * Context: any thread.
 */
void prefault_work_failure(PrefaultWork *work, Error **errp);

#endif /* HW_CORE_PREFAULT_WORK_H */
