/*
 * Owed memory is mapped in the background, while the guest runs
 *
 *   owe -> (memory map at rest) -> timer -> run -> finish -> timer -> ...
 *                                                    |
 *                                                    +-> nothing is owed
 *
 * All state is protected by the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "hw/core/cpu.h"
#include "hw/core/prefault.h"
#include "system/cpus.h"
#include "hw/core/prefault-compat.h"
#include "attempt.h"
#include "background.h"
#include "gate.h"
#include "memory.h"
#include "options.h"
#include "residency.h"
#include "run.h"
#include "trace.h"
#include "watch.h"

/* Time between two runs; it doubles with each run that maps nothing */
#define PAUSE_MS 1
#define PAUSE_MAX_MS 1000
/* If the memory map never rests, the run begins after so many rest times */
#define RESTS_MAX 10

static struct {
    const PrefaultBackend *backend;
    PrefaultLedger *ledger;
    bool started;
    bool no_residency;          /* the host does not say which pages it has */
    PrefaultRun *run;
    bool active;                /* @run is under way */
    PrefaultBackgroundFinished *finished;
    bool stuck;                 /* the last run got nowhere */
    QEMUTimer *timer;
    unsigned pause_ms;
    int64_t owed_since_ms;
} background;

static uint64_t background_owed(void)
{
    return prefault_ledger_owed(background.ledger, PREFAULT_OWED_REASON__MAX);
}

static int64_t background_now_ms(void)
{
    return qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
}

static void background_wake_at_rest(unsigned rest_ms)
{
    int64_t now = background_now_ms();

    background.pause_ms = PAUSE_MS;
    timer_mod(background.timer,
              MAX(now, MIN(now + rest_ms, background.owed_since_ms +
                           (int64_t)rest_ms * RESTS_MAX)));
}

/* Memory that the run did not map stays owed.  Returns how it ended. */
static PrefaultOutcome background_close(PrefaultFigures *figures)
{
    PrefaultOutcome outcome = prefault_run_close(background.run);

    *figures = prefault_run_figures(background.run);
    background.active = false;
    background.finished(outcome, figures, prefault_run_error(background.run));
    return outcome;
}

/* As long as it is owed nobody looks for what the host takes away */
static void background_give_up_plugged(void)
{
    if (prefault_ledger_owed(background.ledger, PREFAULT_OWED_REASON_PLUGGED)) {
        warn_report("prefault: %s; what was plugged in is left to page faults",
                    prefault_run_error(background.run));
        prefault_ledger_forgive(background.ledger,
                                PREFAULT_OWED_REASON_PLUGGED);
    }
}

/* Run again soon if the last run mapped something, and later if it did not */
static void background_wake_after_run(bool moved)
{
    background.pause_ms = moved ? PAUSE_MS
                                : MIN(background.pause_ms * 2, PAUSE_MAX_MS);
    timer_mod(background.timer, background_now_ms() + background.pause_ms);
}

static void background_finish(void)
{
    PrefaultFigures figures;
    PrefaultOutcome outcome = background_close(&figures);
    uint64_t owed;

    background.stuck = !figures.progress.mapped;
    if (prefault_run_is_refused(&figures)) {
        background_give_up_plugged();
    }
    owed = background_owed();
    trace_prefault_background_finish(figures.progress.mapped, owed);
    prefault_watch_remapped(outcome == PREFAULT_OUTCOME_COMPLETED &&
                            figures.progress.mapped + figures.progress.later ==
                            figures.total);
    /* A change of the memory map may have set the timer already: leave it */
    if (owed && !timer_pending(background.timer)) {
        background_wake_after_run(figures.progress.mapped);
    }
}

/*
 * While writes are tracked nothing of guest memory can be mapped: once a run
 * has populated it, the next one would only look at it again
 */
static bool background_may_run(void)
{
    return prefault_memory_may_be_populated() &&
           !(background.stuck && global_dirty_tracking);
}

/* Takes what there is room for; the rest stays owed */
static void background_timer(void *opaque)
{
    PrefaultRunWish wish = {
        .threads = prefault_options_threads(),
        .check = prefault_options_check(),
        .returned = prefault_watch_has_returned(),
    };

    if (background.active) {
        return;
    }
    if (!background_owed()) {
        background.finished(PREFAULT_OUTCOME_COMPLETED, &(PrefaultFigures) {},
                            NULL);
        return;
    }
    background.active = background_may_run() &&
        prefault_run_begin_owed(background.run, background.backend, wish);
    trace_prefault_background_timer(background_owed(), background.active);
    if (!background.active) {
        background_wake_after_run(false);
    }
}

/*
 * The host has taken mappings: nobody knows where.  A run that has settled all
 * that it knew of, but has not ended, must neither settle nor forgive any of
 * what is owed now; nor must a vCPU that has just converted memory.
 */
static void background_lost(void)
{
    prefault_gate_close();
    if (background.active) {
        prefault_run_invalidate(background.run);
    }
    prefault_owe_all(PREFAULT_OWED_REASON_LOST, PAUSE_MS);
}

void prefault_background_set_up(const PrefaultBackend *backend,
                                PrefaultBackgroundFinished *finished)
{
    assert(bql_locked());
    background.backend = backend;
    background.finished = finished;
    background.ledger = prefault_ledger_new();
    background.run = prefault_run_new(background.ledger, background_finish);
    background.timer = timer_new_ms(QEMU_CLOCK_REALTIME, background_timer,
                                    NULL);
    background.no_residency = !prefault_residency_set_up();
    prefault_watch_set_up(background.ledger, background_lost);
}

void prefault_background_start(void)
{
    assert(bql_locked());
    if (!background.backend || background.started) {
        return;
    }
    background.started = true;
    if (prefault_options_keep() != PREFAULT_KEEP_OFF &&
        !background.no_residency) {
        prefault_watch_start();
    }
    if (background_owed()) {
        background.owed_since_ms = background_now_ms();
        background_wake_at_rest(PAUSE_MS);
    }
}

void prefault_background_pause(void)
{
    assert(bql_locked());
    if (background.active) {
        PrefaultFigures figures;

        prefault_run_cancel(background.run);
        background_close(&figures);
        timer_mod(background.timer, background_now_ms() + PAUSE_MAX_MS);
    }
}

GArray *prefault_background_stop(void)
{
    GArray *owed = NULL;

    assert(bql_locked());
    if (background.backend) {
        prefault_background_pause();
        owed = prefault_watch_stop() && background.started
               ? prefault_ledger_debts(background.ledger) : NULL;
        timer_del(background.timer);
        background.started = false;
        prefault_ledger_clear(background.ledger);
    }
    return owed;
}

void prefault_background_map_changing(void)
{
    assert(bql_locked());
    prefault_watch_changing();
    if (background.active) {
        prefault_run_invalidate(background.run);
    }
}

void prefault_background_tracking_ended(hwaddr start, uint64_t size)
{
    prefault_owe(PREFAULT_OWED_REASON_LOGGED, start, size, PREFAULT_REST_MS);
}

PrefaultLedger *prefault_background_ledger(void)
{
    return background.ledger;
}

PrefaultFigures prefault_background_figures(void)
{
    assert(bql_locked());
    return background.active ? prefault_run_figures(background.run)
                             : (PrefaultFigures) {};
}

/* Without residency, map only memory that is populated as well */
static bool background_can_pay(PrefaultOwedReason reason)
{
    if (!background.started) {
        return false;
    }
    if (background.no_residency && !prefault_ledger_populates(reason)) {
        warn_report_once("prefault: no /proc/self/pagemap: what changes of the "
                         "memory map drop is left to page faults");
        return false;
    }
    return true;
}

static void background_note(PrefaultOwedReason reason, hwaddr start,
                            uint64_t size)
{
    hwaddr page = qemu_real_host_page_size();
    hwaddr end = QEMU_ALIGN_DOWN(start + size, page);

    start = QEMU_ALIGN_UP(start, page);
    if (start < end) {
        if (!background_owed()) {
            background.owed_since_ms = background_now_ms();
        }
        if (reason != PREFAULT_OWED_REASON_LOST) {
            prefault_watch_change();
        }
        background.stuck = false;
        prefault_ledger_add(background.ledger, reason, start, end - start);
    }
}

void prefault_owe(PrefaultOwedReason reason, hwaddr start, uint64_t size,
                  unsigned rest_ms)
{
    assert(bql_locked());
    if (background_can_pay(reason)) {
        background_note(reason, start, size);
        background_wake_at_rest(rest_ms);
    }
}

static void background_note_section(MemoryRegionSection *section, void *opaque)
{
    const PrefaultOwedReason *reason = opaque;

    background_note(*reason, section->offset_within_address_space,
                    int128_get64(section->size));
}

void prefault_owe_all(PrefaultOwedReason reason, unsigned rest_ms)
{
    assert(bql_locked());
    if (background_can_pay(reason)) {
        prefault_memory_walk(0, HWADDR_MAX, background_note_section, &reason);
        background_wake_at_rest(rest_ms);
    }
}

void prefault_returned(RAMBlock *rb, uint64_t offset, uint64_t size)
{
    /* What such a manager has is skipped, or converted (guest_memfd) */
    if (!background.started || background.no_residency ||
        memory_region_has_ram_discard_manager(rb->mr)) {
        return;
    }
    /* Of a guest that cannot do so just now QEMU replaces a poisoned page */
    if (cpu_is_stopped(first_cpu)) {
        prefault_watch_replaced();
    } else {
        prefault_watch_returned();
    }
}

/*
 * Memory that is not owed any more may be in plans all the same: one run has
 * settled it, and the worker of another is at it
 */
bool prefault_withdrawing(hwaddr start, uint64_t size)
{
    assert(bql_locked());
    prefault_watch_change();
    if (!background.started ||
        (!prefault_ledger_overlaps(background.ledger, start, size) &&
         !prefault_attempt_plans(start, size))) {
        return false;
    }
    prefault_gate_close();
    prefault_background_map_changing();
    return true;
}

void prefault_converted(hwaddr start, uint64_t size, int64_t budget_ns)
{
    const PrefaultDebt debt = { .start = start, .end = start + size,
                                .reason = PREFAULT_OWED_REASON_CONVERTED };
    g_autoptr(PrefaultRun) run = NULL;

    bql_lock();
    if (background.started) {
        background_note(debt.reason, start, size);
        run = prefault_run_new(background.ledger, NULL);
        prefault_run_plan_here(run, background.backend, debt);
        bql_unlock();
        prefault_run_work_here(run, budget_ns);
        bql_lock();
        prefault_run_stop_here(run);
        if (prefault_ledger_overlaps(background.ledger, start, size)) {
            background_wake_at_rest(PAUSE_MS);
        }
    }
    bql_unlock();
}
