/*
 * Prefault: the life cycle
 *
 * Decides when guest memory is prefaulted and holds the guest's start until it
 * is.  Guarantees with mode on: the guest runs no instruction before all
 * memory of the plan, made of the memory map that the guest will see, is
 * populated and mapped.  The main loop waits for no worker, except while a
 * debugger is about to step.
 * The same holds for the vCPUs of a running guest that was reset; its clock
 * stands still meanwhile.  behind.h is for a guest that must not wait.
 *
 * All state is protected by the BQL.  The end of a run arrives in the main
 * loop by a bottom half:
 *
 *   prefault_hold_start(), prefault_hold_resume(), prefault_start()
 *     -> begin_run -> workers -> finish -> close_run -> release
 *     |      ^                       |         ^
 *     |      +------ plan stale -----+         |
 *     +-> begin_behind -> behind_done ---------+
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "qapi/qapi-types-run-state.h"
#include "hw/core/prefault.h"
#include "system/runstate.h"
#include "background.h"
#include "behind.h"
#include "changes.h"
#include "due.h"
#include "gate.h"
#include "hold.h"
#include "lifecycle.h"
#include "options.h"
#include "report.h"
#include "reset.h"
#include "run.h"
#include "trace.h"
#include "watch.h"

/*
 * Longer than the monitor's limit for PREFAULT_PROGRESS, so that no event is
 * kept back there and sent after PREFAULT_COMPLETED.
 */
#define PROGRESS_MS 1001

typedef struct Prefault {
    PrefaultConfig config;
    QEMUTimer *progress_timer;

    PrefaultStatus status;
    PrefaultTrigger trigger;
    PrefaultRun *run;                   /* one that the guest waits for */
    bool behind;                        /* the last one is not @run: behind.h */
} Prefault;

static Prefault lifecycle;

static bool lifecycle_is_active(void)
{
    return lifecycle.status == PREFAULT_STATUS_ACTIVE;
}

/* Is a run under way that the guest waits for, or would? */
static bool lifecycle_is_awaited(void)
{
    return lifecycle_is_active() && !lifecycle.behind;
}

static PrefaultFigures lifecycle_figures(const Prefault *s)
{
    return s->behind ? prefault_behind_figures() : prefault_run_figures(s->run);
}

static const char *lifecycle_error(const Prefault *s)
{
    return s->behind ? prefault_behind_error() : prefault_run_error(s->run);
}

static PrefaultRunWish lifecycle_wish(const Prefault *s)
{
    return (PrefaultRunWish) {
        .threads = prefault_options_threads(),
        .all = s->config.mode == PREFAULT_MODE_ON,
        .check = prefault_options_check(),
        .keep = prefault_options_keep(),
        .returned = prefault_watch_has_returned(),
    };
}

static void lifecycle_begin_run(Prefault *s, bool again)
{
    PrefaultRunWish wish = lifecycle_wish(s);

    wish.doubts = prefault_background_stop();
    prefault_behind_end(NULL);
    prefault_run_begin(s->run, s->config.backend, wish, again);
}

/* Take note of the end of a run that is not begun anew */
static void lifecycle_close_run(Prefault *s, PrefaultOutcome outcome)
{
    static const PrefaultStatus ends[] = {
        [PREFAULT_OUTCOME_COMPLETED] = PREFAULT_STATUS_COMPLETED,
        [PREFAULT_OUTCOME_FAILED] = PREFAULT_STATUS_FAILED,
        [PREFAULT_OUTCOME_CANCELLED] = PREFAULT_STATUS_CANCELLED,
        [PREFAULT_OUTCOME_STALE] = PREFAULT_STATUS_CANCELLED,
        [PREFAULT_OUTCOME_RUNNING] = PREFAULT_STATUS_CANCELLED,
    };
    PrefaultFigures figures;
    bool ready;

    s->status = ends[outcome];
    timer_del(s->progress_timer);
    /*
     * With auto, a run that failed is all that this host can do.  A request
     * takes nothing from a guest that was ready before.
     */
    if (s->behind) {
        /* A reset may have come, or memory, for which the guest is to wait */
        ready = prefault_due_is_ready();
    } else {
        ready = s->status == PREFAULT_STATUS_COMPLETED ||
                s->config.mode != PREFAULT_MODE_ON ||
                (s->trigger == PREFAULT_TRIGGER_REQUEST &&
                 prefault_due_is_ready());
        prefault_due_set_ready(ready, s->status == PREFAULT_STATUS_COMPLETED);
    }
    trace_prefault_close_run(PrefaultStatus_str(s->status), ready);
    figures = lifecycle_figures(s);
    prefault_report_end(&figures, lifecycle_error(s), s->status, ready);
    /* Even after a run that was cut short: the guest may start all the same */
    prefault_background_start();
}

static void lifecycle_behind_done(PrefaultOutcome outcome)
{
    lifecycle_close_run(&lifecycle, outcome);
}

static void lifecycle_begin_behind(Prefault *s)
{
    prefault_due_set_ready(true, false);
    prefault_background_start();
    prefault_behind_begin(s->trigger == PREFAULT_TRIGGER_RESTORE
                          ? PREFAULT_OWED_REASON_ARRIVED
                          : PREFAULT_OWED_REASON_REQUESTED,
                          lifecycle_wish(s), lifecycle_behind_done);
}

static void lifecycle_begin(Prefault *s, PrefaultTrigger trigger, bool behind)
{
    s->status = PREFAULT_STATUS_ACTIVE;
    s->trigger = trigger;
    s->behind = behind;
    trace_prefault_begin(PrefaultTrigger_str(trigger), behind);
    if (behind) {
        lifecycle_begin_behind(s);
    } else {
        lifecycle_begin_run(s, false);
    }
    timer_mod(s->progress_timer,
              qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + PROGRESS_MS);
}

static void lifecycle_progress(void *opaque)
{
    Prefault *s = opaque;
    PrefaultFigures figures = lifecycle_figures(s);

    prefault_report_progress(&figures, s->trigger);
    timer_mod(s->progress_timer,
              qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + PROGRESS_MS);
}

/*
 * The run was closed.  Returns false if the memory map changed meanwhile: a new
 * run has begun.
 */
static bool lifecycle_finish(Prefault *s, PrefaultOutcome outcome)
{
    if (outcome == PREFAULT_OUTCOME_STALE) {
        lifecycle_begin_run(s, true);
        return false;
    }
    lifecycle_close_run(s, outcome);
    return true;
}

static void lifecycle_workers_done(void)
{
    Prefault *s = &lifecycle;

    if (lifecycle_finish(s, prefault_run_close(s->run))) {
        prefault_hold_release(prefault_due_is_ready());
    }
}

/* End a run; @why is its error for the user, unless it had completed */
static void lifecycle_abort(Prefault *s, const char *why)
{
    PrefaultOutcome outcome;

    prefault_run_cancel(s->run);
    outcome = prefault_run_close(s->run);
    if (outcome != PREFAULT_OUTCOME_COMPLETED) {
        prefault_run_set_error(s->run, why);
    }
    lifecycle_close_run(s, outcome);
}

/* Begin the run that a guest that is about to run has to wait for, if any */
static bool lifecycle_must_wait(Prefault *s)
{
    PrefaultTrigger trigger;
    PrefaultRestore way;

    if (s->config.mode == PREFAULT_MODE_OFF) {
        return false;
    }
    if (lifecycle_is_awaited()) {
        return true;
    }
    way = prefault_due_way(&trigger);
    if (way == PREFAULT_RESTORE_NONE) {
        prefault_background_start();
    } else {
        lifecycle_begin(s, trigger, way == PREFAULT_RESTORE_BACKGROUND);
    }
    return way == PREFAULT_RESTORE_HOLD;
}

/* Wait for the run inside the call; may the guest go on then? */
static bool lifecycle_wait(Prefault *s)
{
    prefault_hold(PREFAULT_HOLD_START);
    while (lifecycle_is_awaited()) {
        if (!prefault_run_let_others(s->run)) {
            lifecycle_finish(s, prefault_run_join(s->run));
        }
    }
    return prefault_hold_take(prefault_due_is_ready());
}

bool prefault_hold_start(bool step_pending)
{
    Prefault *s = &lifecycle;

    assert(bql_locked());
    if (!lifecycle_must_wait(s)) {
        return false;
    }
    if (step_pending) {
        return !lifecycle_wait(s);
    }
    prefault_hold(PREFAULT_HOLD_START);
    return true;
}

bool prefault_hold_resume(void)
{
    Prefault *s = &lifecycle;

    assert(bql_locked());
    if (!lifecycle_must_wait(s)) {
        return false;
    }
    prefault_hold(PREFAULT_HOLD_RESUME);
    return true;
}

void prefault_cancel_start(void)
{
    static const char *const why[] = {
        [PREFAULT_HOLD_NONE] = "QEMU was told to stop the guest",
        [PREFAULT_HOLD_START] = "the guest was stopped before its start",
        [PREFAULT_HOLD_RESUME] = "the guest was stopped during its reset",
    };
    Prefault *s = &lifecycle;
    PrefaultHold hold = prefault_hold_drop();

    assert(bql_locked());
    prefault_background_pause();
    if (lifecycle_is_awaited()) {
        bool was_ready = prefault_due_is_ready();

        lifecycle_abort(s, why[hold]);
        /* The next start is a new one, with auto too */
        if (s->status != PREFAULT_STATUS_COMPLETED) {
            prefault_due_set_ready(was_ready, false);
        }
    }
}

bool prefault_start(Error **errp)
{
    Prefault *s = &lifecycle;
    bool behind;

    assert(bql_locked());
    if (s->config.mode == PREFAULT_MODE_OFF) {
        error_setg(errp, "Prefault is off: start QEMU with prefault=on, "
                   "prefault=auto or prefault=background");
    } else if (lifecycle_is_active()) {
        error_setg(errp, "A prefault run is under way already");
    } else if (prefault_due_may_run(&behind, errp)) {
        prefault_options_set_unlocked(false);
        lifecycle_begin(s, PREFAULT_TRIGGER_REQUEST, behind);
        return true;
    }
    return false;
}

bool prefault_cancel(Error **errp)
{
    static const char why[] = "cancelled by prefault-cancel";
    Prefault *s = &lifecycle;

    assert(bql_locked());
    if (!lifecycle_is_active()) {
        error_setg(errp, "No prefault run is under way");
        return false;
    }
    if (s->behind) {
        prefault_background_pause();
        prefault_behind_end(why);
        lifecycle_close_run(s, PREFAULT_OUTCOME_CANCELLED);
    } else {
        lifecycle_abort(s, why);
        prefault_hold_release(prefault_due_is_ready());
    }
    return true;
}

static void lifecycle_map_changing(void)
{
    if (lifecycle_is_awaited()) {
        trace_prefault_map_changing();
        prefault_run_invalidate(lifecycle.run);
    }
    prefault_background_map_changing();
}

/*
 * Memory has to be prefaulted again before the guest goes on: devices were
 * reset, or a snapshot was loaded, which resets them too.
 */
static void lifecycle_reset(bool loaded)
{
    if (!prefault_due_reset(loaded)) {
        return;
    }
    prefault_hold_reset();
    /* A run under way filled page tables that the reset vCPUs may not use */
    prefault_gate_close();
    lifecycle_map_changing();
}

void prefault_lifecycle_set_up(PrefaultConfig config)
{
    Prefault *s = &lifecycle;

    assert(bql_locked());
    s->config = config;
    prefault_due_set_up(config.mode, config.backend, config.exempt);
    prefault_background_set_up(config.backend, prefault_behind_finished);
    s->run = prefault_run_new(prefault_background_ledger(),
                              lifecycle_workers_done);
    s->progress_timer = timer_new_ms(QEMU_CLOCK_REALTIME, lifecycle_progress,
                                     s);
    prefault_changes_watch(lifecycle_map_changing,
                           prefault_background_tracking_ended);
    prefault_reset_watch(lifecycle_reset);
}

PrefaultView prefault_lifecycle_view(void)
{
    Prefault *s = &lifecycle;
    PrefaultView view = {
        .config = s->config,
        .status = s->status,
        .trigger = s->trigger,
    };

    assert(bql_locked());
    if (s->run) {
        view.figures = lifecycle_figures(s);
        view.error = lifecycle_error(s);
    }
    return view;
}
