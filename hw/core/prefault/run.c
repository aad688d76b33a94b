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
#include "qemu/units.h"
#include "qapi/error.h"
#include "gate.h"
#include "run.h"
#include "steps.h"
#include "trace.h"

/* Less is not worth a thread: zeroing this much takes some 10 ms */
#define PREFAULT_BYTES_PER_THREAD (64 * MiB)

struct PrefaultRun {
    PrefaultSteps steps;            /* shared with the workers */

    /* Protected by the BQL; NULL and cleared unless the run is under way */
    PrefaultEngine *engine;
    PrefaultMemory memory;
    GArray *debts;                  /* it is to settle these; NULL: none */

    bool stale;                     /* was invalidated, perhaps too late */
    PrefaultFigures figures;
    uint64_t sufficed;              /* the host had enough for this total */
    uint64_t sufficed_rss;          /* QEMU's resident pages after a run */
    bool private_sufficed;          /* likewise, once, for private memory */
    int64_t started_ns;
    int64_t begun_ns;               /* with this plan */
    Error *error;                   /* why it did not complete, or NULL */
};

PrefaultRun *prefault_run_new(PrefaultLedger *ledger, QEMUBH *done)
{
    PrefaultRun *run = g_new0(PrefaultRun, 1);

    assert(bql_locked());
    run->steps.ledger = ledger;
    run->steps.done = done;
    return run;
}

void prefault_run_free(PrefaultRun *run)
{
    if (run) {
        assert(!run->engine);
        error_free(run->error);
        g_free(run);
    }
}

static unsigned run_thread_count(uint64_t bytes)
{
    /* GLib counts the CPUs of the affinity mask */
    return MAX(1, MIN(g_get_num_processors(),
                      bytes / PREFAULT_BYTES_PER_THREAD));
}

/* QEMU's resident memory in pages; 0 if that cannot be known */
static uint64_t run_resident_pages(void)
{
    g_autofree char *statm = NULL;
    unsigned long long size, resident;

    return g_file_get_contents("/proc/self/statm", &statm, NULL, NULL) &&
           sscanf(statm, "%llu %llu", &size, &resident) == 2 ? resident : 0;
}

/*
 * prefault_memory_suffices() takes a while, so it is not asked again once the
 * host had enough for this total, unless a run failed meanwhile or QEMU has
 * given memory back since, as a balloon does: others may have taken it.
 */
static bool run_check_host(PrefaultRun *run)
{
    uint64_t shared = run->figures.total - run->figures.total_private;
    uint64_t resident = run_resident_pages();

    if ((run->sufficed != shared || resident < run->sufficed_rss) &&
        !prefault_memory_suffices(&run->memory, !run->private_sufficed,
                                  &run->error)) {
        return false;
    }
    run->sufficed = shared;
    run->private_sufficed = true;
    return true;
}

/* Read guest memory, and begin the figures anew */
static void run_plan(PrefaultRun *run, const PrefaultBackend *backend,
                     PrefaultVia via, GArray *debts)
{
    assert(bql_locked());
    assert(!run->engine);
    prefault_memory_read(&run->memory, debts);
    run->steps.backend = backend;
    run->steps.via = via;
    run->steps.generation = run->memory.generation;
    run->steps.places = run->memory.places;
    run->steps.unplaced = 0;
    run->debts = debts;
    run->figures = (PrefaultFigures) {
        .total = prefault_plan_total(run->memory.plan),
        .total_private = prefault_plan_private(run->memory.plan),
        .maps = backend,
    };
    for (int i = 0; i < PREFAULT_SKIP_REASON__MAX; i++) {
        run->figures.skipped[i] = prefault_plan_skipped(run->memory.plan, i);
    }
    run->stale = false;
    run->begun_ns = get_clock();
    g_clear_pointer(&run->error, error_free);
}

static void run_start_engine(PrefaultRun *run, PrefaultStepsKind kind,
                             unsigned threads)
{
    run->figures.threads = threads;
    trace_prefault_run_begin(run->figures.total, threads, run->figures.maps);
    run->engine = prefault_engine_start(run->memory.plan,
                                        prefault_steps_ops(kind), &run->steps,
                                        threads);
}

void prefault_run_begin(PrefaultRun *run, const PrefaultBackend *backend,
                        unsigned threads, bool again)
{
    run_plan(run, backend, PREFAULT_VIA_DESCRIPTOR, NULL);
    run->started_ns = again ? run->started_ns : run->begun_ns;
    run->figures.elapsed_ns = run->begun_ns - run->started_ns;
    threads = threads ?: run_thread_count(run->figures.total);
    if (!run_check_host(run)) {
        run->figures.threads = threads;
        qemu_bh_schedule(run->steps.done);
        return;
    }
    if (backend) {
        /* Without a vCPU map() returns -ENODEV, and all memory is owed */
        backend->begin(PREFAULT_VIA_DESCRIPTOR);
    }
    run_start_engine(
        run, backend ? PREFAULT_STEPS_HELD : PREFAULT_STEPS_POPULATE, threads);
}

bool prefault_run_begin_owed(PrefaultRun *run, const PrefaultBackend *backend,
                             unsigned threads)
{
    unsigned vcpus = backend->begin(PREFAULT_VIA_VCPU_THREAD);

    if (!vcpus) {
        backend->end();
        return false;
    }
    run_plan(run, backend, PREFAULT_VIA_VCPU_THREAD,
             prefault_ledger_debts(run->steps.ledger));
    run->started_ns = run->begun_ns;
    run_start_engine(run, PREFAULT_STEPS_OWED,
                     MIN(vcpus, threads ?: g_get_num_processors()));
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

    prefault_engine_work(run->engine, run_may_go_on, &until_ns);
}

void prefault_run_stop_here(PrefaultRun *run)
{
    assert(bql_locked());
    /* Does nothing to a run that is done */
    prefault_engine_cancel(run->engine);
    /* The outcome is dropped: memory that was not mapped stays owed */
    prefault_run_join(run);
}

void prefault_run_cancel(PrefaultRun *run)
{
    assert(bql_locked());
    if (run->engine) {
        prefault_engine_cancel(run->engine);
        /*
         * Workers then stop waiting for vCPUs (own_thread_wait()), which may
         * need the BQL that the caller holds
         */
        prefault_gate_close();
    }
}

void prefault_run_invalidate(PrefaultRun *run)
{
    assert(bql_locked());
    run->stale = true;
    if (run->engine) {
        prefault_engine_invalidate(run->engine);
    }
}

static void run_take_figures(PrefaultRun *run)
{
    int64_t now = get_clock();

    prefault_engine_progress(run->engine, &run->figures.progress);
    run->figures.elapsed_ns = now - run->started_ns;
    run->figures.worked_ns = now - run->begun_ns;
    run->figures.unplaced = qatomic_read(&run->steps.unplaced);
}

/*
 * All memory that can be mapped is mapped now.  The debts that are left are for
 * addresses without RAM, or for RAM that is read-only or logs dirty pages:
 * forget them.
 */
static void run_forgive(PrefaultRun *run)
{
    for (guint i = 0; i < run->debts->len; i++) {
        PrefaultDebt *debt = &g_array_index(run->debts, PrefaultDebt, i);

        prefault_ledger_settle(run->steps.ledger, run->memory.generation,
                               debt->start, debt->end - debt->start, false);
    }
}

/* Only a held run checks the host: a conversion need not read /proc for it */
static void run_complete(PrefaultRun *run)
{
    if (!run->debts) {
        run->sufficed_rss = run_resident_pages();
    } else if (!run->figures.progress.later) {
        run_forgive(run);
    }
}

static PrefaultOutcome run_join_engine(PrefaultRun *run)
{
    PrefaultOutcome outcome = prefault_engine_wait(run->engine);

    run_take_figures(run);
    if (run->stale && (outcome == PREFAULT_OUTCOME_COMPLETED ||
                       outcome == PREFAULT_OUTCOME_FAILED)) {
        /*
         * The map changed between the last worker's end and now, or it was
         * changing already when a worker failed
         */
        outcome = PREFAULT_OUTCOME_STALE;
    }
    if (outcome == PREFAULT_OUTCOME_FAILED) {
        prefault_engine_failure(run->engine, &run->error);
        run->sufficed = 0;
    } else if (outcome == PREFAULT_OUTCOME_COMPLETED) {
        run_complete(run);
    }
    g_clear_pointer(&run->debts, g_array_unref);
    g_clear_pointer(&run->engine, prefault_engine_free);
    if (run->figures.maps && run->steps.via != PREFAULT_VIA_THIS_THREAD) {
        run->steps.backend->end();
    }
    return outcome;
}

PrefaultOutcome prefault_run_join(PrefaultRun *run)
{
    PrefaultOutcome outcome;

    assert(bql_locked());
    outcome = run->engine ? run_join_engine(run) : PREFAULT_OUTCOME_FAILED;
    if (run->steps.done) {
        qemu_bh_cancel(run->steps.done);
    }
    trace_prefault_run_join(outcome, run->figures.progress.populated,
                            run->figures.progress.mapped,
                            run->figures.elapsed_ns);
    prefault_memory_clear(&run->memory);
    return outcome;
}

PrefaultFigures prefault_run_figures(PrefaultRun *run)
{
    assert(bql_locked());
    if (run->engine) {
        run_take_figures(run);
    }
    run->figures.active = run->engine;
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
