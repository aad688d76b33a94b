/*
 * Prefault work: a worker's work on a chunk
 *
 * A chunk is populated, then mapped.  The caller supplies both operations: this
 * code knows their error contract, and nothing of KVM.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_WORK_H
#define HW_CORE_PREFAULT_WORK_H

#include "plan.h"
#include "tally.h"

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
 * PrefaultOps: the workers' operations; called without any lock (but @mapped),
 *              nor the BQL
 *
 * @enter: the calling worker goes on with chunks of @place: it may move itself
 *         there.  NULL: places do not matter.
 * @known: what is known of @chunk before anything is done.  NULL: nothing.
 * @mapped: how many bytes from the beginning of @rest on are known to be
 *          populated and mapped; it may be all of a guest.  Called with the
 *          engine's lock.  NULL: @known tells of each chunk.
 * @begin: work on @chunk begins.  Returns false if the host has not enough
 *         memory for it: @errp is a sentence, and the chunk is left for later
 *         (@patient), skipped (@tolerant) or the run ends.  NULL: nobody looks.
 * @end: work on @chunk, which @begin allowed, is over; @cost is what @begin
 *       set.  NULL likewise.
 * @present: for a chunk of which only present pages are mapped: sets *@present
 *           for its first bytes, and returns the number of bytes for which that
 *           holds, or 0 if nobody can tell now: the rest is left for later.
 *           It may make them writable.  NULL if the plan has no such chunk.
 * @populate: make @chunk's host memory present and writable.  Not called for
 *            private memory, which has none.  Returns 0 or -errno: -EINTR and
 *            -EAGAIN are tried again, -EHWPOISON leads to smaller pieces until
 *            the poisoned page is found and left out, -EINVAL means that it
 *            is of a kind that cannot be populated and is skipped (PFN mappings
 *            of devices, SGX: MADV_POPULATE_WRITE of Linux, mm/gup.c,
 *            faultin_page_range()), -ECANCELED means that the plan is stale,
 *            any other error is a failure.
 * @pin: @chunk is populated, or present: see to it that the host leaves it
 *       where it is, before it is mapped, for that may move it.  Returns false
 *       with @errp set, a sentence, if that is not possible: the run ends, or
 *       (@tolerant) does without.  NULL: nobody wants that.
 * @map: try once to map @size bytes of guest memory from @gpa on, for worker
 *       number @worker; sets *@mapped to the bytes done, also if it fails.
 *       Returns 0 or -errno as KVM_PRE_FAULT_MEMORY does; errnos.c has what
 *       each leads to.  Any other, or success without progress, is a failure.
 *       NULL: populate only.
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
    uint64_t (*mapped)(void *opaque, const PrefaultChunk *rest);
    bool (*begin)(void *opaque, const PrefaultChunk *chunk, uint64_t *cost,
                  Error **errp);
    void (*end)(void *opaque, const PrefaultChunk *chunk, uint64_t cost);
    uint64_t (*present)(void *opaque, const PrefaultChunk *chunk,
                        bool *present);
    int (*populate)(void *opaque, const PrefaultChunk *chunk);
    bool (*pin)(void *opaque, const PrefaultChunk *chunk, Error **errp);
    int (*map)(void *opaque, unsigned worker, hwaddr gpa, uint64_t size,
               uint64_t *mapped);
    bool tolerant;
    bool patient;
    void (*settle)(void *opaque, const PrefaultChunk *piece, bool mapped);
    void (*later)(void *opaque, const PrefaultChunk *piece);
    void (*done)(void *opaque);
} PrefaultOps;

/**
 * PrefaultWork: work that some threads share
 * @ops: the operations
 * @opaque: handed to each
 * @tally: how far it is
 */
typedef struct PrefaultWork {
    const PrefaultOps *ops;
    void *opaque;
    PrefaultTally tally;
} PrefaultWork;

/**
 * prefault_work_was_mapped: count memory for which nothing is to be done
 * @work: the work
 * @piece: of a plan, of any size
 *
 * Context: any thread.
 */
void prefault_work_was_mapped(PrefaultWork *work, const PrefaultChunk *piece);

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

#endif /* HW_CORE_PREFAULT_WORK_H */
