/*
 * A run behind a guest that does not wait for it
 *
 * All state is protected by the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "background.h"
#include "behind.h"
#include "memory-keep.h"
#include "memory.h"
#include "watch.h"

/* It populates all memory: small changes of the map have settled by then */
#define BEHIND_REST_MS 1

static struct {
    bool active;
    bool all;                   /* too little room is an error */
    PrefaultOwedReason reason;
    void (*done)(PrefaultOutcome outcome);
    PrefaultFigures figures;    /* without the run under way */
    int64_t started_ns;
    char *error;                /* the first, or NULL */
} behind;

static uint64_t behind_owed(void)
{
    return prefault_ledger_owed(prefault_background_ledger(), behind.reason);
}

/* All but what is known at the end only */
static void behind_add(PrefaultFigures *sum, const PrefaultFigures *run)
{
    PrefaultProgress *p = &sum->progress;

    p->populated += run->progress.populated;
    p->mapped += run->progress.mapped;
    p->private_mapped += run->progress.private_mapped;
    p->failed += run->progress.failed;
    sum->threads = run->threads ?: sum->threads;
    sum->unplaced = run->unplaced ?: sum->unplaced;
}

/* Other debts were paid as well, and some were paid twice */
static void behind_limit(PrefaultFigures *f, uint64_t owed)
{
    PrefaultProgress *p = &f->progress;
    uint64_t rest;

    p->failed = MIN(p->failed, f->total);
    rest = f->total - p->failed;
    p->mapped = MIN(p->mapped, rest - MIN(owed, rest));
    p->private_mapped = MIN(p->private_mapped, MIN(f->total_private,
                                                   p->mapped));
    p->populated = MIN(MAX(p->populated, p->mapped - p->private_mapped),
                       rest - p->private_mapped);
}

static void behind_time(PrefaultFigures *f)
{
    f->elapsed_ns = get_clock() - behind.started_ns;
    f->worked_ns = f->elapsed_ns;
}

/* Reads guest memory twice: as it is kept, and as it is owed */
static void behind_plan(PrefaultKeep keep)
{
    g_autoptr(GArray) debts =
        prefault_ledger_debts(prefault_background_ledger());
    g_auto(PrefaultMemory) all = {}, owed = {};

    prefault_memory_read(&all, NULL);
    prefault_memory_keep(&all, keep, &behind.figures.balanced, NULL);
    prefault_memory_read(&owed, debts);
    behind.figures.total = prefault_plan_total(owed.plan);
    behind.figures.total_private = prefault_plan_private(owed.plan);
    for (int i = 0; i < PREFAULT_SKIP_REASON__MAX; i++) {
        behind.figures.skipped[i] = prefault_plan_skipped(owed.plan, i);
    }
}

void prefault_behind_begin(PrefaultOwedReason reason, PrefaultRunWish wish,
                           void (*done)(PrefaultOutcome outcome))
{
    assert(bql_locked());
    prefault_behind_end(NULL);
    g_clear_pointer(&behind.error, g_free);
    behind.active = true;
    behind.all = wish.all;
    behind.reason = reason;
    behind.done = done;
    behind.started_ns = get_clock();
    behind.figures = (PrefaultFigures) { .maps = true };
    prefault_owe_all(reason, BEHIND_REST_MS);
    behind_plan(wish.keep);
}

/* What was dropped and not mapped again is owed no longer, and not known */
static void behind_close(void)
{
    uint64_t owed = behind_owed();

    behind_limit(&behind.figures, owed);
    behind_time(&behind.figures);
    if (owed) {
        prefault_ledger_forgive(prefault_background_ledger(), behind.reason);
        prefault_watch_replaced();
    }
    behind.active = false;
}

void prefault_behind_end(const char *why)
{
    assert(bql_locked());
    if (behind.active) {
        behind_close();
        behind.error = behind.error ?: g_strdup(why);
    }
}

/* Nothing is owed: what was not counted is mapped, or the guest gave it back */
static void behind_complete(PrefaultFigures *f)
{
    PrefaultProgress *p = &f->progress;
    uint64_t rest = f->total - p->failed - p->mapped;

    if (prefault_watch_has_returned() || prefault_memory_is_ballooned()) {
        p->skipped[PREFAULT_SKIP_REASON_RETURNED] = rest;
    } else {
        p->mapped += rest;
        p->private_mapped = f->total_private;
    }
    p->populated = MAX(p->populated, p->mapped - p->private_mapped);
}

/* What there was no room for is left out, or is a failure */
static PrefaultOutcome behind_outcome(PrefaultOutcome outcome, uint64_t owed)
{
    PrefaultFigures *f = &behind.figures;

    if (outcome == PREFAULT_OUTCOME_FAILED) {
        return outcome;
    }
    if (!owed) {
        behind_complete(f);
        return behind.all && behind.error ? PREFAULT_OUTCOME_FAILED
                                          : PREFAULT_OUTCOME_COMPLETED;
    }
    if (behind.all) {
        return PREFAULT_OUTCOME_FAILED;
    }
    f->progress.skipped[PREFAULT_SKIP_REASON_NO_ROOM] =
        f->total - f->progress.failed - f->progress.mapped;
    return PREFAULT_OUTCOME_COMPLETED;
}

void prefault_behind_finished(PrefaultOutcome outcome,
                              const PrefaultFigures *figures, const char *error)
{
    uint64_t owed = behind.active ? behind_owed() : 0;

    assert(bql_locked());
    if (!behind.active) {
        return;
    }
    behind_add(&behind.figures, figures);
    behind.error = behind.error ?: g_strdup(error);
    if (outcome == PREFAULT_OUTCOME_CANCELLED) {
        return;
    }
    if (!owed || outcome == PREFAULT_OUTCOME_FAILED ||
        prefault_run_is_refused(figures)) {
        behind_close();
        behind.done(behind_outcome(outcome, owed));
    }
}

PrefaultFigures prefault_behind_figures(void)
{
    PrefaultFigures f = behind.figures;

    assert(bql_locked());
    if (behind.active) {
        PrefaultFigures run = prefault_background_figures();

        behind_add(&f, &run);
        behind_limit(&f, behind_owed());
        behind_time(&f);
        f.active = true;
    }
    return f;
}

const char *prefault_behind_error(void)
{
    return behind.error;
}
