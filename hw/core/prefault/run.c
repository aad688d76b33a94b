/*
 * A prefault run: one plan worked through, and its figures
 *
 * Brings the parts together: the plan from guest memory, the engine that works
 * through it, QEMU's madvise to populate, the accelerator to map and the ledger.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/resource.h>
#include "hw/core/cpu.h"
#include "qemu/madvise.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "gate.h"
#include "residency.h"
#include "run.h"
#include "trace.h"

/* Less is not worth a thread: zeroing this much takes some 10 ms */
#define PREFAULT_BYTES_PER_THREAD (64 * MiB)

/* How much nicer than QEMU's main thread a worker is */
#define PREFAULT_WORKER_NICE 10

/* A vCPU that left the guest for us, for about 0.1 ms, runs this long before
 * it does so again */
#define PREFAULT_PAUSE_US 1000

struct PrefaultRun {
    PrefaultLedger *ledger;
    QEMUBH *done;                   /* of the last worker */

    /* NULL and cleared unless the run is under way; protected by the BQL.
     * Workers read what does not change while there are any. */
    PrefaultEngine *engine;
    PrefaultMemory memory;
    const PrefaultBackend *backend; /* NULL: populate only */
    PrefaultVia via;
    GArray *debts;                  /* that it is to settle; NULL: none */

    bool stale;                     /* was invalidated, perhaps too late */
    int64_t until_ns;               /* prefault_run_work_here() */

    PrefaultFigures figures;
    int unplaced;                   /* errno of a worker; atomic */
    uint64_t sufficed;              /* the host had enough for this total */
    uint64_t sufficed_rss;          /* and this was QEMU's resident memory */
    bool private_sufficed;          /* likewise, once, for private memory */
    int64_t started_ns;
    int64_t begun_ns;               /* with this plan */
    Error *error;                   /* why it did not complete, or NULL */
};

PrefaultRun *prefault_run_new(PrefaultLedger *ledger, QEMUBH *done)
{
    PrefaultRun *run = g_new0(PrefaultRun, 1);

    run->ledger = ledger;
    run->done = done;
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

/* Engine operations: @opaque is the run */

/*
 * There may be a worker on each CPU that QEMU may use.  Workers that are nicer
 * than the main thread have all the time that nobody else wants, and the
 * monitor answers sooner.  The kernel counts niceness by thread.  A sandbox may
 * forbid it: never mind.
 */
static void run_give_way(void)
{
    setpriority(PRIO_PROCESS, 0,
                getpriority(PRIO_PROCESS, getpid()) + PREFAULT_WORKER_NICE);
}

static void run_enter(void *opaque, unsigned place)
{
    PrefaultRun *run = opaque;
    int ret = prefault_places_enter(run->memory.places, place);

    run_give_way();
    trace_prefault_run_enter(place, ret);
    if (ret) {
        qatomic_set(&run->unplaced, -ret);
    }
}

static uint64_t run_present(void *opaque, const PrefaultChunk *chunk,
                            bool *present)
{
    uint64_t same;

    *present = prefault_residency_extent(chunk->host, chunk->size, &same);
    return same;
}

/*
 * For write, or anonymous memory would get the zero page, which a first write
 * replaces: one more fault, and no huge page.  QEMU has advised MADV_HUGEPAGE
 * when it allocated the block; the order matters.
 */
static int run_madvise(const PrefaultChunk *chunk)
{
    return qemu_madvise(chunk->host, chunk->size, QEMU_MADV_POPULATE_WRITE)
           ? -errno : 0;
}

/* What becomes private meanwhile must not get shared memory any more */
static int run_populate(void *opaque, const PrefaultChunk *chunk)
{
    PrefaultRun *run = opaque;
    int ret;

    if (!chunk->is_convertible) {
        return run_madvise(chunk);
    }
    if (!prefault_gate_enter(run->memory.generation)) {
        return -ECANCELED;
    }
    ret = run_madvise(chunk);
    prefault_gate_leave();
    return ret;
}

static int run_map(void *opaque, unsigned worker, hwaddr gpa, uint64_t size,
                   uint64_t *mapped)
{
    PrefaultRun *run = opaque;

    return run->backend->map(run->via, worker, run->memory.generation, gpa,
                             size, mapped);
}

/*
 * While the guest runs, a page that cannot be had is left out: if the guest
 * touches it, it gets the error that it would get without us.
 */
static int run_or_leave_out(int ret)
{
    switch (ret) {
    case 0:
    case -EINTR:
    case -ETIME:
    case -EAGAIN:
    case -ECANCELED:
    case -EBUSY:
    case -ENODEV:
    case -ENOEXEC:
    case -EOPNOTSUPP:
        return ret;
    default:
        return -EHWPOISON;
    }
}

static int run_populate_or_leave_out(void *opaque, const PrefaultChunk *chunk)
{
    return run_or_leave_out(run_populate(opaque, chunk));
}

static int run_map_or_leave_out(void *opaque, unsigned worker, hwaddr gpa,
                                uint64_t size, uint64_t *mapped)
{
    PrefaultRun *run = opaque;
    int ret = run_or_leave_out(run_map(opaque, worker, gpa, size, mapped));

    if (run->via == PREFAULT_VIA_VCPU_THREAD && *mapped) {
        g_usleep(PREFAULT_PAUSE_US);
    }
    return ret;
}

static void run_settle(void *opaque, const PrefaultChunk *piece, bool mapped)
{
    PrefaultRun *run = opaque;

    prefault_ledger_settle(run->ledger, run->memory.generation, piece->gpa,
                           piece->size, mapped);
}

static void run_owe(void *opaque, const PrefaultChunk *piece)
{
    PrefaultRun *run = opaque;

    if (!run->backend) {
        return;                     /* nobody will ever map it */
    }
    prefault_ledger_add(run->ledger,
                        piece->is_private ? PREFAULT_OWED_REASON_LAUNCH
                        : piece->map_later ? PREFAULT_OWED_REASON_LOGGED
                        : PREFAULT_OWED_REASON_NO_VCPU,
                        piece->gpa, piece->size);
}

static void run_done(void *opaque)
{
    PrefaultRun *run = opaque;

    qemu_bh_schedule(run->done);
}

static const PrefaultEngineOps run_ops_held = {
    .enter = run_enter,
    .populate = run_populate,
    .map = run_map,
    .later = run_owe,
    .done = run_done,
};

static const PrefaultEngineOps run_ops_populate = {
    .enter = run_enter,
    .populate = run_populate,
    .later = run_owe,
    .done = run_done,
};

static const PrefaultEngineOps run_ops_owed = {
    .present = run_present,
    .populate = run_populate_or_leave_out,
    .map = run_map_or_leave_out,
    .settle = run_settle,
    .done = run_done,
};

static const PrefaultEngineOps run_ops_here = {
    .present = run_present,
    .populate = run_populate_or_leave_out,
    .map = run_map_or_leave_out,
    .settle = run_settle,
};

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
 * To look at every page takes a while, so memory that sufficed is not looked at
 * again, unless a run failed meanwhile or QEMU has given memory back since, as a
 * balloon does: others may have taken it.
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
    run->backend = backend;
    run->via = via;
    run->debts = debts;
    run->figures = (PrefaultFigures) {
        .total = prefault_plan_total(run->memory.plan),
        .total_private = prefault_plan_private(run->memory.plan),
        .maps = backend,
    };
    for (int i = 0; i < PREFAULT_SKIP_REASON__MAX; i++) {
        run->figures.skipped[i] = prefault_plan_skipped(run->memory.plan, i);
    }
    run->unplaced = 0;
    run->stale = false;
    run->begun_ns = get_clock();
    g_clear_pointer(&run->error, error_free);
}

static void run_start_engine(PrefaultRun *run, const PrefaultEngineOps *ops,
                             unsigned threads)
{
    run->figures.threads = threads;
    trace_prefault_run_begin(run->figures.total, threads, !!run->backend);
    run->engine = prefault_engine_start(run->memory.plan, ops, run, threads);
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
        qemu_bh_schedule(run->done);
        return;
    }
    if (backend) {
        backend->begin(PREFAULT_VIA_DESCRIPTOR);
    }
    run_start_engine(run, backend ? &run_ops_held : &run_ops_populate, threads);
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
             prefault_ledger_debts(run->ledger));
    run->started_ns = run->begun_ns;
    run_start_engine(run, &run_ops_owed,
                     MIN(vcpus, threads ?: g_get_num_processors()));
    return true;
}

void prefault_run_plan_here(PrefaultRun *run, const PrefaultBackend *backend,
                            PrefaultDebt debt)
{
    GArray *debts = g_array_new(false, false, sizeof(debt));

    g_array_append_val(debts, debt);
    run_plan(run, backend, PREFAULT_VIA_THIS_THREAD, debts);
    run_start_engine(run, &run_ops_here, 0);
}

static bool run_has_time(void *opaque)
{
    PrefaultRun *run = opaque;

    return get_clock() < run->until_ns &&
           !qatomic_read(&current_cpu->exit_request);
}

void prefault_run_work_here(PrefaultRun *run, int64_t budget_ns)
{
    run->until_ns = get_clock() + budget_ns;
    prefault_engine_work(run->engine, run_has_time);
}

void prefault_run_stop_here(PrefaultRun *run)
{
    /* Does nothing to a run that is done */
    prefault_engine_cancel(run->engine);
    prefault_run_join(run);
}

void prefault_run_cancel(PrefaultRun *run)
{
    assert(bql_locked());
    if (run->engine) {
        prefault_engine_cancel(run->engine);
        /* Nobody waits for a vCPU any more, which may need the BQL */
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
    run->figures.unplaced = qatomic_read(&run->unplaced);
}

/*
 * Everything that could be mapped is: what is left of the debts is no memory, is
 * read-only or logs dirty pages, and is left alone.
 */
static void run_forgive(PrefaultRun *run)
{
    for (guint i = 0; i < run->debts->len; i++) {
        PrefaultDebt *debt = &g_array_index(run->debts, PrefaultDebt, i);

        prefault_ledger_settle(run->ledger, run->memory.generation,
                               debt->start, debt->end - debt->start, false);
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
        run->sufficed_rss = run_resident_pages();
        if (run->debts && !run->figures.progress.later) {
            run_forgive(run);
        }
    }
    g_clear_pointer(&run->debts, g_array_unref);
    g_clear_pointer(&run->engine, prefault_engine_free);
    if (run->backend && run->via != PREFAULT_VIA_THIS_THREAD) {
        run->backend->end();
    }
    return outcome;
}

PrefaultOutcome prefault_run_join(PrefaultRun *run)
{
    PrefaultOutcome outcome;

    assert(bql_locked());
    outcome = run->engine ? run_join_engine(run) : PREFAULT_OUTCOME_FAILED;
    if (run->done) {
        qemu_bh_cancel(run->done);
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
    if (!run->error) {
        error_setg(&run->error, "%s", why);
    }
}
