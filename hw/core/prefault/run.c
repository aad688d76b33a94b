/*
 * A prefault run: one plan worked through, and its figures
 *
 * Brings the parts together: the plan of guest memory, the host's limits, the
 * engine that works through the plan, and the figures that are left.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "attempt.h"
#include "changes.h"
#include "gate.h"
#include "host-limits.h"
#include "memory-keep.h"
#include "run.h"
#include "threads.h"
#include "trace.h"

/* How long others have the BQL while its owner waits for workers */
#define OTHERS_US 1000

/* All fields are protected by the BQL */
struct PrefaultRun {
    PrefaultLedger *ledger;
    void (*done)(void);
    PrefaultAttempt *attempt;       /* NULL unless the run is under way */
    bool stale;                     /* was invalidated, perhaps too late */
    uint64_t private_taken;         /* bytes that some run has mapped */
    PrefaultKnown *known;           /* what a run has populated, or NULL */
    bool known_is_mapped;           /* and mapped: it was the last run */
    unsigned known_gone;            /* RAMBlocks that were gone then */
    PrefaultFigures figures;
    uint64_t present;               /* a run left all of so much present */
    uint64_t present_rss;           /* QEMU's resident pages then */
    int64_t started_ns;
    int64_t begun_ns;               /* with this plan */
    Error *error;                   /* the first failure, or NULL */
};

PrefaultRun *prefault_run_new(PrefaultLedger *ledger, void (*done)(void))
{
    PrefaultRun *run = g_new0(PrefaultRun, 1);

    assert(bql_locked());
    run->ledger = ledger;
    run->done = done;
    return run;
}

void prefault_run_free(PrefaultRun *run)
{
    if (run) {
        assert(!run->attempt);
        prefault_known_free(run->known);
        error_free(run->error);
        g_free(run);
    }
}

/*
 * To look at every page of memory that is present takes longer than the run.
 * It is, unless QEMU has given memory back since, as a balloon does.
 */
static bool run_is_present(const PrefaultRun *run)
{
    uint64_t resident;

    if (!run->present || run->present != run->figures.total) {
        return false;
    }
    resident = prefault_limits_resident("");
    return resident && resident >= run->present_rss;
}

/* Read guest memory, and begin the figures anew */
static void run_plan(PrefaultRun *run, const PrefaultBackend *backend,
                     PrefaultVia via, GArray *debts)
{
    PrefaultAttempt *attempt = prefault_attempt_new(run->done);
    PrefaultMemory *memory = &attempt->memory;

    assert(bql_locked());
    assert(!run->attempt);
    prefault_memory_read(memory, debts);
    attempt->steps.ledger = run->ledger;
    attempt->steps.backend = backend;
    attempt->steps.via = via;
    attempt->steps.generation = memory->generation;
    attempt->steps.places = memory->places;
    attempt->debts = debts;
    run->attempt = attempt;
    run->figures = (PrefaultFigures) {
        .total = prefault_plan_total(memory->plan),
        .total_private = prefault_plan_private(memory->plan),
        .maps = backend,
    };
    for (int i = 0; i < PREFAULT_SKIP_REASON__MAX; i++) {
        run->figures.skipped[i] = prefault_plan_skipped(memory->plan, i);
    }
    run->stale = false;
    run->begun_ns = get_clock();
    g_clear_pointer(&run->error, error_free);
}

static void run_start_engine(PrefaultRun *run, PrefaultStepsKind kind,
                             unsigned threads)
{
    PrefaultAttempt *attempt = run->attempt;

    trace_prefault_run_begin(run->figures.total, threads, run->figures.maps);
    attempt->engine = prefault_engine_start(attempt->memory.plan,
                                            prefault_steps_ops(kind),
                                            &attempt->steps, threads);
    run->figures.threads = prefault_engine_workers(attempt->engine, NULL);
    run->figures.threads_wanted = threads;
    if (threads && !run->figures.threads) {
        qemu_bh_schedule(attempt->steps.done);
    }
}

/* What the last run has done need not be done again, unless it is in doubt */
static void run_take_known(PrefaultRun *run, GArray *doubts)
{
    if (run->known_gone != prefault_changes_blocks_gone()) {
        g_clear_pointer(&run->known, prefault_known_free);
    }
    if (!run->known || !run->known_is_mapped) {
        g_clear_pointer(&doubts, g_array_unref);
    }
    run->known_is_mapped = false;
    if (run->known) {
        run->attempt->steps.known = prefault_known_after(run->known, doubts);
    }
}

void prefault_run_begin(PrefaultRun *run, const PrefaultBackend *backend,
                        PrefaultRunWish wish, bool again)
{
    PrefaultSteps *steps;

    run_plan(run, backend, PREFAULT_VIA_DESCRIPTOR, NULL);
    run->started_ns = again ? run->started_ns : run->begun_ns;
    run->figures.elapsed_ns = run->begun_ns - run->started_ns;
    steps = &run->attempt->steps;
    steps->room = wish.check && !run_is_present(run)
                  ? prefault_memory_room(&run->attempt->memory, wish.all,
                                         backend ? run->private_taken
                                                 : UINT64_MAX) : NULL;
    run_take_known(run, wish.doubts);
    run->attempt->steps.returned = wish.returned;
    /* If it cannot be pinned, the first worker that tries fails */
    prefault_memory_keep(&run->attempt->memory, wish.keep,
                         &run->figures.balanced, NULL);
    if (backend) {
        /* Without a vCPU map() returns -ENODEV, and all memory is owed */
        steps->vcpus = backend->begin(PREFAULT_VIA_DESCRIPTOR);
    }
    run_start_engine(run, !backend ? PREFAULT_STEPS_POPULATE
                          : wish.all ? PREFAULT_STEPS_HELD
                          : PREFAULT_STEPS_HELD_AUTO,
                     wish.threads ?: prefault_threads_count(
                         steps->places, run->figures.total, ""));
}

bool prefault_run_begin_owed(PrefaultRun *run, const PrefaultBackend *backend,
                             PrefaultRunWish wish)
{
    g_autoptr(GPtrArray) vcpus = backend->begin(PREFAULT_VIA_VCPU_THREAD);
    PrefaultSteps *steps;
    unsigned threads;

    if (!vcpus->len) {
        return false;
    }
    run_plan(run, backend, PREFAULT_VIA_VCPU_THREAD,
             prefault_ledger_debts(run->ledger));
    run->started_ns = run->begun_ns;
    threads = MIN(vcpus->len, wish.threads ?: prefault_threads_count(
                                  NULL, UINT64_MAX, ""));
    steps = &run->attempt->steps;
    steps->vcpus = g_steal_pointer(&vcpus);
    steps->returned = wish.returned;
    /* Otherwise it was mapped, and is writable */
    steps->may_write =
        prefault_ledger_owed(run->ledger, PREFAULT_OWED_REASON_LOST) &&
        prefault_memory_may_be_written();
    steps->room = wish.check ? prefault_memory_room(&run->attempt->memory,
                                                    false, 0) : NULL;
    run_start_engine(run, PREFAULT_STEPS_OWED, threads);
    return true;
}

void prefault_run_plan_here(PrefaultRun *run, const PrefaultBackend *backend,
                            PrefaultDebt debt)
{
    GArray *debts = g_array_new(false, false, sizeof(debt));

    g_array_append_val(debts, debt);
    run_plan(run, backend, PREFAULT_VIA_THIS_THREAD, debts);
    run_start_engine(run, PREFAULT_STEPS_HERE, 0);
}

static bool run_may_go_on(void *opaque)
{
    const int64_t *until_ns = opaque;

    return get_clock() < *until_ns && !qatomic_read(&current_cpu->exit_request);
}

void prefault_run_work_here(PrefaultRun *run, int64_t budget_ns)
{
    int64_t until_ns = get_clock() + budget_ns;

    prefault_engine_work(run->attempt->engine, run_may_go_on, &until_ns);
}

void prefault_run_stop_here(PrefaultRun *run)
{
    assert(bql_locked());
    /* Does nothing to a run that is done */
    prefault_engine_cancel(run->attempt->engine);
    /* The outcome is dropped: memory that was not mapped stays owed */
    prefault_run_close(run);
}

void prefault_run_cancel(PrefaultRun *run)
{
    assert(bql_locked());
    /*
     * Once the gate is closed workers stop waiting for vCPUs
     * (own_thread_wait()), which may need the BQL that the caller holds
     */
    prefault_engine_cancel(run->attempt->engine);
    prefault_gate_close();
}

void prefault_run_invalidate(PrefaultRun *run)
{
    assert(bql_locked());
    run->stale = true;
    prefault_engine_invalidate(run->attempt->engine);
}

static void run_take_figures(PrefaultRun *run)
{
    int64_t now = get_clock();
    PrefaultAttempt *attempt = run->attempt;

    prefault_engine_progress(attempt->engine, &run->figures.progress);
    run->figures.elapsed_ns = now - run->started_ns;
    run->figures.worked_ns = now - run->begun_ns;
    run->figures.unplaced = qatomic_read(&attempt->steps.unplaced);
}

/*
 * All that can be mapped is mapped now.  Forget the debts that are left: for
 * addresses without RAM, or for RAM that is read-only or logs dirty pages.
 */
static void run_forgive(const PrefaultAttempt *attempt)
{
    for (guint i = 0; i < attempt->debts->len; i++) {
        PrefaultDebt *debt = &g_array_index(attempt->debts, PrefaultDebt, i);

        prefault_ledger_settle(attempt->steps.ledger,
                               attempt->memory.generation, debt->start,
                               debt->end - debt->start, false);
    }
}

/* What the guest has given back was populated once */
static void run_note_known(PrefaultRun *run)
{
    const PrefaultProgress *p = &run->figures.progress;
    uint64_t returned = p->skipped[PREFAULT_SKIP_REASON_RETURNED];

    if (p->populated + p->private_mapped + returned == run->figures.total) {
        prefault_known_free(run->known);
        run->known = prefault_known_new(run->attempt->memory.plan);
        run->known_gone = prefault_changes_blocks_gone();
        run->known_is_mapped = run->present == p->mapped && !p->later;
    }
}

/* Only a held run looks at swap: a conversion need not read /proc for it */
static void run_complete(PrefaultRun *run)
{
    if (!run->attempt->debts) {
        const PrefaultProgress *p = &run->figures.progress;

        run->figures.swapped = prefault_limits_swapped("");
        run->present = p->populated == run->figures.total &&
                       !run->figures.swapped ? p->populated : 0;
        run->present_rss = prefault_limits_resident("");
        run_note_known(run);
    } else if (!run->figures.progress.later) {
        run_forgive(run->attempt);
    }
}

PrefaultOutcome prefault_run_close(PrefaultRun *run)
{
    PrefaultOutcome outcome;

    assert(bql_locked());
    outcome = prefault_engine_progress(run->attempt->engine, NULL);
    run_take_figures(run);
    if (run->stale && (outcome == PREFAULT_OUTCOME_COMPLETED ||
                       outcome == PREFAULT_OUTCOME_FAILED)) {
        /*
         * The map changed after the last worker's end, or was changing already
         * when a worker failed
         */
        outcome = PREFAULT_OUTCOME_STALE;
    }
    if (outcome == PREFAULT_OUTCOME_FAILED ||
        outcome == PREFAULT_OUTCOME_COMPLETED) {
        prefault_engine_failure(run->attempt->engine, &run->error);
    }
    run->private_taken = MAX(run->private_taken,
                             run->figures.progress.private_mapped);
    if (outcome == PREFAULT_OUTCOME_COMPLETED) {
        run_complete(run);
    }
    trace_prefault_run_close(outcome, run->figures.progress.populated,
                             run->figures.progress.mapped,
                             run->figures.elapsed_ns);
    prefault_attempt_release(g_steal_pointer(&run->attempt));
    return outcome;
}

bool prefault_run_let_others(PrefaultRun *run)
{
    unsigned busy;

    assert(bql_locked());
    prefault_engine_workers(run->attempt->engine, &busy);
    if (busy) {
        bql_unlock();
        g_usleep(OTHERS_US);
        bql_lock();
    }
    return busy;
}

PrefaultOutcome prefault_run_join(PrefaultRun *run)
{
    assert(bql_locked());
    prefault_engine_wait(run->attempt->engine);
    return prefault_run_close(run);
}

PrefaultFigures prefault_run_figures(PrefaultRun *run)
{
    assert(bql_locked());
    if (run->attempt) {
        run_take_figures(run);
    }
    run->figures.active = run->attempt;
    return run->figures;
}

const char *prefault_run_error(const PrefaultRun *run)
{
    return run->error ? error_get_pretty(run->error) : NULL;
}

void prefault_run_set_error(PrefaultRun *run, const char *why)
{
    assert(bql_locked());
    if (!run->error) {
        error_setg(&run->error, "%s", why);
    }
}
