/*
 * A prefault run: one plan worked through, and its figures
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_RUN_H
#define HW_CORE_PREFAULT_RUN_H

#include "engine.h"
#include "hw/core/prefault.h"
#include "memory.h"

/**
 * PrefaultRun: the run under way, or the figures of the last one
 *
 * @engine, @plan, @regions and @places are NULL unless the run is under way; so
 * is @engine of a run that failed before any work.  All are protected by the
 * BQL; workers read @backend, @places and @done_bh, which do not change while
 * there are any.
 */
typedef struct PrefaultRun {
    PrefaultEngine *engine;
    PrefaultPlan *plan;
    GPtrArray *regions;             /* keeps the plan's memory */
    PrefaultPlaces *places;         /* of the plan's chunks */
    const PrefaultBackend *backend; /* NULL: populate only */
    QEMUBH *done_bh;                /* of the last worker */

    bool stale;                     /* was invalidated, perhaps too late */

    uint64_t total;
    uint64_t total_private;         /* of total */
    uint64_t skipped[PREFAULT_SKIP_REASON__MAX];
    PrefaultProgress progress;
    uint64_t sufficed;              /* the host had enough for this total */
    bool private_sufficed;          /* and, at the first run, for private memory */
    unsigned threads;
    int unplaced;                   /* errno of a worker; atomic */
    int64_t started_ns;
    int64_t begun_ns;               /* with this plan */
    int64_t elapsed_ns;
    Error *error;                   /* why it did not complete, or NULL */
} PrefaultRun;

/**
 * prefault_run_begin: plan for the guest's memory as it is now, start workers
 * @run: no run under way
 * @backend: who maps; NULL to populate only
 * @threads: number of workers; 0 to choose
 * @done_bh: scheduled when the workers have nothing left to do
 *
 * If the host has not enough memory the run has failed at once; @done_bh is
 * scheduled then too.
 *
 * The clock of @run goes on from its @started_ns, so that a plan that has to
 * be made again counts as the same run.
 *
 * Context: BQL.
 */
void prefault_run_begin(PrefaultRun *run, const PrefaultBackend *backend,
                        unsigned threads, QEMUBH *done_bh);

/**
 * prefault_run_cancel: see prefault_engine_cancel()
 * @run: under way
 */
void prefault_run_cancel(PrefaultRun *run);

/**
 * prefault_run_invalidate: see prefault_engine_invalidate()
 * @run: under way
 */
void prefault_run_invalidate(PrefaultRun *run);

/**
 * prefault_run_join: wait for the workers, take the figures, release the plan
 * @run: a run under way; unless its workers are done or were told to stop,
 *       this takes as long as the run
 *
 * @done_bh is not scheduled any more after that.
 *
 * Context: BQL.
 *
 * Returns: how the run ended.
 */
PrefaultOutcome prefault_run_join(PrefaultRun *run);

/**
 * prefault_run_describe: fill in what a query says of a run
 * @run: a run under way, or the last one
 * @info: whose optional members except trigger and left-out are filled in
 *
 * Context: BQL.
 */
void prefault_run_describe(PrefaultRun *run, PrefaultInfo *info);

#endif /* HW_CORE_PREFAULT_RUN_H */
