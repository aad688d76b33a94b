/*
 * A prefault run: one plan worked through, and its figures
 *
 * Brings the parts together: the plan from the memory map, the engine that
 * works through it, QEMU's madvise to populate and the accelerator to map.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/madvise.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "memory-map.h"
#include "run.h"
#include "trace.h"

/* Less is not worth a thread: zeroing this much takes some 10 ms */
#define PREFAULT_BYTES_PER_THREAD (64 * MiB)

/* Engine operations: @opaque is the run, of which workers see what is fixed */

static int work_populate(void *opaque, const PrefaultChunk *chunk)
{
    /*
     * For write, or anonymous memory would get the zero page, which a first
     * write replaces: one more fault, and no huge page.  QEMU has advised
     * MADV_HUGEPAGE when it allocated the block; the order matters.
     */
    return qemu_madvise(chunk->host, chunk->size, QEMU_MADV_POPULATE_WRITE)
           ? -errno : 0;
}

static int work_map(void *opaque, unsigned worker, hwaddr gpa, uint64_t size,
                    uint64_t *mapped)
{
    PrefaultRun *run = opaque;

    return run->backend->map(worker, gpa, size, mapped);
}

static void work_kick(void *opaque, QemuThread *thread)
{
    PrefaultRun *run = opaque;

    run->backend->kick(thread);
}

static void work_done(void *opaque)
{
    PrefaultRun *run = opaque;

    qemu_bh_schedule(run->done_bh);
}

static const PrefaultEngineOps populate_and_map_ops = {
    .populate = work_populate,
    .map = work_map,
    .kick = work_kick,
    .done = work_done,
};

static const PrefaultEngineOps populate_only_ops = {
    .populate = work_populate,
    .done = work_done,
};

static unsigned run_thread_count(uint64_t bytes)
{
    /* GLib counts the CPUs of the affinity mask */
    return MAX(1, MIN(g_get_num_processors(),
                      bytes / PREFAULT_BYTES_PER_THREAD));
}

void prefault_run_begin(PrefaultRun *run, const PrefaultBackend *backend,
                        bool map, QEMUBH *done_bh)
{
    run->plan = prefault_map_plan(&run->regions);
    run->backend = map ? backend : NULL;
    run->done_bh = done_bh;
    run->total = prefault_plan_total(run->plan);
    for (int i = 0; i < PREFAULT_SKIP_REASON__MAX; i++) {
        run->skipped[i] = prefault_plan_skipped(run->plan, i);
    }
    run->progress = (PrefaultProgress) {};
    run->threads = run_thread_count(run->total);
    error_free(run->error);
    run->error = NULL;

    trace_prefault_run_begin(run->total, run->threads, map);
    if (map) {
        backend->begin();
    }
    run->engine = prefault_engine_start(run->plan,
                                        map ? &populate_and_map_ops
                                            : &populate_only_ops,
                                        run, run->threads);
}

static void run_take_figures(PrefaultRun *run)
{
    prefault_engine_progress(run->engine, &run->progress);
    run->elapsed_ns = get_clock() - run->started_ns;
}

PrefaultOutcome prefault_run_join(PrefaultRun *run)
{
    PrefaultOutcome outcome = prefault_engine_wait(run->engine);

    qemu_bh_cancel(run->done_bh);
    run_take_figures(run);
    if (outcome == PREFAULT_OUTCOME_FAILED) {
        prefault_engine_failure(run->engine, &run->error);
    }
    trace_prefault_run_join(outcome, run->progress.populated,
                            run->progress.mapped, run->elapsed_ns);
    g_clear_pointer(&run->engine, prefault_engine_free);
    if (run->backend) {
        run->backend->end();
    }
    g_clear_pointer(&run->plan, prefault_plan_free);
    g_clear_pointer(&run->regions, g_ptr_array_unref);
    return outcome;
}

static PrefaultSkipList *run_describe_skips(PrefaultRun *run, uint64_t *sum)
{
    PrefaultSkipList *list = NULL, **tail = &list;

    for (int i = 0; i < PREFAULT_SKIP_REASON__MAX; i++) {
        if (run->skipped[i]) {
            PrefaultSkip *skip = g_new0(PrefaultSkip, 1);

            skip->reason = i;
            skip->bytes = run->skipped[i];
            QAPI_LIST_APPEND(tail, skip);
            *sum += run->skipped[i];
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
    info->total = run->total;
    info->has_populated = true;
    info->populated = run->progress.populated;
    info->has_mapped = true;
    info->mapped = run->progress.mapped;
    info->has_failed = true;
    info->failed = run->progress.failed;
    info->has_skipped = true;
    info->has_skips = true;
    info->skips = run_describe_skips(run, &info->skipped);
    info->has_threads = true;
    info->threads = run->threads;
    info->has_elapsed_ms = true;
    info->elapsed_ms = run->elapsed_ns / SCALE_MS;
    info->error = run->error ? g_strdup(error_get_pretty(run->error)) : NULL;
}
