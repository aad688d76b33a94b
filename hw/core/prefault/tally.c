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

void prefault_tally_add(PrefaultTally *tally, Stat64 *counter, uint64_t bytes)
{
    stat64_add(counter, bytes);
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

static void tally_read(const PrefaultCounts *counts, PrefaultProgress *progress)
{
    /* The other way round than workers count: a part is no more than the sum */
    progress->private_mapped = stat64_get(&counts->private_mapped);
    progress->mapped = stat64_get(&counts->mapped);
    progress->populated = stat64_get(&counts->populated);
    progress->failed = stat64_get(&counts->failed);
    progress->later = stat64_get(&counts->later);
    progress->refused = stat64_get(&counts->refused);
    progress->private_skipped = stat64_get(&counts->private_skipped);
    for (int i = 0; i < PREFAULT_SKIP_REASON__MAX; i++) {
        progress->skipped[i] = stat64_get(&counts->skipped[i]);
    }
}

PrefaultOutcome prefault_tally_outcome(PrefaultTally *tally,
                                       PrefaultProgress *progress)
{
    /* Before the figures: once the work is over, these are the last ones */
    PrefaultOutcome outcome = qatomic_load_acquire(&tally->outcome);

    if (progress) {
        tally_read(&tally->counts, progress);
    }
    return outcome;
}

void prefault_tally_failure(PrefaultTally *tally, Error **errp)
{
    QEMU_LOCK_GUARD(&tally->lock);
    if (tally->failure) {
        error_propagate(errp, error_copy(tally->failure));
    }
}
