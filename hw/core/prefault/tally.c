/*
 * Prefault tally: how far the work is that some threads share, and how it ended
 *
 * Guarantees: the first reason to stop is the one that counts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qapi/error.h"
#include "tally.h"

void prefault_tally_init(PrefaultTally *tally)
{
    *tally = (PrefaultTally) {};
    qemu_mutex_init(&tally->lock);
}

void prefault_tally_destroy(PrefaultTally *tally)
{
    error_free(tally->failure);
    qemu_mutex_destroy(&tally->lock);
}

void prefault_tally_add(PrefaultTally *tally, uint64_t *counter, uint64_t bytes)
{
    QEMU_LOCK_GUARD(&tally->lock);
    *counter += bytes;
}

void prefault_tally_stop(PrefaultTally *tally, PrefaultOutcome why)
{
    QEMU_LOCK_GUARD(&tally->lock);
    if (tally->outcome == PREFAULT_OUTCOME_RUNNING) {
        /* Pairs with the load in prefault_tally_outcome() */
        qatomic_store_release(&tally->outcome, why);
    }
}

void prefault_tally_note(PrefaultTally *tally, Error *failure)
{
    QEMU_LOCK_GUARD(&tally->lock);
    if (!tally->failure && tally->outcome == PREFAULT_OUTCOME_RUNNING) {
        tally->failure = g_steal_pointer(&failure);
    }
    error_free(failure);
}

void prefault_tally_fail(PrefaultTally *tally, Error *failure)
{
    prefault_tally_note(tally, failure);
    prefault_tally_stop(tally, PREFAULT_OUTCOME_FAILED);
}

PrefaultOutcome prefault_tally_outcome(PrefaultTally *tally,
                                       PrefaultProgress *progress)
{
    /* Each worker asks some times a chunk: without the lock that all share */
    if (!progress) {
        return qatomic_load_acquire(&tally->outcome);
    }
    QEMU_LOCK_GUARD(&tally->lock);
    *progress = tally->progress;
    return tally->outcome;
}

void prefault_tally_failure(PrefaultTally *tally, Error **errp)
{
    QEMU_LOCK_GUARD(&tally->lock);
    if (tally->failure) {
        error_propagate(errp, error_copy(tally->failure));
    }
}
