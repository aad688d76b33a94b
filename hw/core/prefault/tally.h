/*
 * Prefault tally: how far the work is that some threads share, and how it ended
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_TALLY_H
#define HW_CORE_PREFAULT_TALLY_H

#include "qapi/qapi-types-prefault.h"
#include "hw/core/prefault-compat.h"
#include "qemu/thread.h"

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
 * @refused: bytes of @later for which the host has no room now
 * @skipped: bytes that turned out to be memory that is skipped, by reason
 * @private_skipped: bytes of @skipped that are private memory
 */
typedef struct PrefaultProgress {
    uint64_t populated;
    uint64_t mapped;
    uint64_t failed;
    uint64_t private_mapped;
    uint64_t later;
    uint64_t refused;
    uint64_t skipped[PREFAULT_SKIP_REASON__MAX];
    uint64_t private_skipped;
} PrefaultProgress;

/**
 * PrefaultCounts: the same figures as they are counted, changed atomically
 *
 * Each worker counts some times a chunk, and a query asks with the BQL: a lock
 * that a thousand workers share would let it wait for long.
 */
typedef struct PrefaultCounts {
    Stat64 populated;
    Stat64 mapped;
    Stat64 failed;
    Stat64 private_mapped;
    Stat64 later;
    Stat64 refused;
    Stat64 skipped[PREFAULT_SKIP_REASON__MAX];
    Stat64 private_skipped;
} PrefaultCounts;

/**
 * PrefaultTally: what all threads have done together
 *
 * Made by prefault_tally_init().  Others only name one of @counts, for
 * prefault_tally_add().
 */
typedef struct PrefaultTally {
    PrefaultCounts counts;
    QemuMutex lock;             /* protects the rest */
    PrefaultOutcome outcome;    /* read without it, atomically */
    Error *failure;             /* the first one */
} PrefaultTally;

/**
 * prefault_tally_init: nothing is done yet
 * @tally: for prefault_tally_destroy()
 *
 * Context: any thread.
 */
void prefault_tally_init(PrefaultTally *tally);

/**
 * prefault_tally_destroy: undo prefault_tally_init()
 * @tally: nobody uses it any more
 *
 * Context: any thread.
 */
void prefault_tally_destroy(PrefaultTally *tally);

/**
 * prefault_tally_add: something is done
 * @tally: the tally
 * @counter: one of its counts
 * @bytes: how much
 *
 * Context: any thread.
 */
void prefault_tally_add(PrefaultTally *tally, Stat64 *counter, uint64_t bytes);

/**
 * prefault_tally_stop: end the work
 * @tally: the tally
 * @why: the outcome; the first one counts
 *
 * Context: any thread.
 */
void prefault_tally_stop(PrefaultTally *tally, PrefaultOutcome why);

/**
 * prefault_tally_note: something failed, and the work goes on
 * @tally: the tally
 * @failure: a sentence; the tally owns it now, and reports the first one
 *
 * Context: any thread.
 */
void prefault_tally_note(PrefaultTally *tally, Error *failure);

/**
 * prefault_tally_fail: end the work with PREFAULT_OUTCOME_FAILED
 * @tally: the tally
 * @failure: as for prefault_tally_note()
 *
 * Context: any thread.
 */
void prefault_tally_fail(PrefaultTally *tally, Error *failure);

/**
 * prefault_tally_outcome: how far the work is
 * @tally: the tally
 * @progress: filled in; NULL if not wanted
 *
 * Context: any thread.
 *
 * Returns: PREFAULT_OUTCOME_RUNNING until the work is over.
 */
PrefaultOutcome prefault_tally_outcome(PrefaultTally *tally,
                                       PrefaultProgress *progress);

/**
 * prefault_tally_failure: the first failure, also one after which work went on
 * @tally: the tally
 * @errp: set, if there was one, to a sentence with the guest address range and
 *        the cause, or with the limit and its figures
 *
 * Context: any thread.
 */
void prefault_tally_failure(PrefaultTally *tally, Error **errp);

#endif /* HW_CORE_PREFAULT_TALLY_H */
