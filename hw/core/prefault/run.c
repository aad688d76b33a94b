/*
 * A prefault run: one plan worked through, and its figures
 *
 * Brings the parts together: the plan from the memory map, the engine that
 * works through it, QEMU's madvise to populate and the accelerator to map.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/resource.h>
#include "qemu/madvise.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "run.h"
#include "trace.h"

/* Less is not worth a thread: zeroing this much takes some 10 ms */
#define PREFAULT_BYTES_PER_THREAD (64 * MiB)

/* How much nicer than QEMU's main thread a worker is */
#define PREFAULT_WORKER_NICE 10

/* Engine operations: @opaque is the run, of which workers see what is fixed */

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
    int ret = prefault_places_enter(run->places, place);

    run_give_way();
    trace_prefault_run_enter(place, ret);
    if (ret) {
        qatomic_set(&run->unplaced, -ret);
    }
}

static int run_populate(void *opaque, const PrefaultChunk *chunk)
{
    /*
     * For write, or anonymous memory would get the zero page, which a first
     * write replaces: one more fault, and no huge page.  QEMU has advised
     * MADV_HUGEPAGE when it allocated the block; the order matters.
     */
    return qemu_madvise(chunk->host, chunk->size, QEMU_MADV_POPULATE_WRITE)
           ? -errno : 0;
}

static int run_map(void *opaque, unsigned worker, hwaddr gpa, uint64_t size,
                   uint64_t *mapped)
{
    PrefaultRun *run = opaque;

    return run->backend->map(worker, gpa, size, mapped);
}

static void run_kick(void *opaque, QemuThread *thread)
{
    PrefaultRun *run = opaque;

    run->backend->kick(thread);
}

static void run_done(void *opaque)
{
    PrefaultRun *run = opaque;

    qemu_bh_schedule(run->done_bh);
}

static const PrefaultEngineOps run_ops_map = {
    .enter = run_enter,
    .populate = run_populate,
    .map = run_map,
    .kick = run_kick,
    .done = run_done,
};

static const PrefaultEngineOps run_ops_populate = {
    .enter = run_enter,
    .populate = run_populate,
    .done = run_done,
};

static unsigned run_thread_count(uint64_t bytes)
{
    /* GLib counts the CPUs of the affinity mask */
    return MAX(1, MIN(g_get_num_processors(),
                      bytes / PREFAULT_BYTES_PER_THREAD));
}

/*
 * To look at every page takes a while, so memory that did not change is not
 * looked at again, unless a run failed meanwhile.
 */
static bool run_suffices(PrefaultRun *run)
{
    uint64_t shared = run->total - run->total_private;

    if (run->sufficed != shared &&
        !prefault_memory_suffices(run->plan, !run->private_sufficed,
                                  &run->error)) {
        return false;
    }
    run->sufficed = shared;
    run->private_sufficed = true;
    return true;
}

static void run_start_engine(PrefaultRun *run)
{
    if (run->backend) {
        run->backend->begin();
    }
    run->engine = prefault_engine_start(run->plan,
                                        run->backend ? &run_ops_map
                                                     : &run_ops_populate,
                                        run, run->threads);
}

void prefault_run_begin(PrefaultRun *run, const PrefaultBackend *backend,
                        unsigned threads, QEMUBH *done_bh)
{
    run->plan = prefault_memory_plan(&run->regions, &run->places);
    run->backend = backend;
    run->done_bh = done_bh;
    run->total = prefault_plan_total(run->plan);
    run->total_private = prefault_plan_private(run->plan);
    for (int i = 0; i < PREFAULT_SKIP_REASON__MAX; i++) {
        run->skipped[i] = prefault_plan_skipped(run->plan, i);
    }
    run->progress = (PrefaultProgress) {};
    run->threads = threads ?: run_thread_count(run->total);
    run->unplaced = 0;
    run->stale = false;
    run->begun_ns = get_clock();
    run->elapsed_ns = run->begun_ns - run->started_ns;
    g_clear_pointer(&run->error, error_free);

    trace_prefault_run_begin(run->total, run->threads, !!backend);
    if (run_suffices(run)) {
        run_start_engine(run);
    } else {
        qemu_bh_schedule(done_bh);
    }
}

void prefault_run_cancel(PrefaultRun *run)
{
    if (run->engine) {
        prefault_engine_cancel(run->engine);
    }
}

void prefault_run_invalidate(PrefaultRun *run)
{
    run->stale = true;
    if (run->engine) {
        prefault_engine_invalidate(run->engine);
    }
}

static void run_take_figures(PrefaultRun *run)
{
    prefault_engine_progress(run->engine, &run->progress);
    run->elapsed_ns = get_clock() - run->started_ns;
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
    }
    g_clear_pointer(&run->engine, prefault_engine_free);
    if (run->backend) {
        run->backend->end();
    }
    return outcome;
}

PrefaultOutcome prefault_run_join(PrefaultRun *run)
{
    PrefaultOutcome outcome = run->engine ? run_join_engine(run)
                                          : PREFAULT_OUTCOME_FAILED;

    qemu_bh_cancel(run->done_bh);
    trace_prefault_run_join(outcome, run->progress.populated,
                            run->progress.mapped, run->elapsed_ns);
    g_clear_pointer(&run->plan, prefault_plan_free);
    g_clear_pointer(&run->regions, g_ptr_array_unref);
    g_clear_pointer(&run->places, prefault_places_free);
    return outcome;
}

/* What cannot be mapped yet is not part of the total */
static uint64_t run_total(const PrefaultRun *run)
{
    return run->total - run->progress.later;
}

/* The average since the plan was made; mapping comes last where there is any */
static void run_describe_rate(const PrefaultRun *run, PrefaultInfo *info)
{
    const PrefaultProgress *p = &run->progress;
    uint64_t done = (run->backend ? p->mapped : p->populated) + p->failed;
    int64_t ns = run->elapsed_ns - (run->begun_ns - run->started_ns);

    if (!done || ns <= 0) {
        return;
    }
    info->has_rate = true;
    info->rate = (double)done * NANOSECONDS_PER_SECOND / ns;
    if (run->engine) {
        info->has_remaining_ms = true;
        info->remaining_ms = (double)(run_total(run) - done) / done *
                             (ns / SCALE_MS);
    }
}

static PrefaultSkipList *run_describe_skips(PrefaultRun *run, uint64_t *sum)
{
    PrefaultSkipList *list = NULL, **tail = &list;

    for (int i = 0; i < PREFAULT_SKIP_REASON__MAX; i++) {
        uint64_t bytes = run->skipped[i] + (i == PREFAULT_SKIP_REASON_PRIVATE
                                            ? run->progress.later : 0);

        if (bytes) {
            PrefaultSkip *skip = g_new0(PrefaultSkip, 1);

            skip->reason = i;
            skip->bytes = bytes;
            QAPI_LIST_APPEND(tail, skip);
            *sum += bytes;
        }
    }
    return list;
}

void prefault_run_describe(PrefaultRun *run, PrefaultInfo *info)
{
    if (run->engine) {
        run_take_figures(run);
    }
    info->has_total = true;
    info->total = run_total(run);
    info->has_populated = true;
    info->populated = run->progress.populated;
    info->has_mapped = true;
    info->mapped = run->progress.mapped;
    if (run->total_private) {
        info->has_q_private = true;
        info->q_private = run->total_private - run->progress.private_later;
        info->has_private_mapped = true;
        info->private_mapped = run->progress.private_mapped;
    }
    info->has_failed = true;
    info->failed = run->progress.failed;
    info->has_skipped = true;
    info->has_skips = true;
    info->skips = run_describe_skips(run, &info->skipped);
    info->has_threads = true;
    info->threads = run->threads;
    info->has_elapsed_ms = true;
    info->elapsed_ms = run->elapsed_ns / SCALE_MS;
    run_describe_rate(run, info);
    info->error = run->error ? g_strdup(error_get_pretty(run->error)) : NULL;
}
