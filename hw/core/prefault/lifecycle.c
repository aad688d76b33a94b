/*
 * Prefault: the life cycle
 *
 * Decides when guest memory is prefaulted and holds the guest's start until it
 * is.  Guarantees with mode on: the guest runs no instruction before all
 * memory of the plan, made of the memory map that the guest will see, is
 * populated and mapped.  The main loop waits for no worker, except while a
 * debugger is about to step.
 * The same holds for the vCPUs of a running guest that was reset; its clock
 * stands still meanwhile.
 *
 * All state is protected by the BQL.  The end of a run arrives in the main
 * loop by a bottom half:
 *
 *   prefault_hold_start(), prefault_hold_resume(), prefault_start()
 *     -> begin_run -> workers -> finish -> close_run -> release
 *            ^                       |
 *            +------ plan stale -----+
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "qapi/qapi-types-run-state.h"
#include "hw/core/prefault.h"
#include "system/runstate.h"
#include "system/system.h"
#include "background.h"
#include "gate.h"
#include "hold.h"
#include "lifecycle.h"
#include "memory.h"
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
    bool ready;                         /* the guest may start at once */
    PrefaultTrigger due;                /* unless @ready: the next trigger */
    const char *exempt;                 /* why no start waits, or NULL */

    QEMUTimer *progress_timer;

    PrefaultStatus status;
    PrefaultTrigger trigger;
    PrefaultRun *run;
} Prefault;

static Prefault lifecycle = {
    .config.mode = ON_OFF_AUTO_OFF,
};

static bool lifecycle_is_active(void)
{
    return lifecycle.status == PREFAULT_STATUS_ACTIVE;
}

static void lifecycle_begin_run(Prefault *s, bool again)
{
    GArray *owed = prefault_background_stop();

    s->status = PREFAULT_STATUS_ACTIVE;
    prefault_run_begin(s->run, s->config.backend, (PrefaultRunWish) {
        .threads = prefault_options_threads(),
        .all = s->config.mode == ON_OFF_AUTO_ON,
        .check = prefault_options_check(),
        .keep = prefault_options_keep(),
        .doubts = owed,
        .returned = prefault_watch_has_returned(),
    }, again);
}

static void lifecycle_begin(Prefault *s, PrefaultTrigger trigger)
{
    s->trigger = trigger;
    trace_prefault_begin(PrefaultTrigger_str(trigger));
    lifecycle_begin_run(s, false);
    timer_mod(s->progress_timer,
              qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + PROGRESS_MS);
}

static void lifecycle_progress(void *opaque)
{
    Prefault *s = opaque;

    prefault_report_progress(s->run, s->trigger);
    timer_mod(s->progress_timer,
              qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + PROGRESS_MS);
}

/* Take note of the end of a run that is not begun anew */
static void lifecycle_close_run(Prefault *s, PrefaultOutcome outcome)
{
    switch (outcome) {
    case PREFAULT_OUTCOME_COMPLETED:
        s->status = PREFAULT_STATUS_COMPLETED;
        s->due = PREFAULT_TRIGGER_START;
        break;
    case PREFAULT_OUTCOME_FAILED:
        s->status = PREFAULT_STATUS_FAILED;
        break;
    case PREFAULT_OUTCOME_CANCELLED:
    case PREFAULT_OUTCOME_STALE:
    case PREFAULT_OUTCOME_RUNNING:
        s->status = PREFAULT_STATUS_CANCELLED;
        break;
    }
    timer_del(s->progress_timer);
    /*
     * With auto, a run that failed is all that this host can do.  A request
     * takes nothing from a guest that was ready before.
     */
    s->ready = s->status == PREFAULT_STATUS_COMPLETED ||
               s->config.mode == ON_OFF_AUTO_AUTO ||
               (s->trigger == PREFAULT_TRIGGER_REQUEST && s->ready);
    trace_prefault_close_run(PrefaultStatus_str(s->status), s->ready);
    prefault_report_end(s->run, s->status, s->ready);
    /* Even after a run that was cut short: the guest may start all the same */
    prefault_background_start();
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
        prefault_hold_release(s->ready);
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

/* Run states from which the guest goes on without waiting, and why */
static const char *const lifecycle_exempt_states[RUN_STATE__MAX] = {
    [RUN_STATE_INMIGRATE] = "the guest comes by migration",
    [RUN_STATE_FINISH_MIGRATE] = "a migration failed and the guest goes on",
    [RUN_STATE_COLO] = "the guest is replicated (COLO)",
    [RUN_STATE_DEBUG] = "a debugger lets the guest go on",
};

/* The guest does not wait: its memory is owed, and is mapped while it runs */
static void lifecycle_exempt(Prefault *s)
{
    trace_prefault_hold_declined(s->exempt);
    s->ready = true;
    prefault_background_start();
    prefault_owe_all(PREFAULT_OWED_REASON_ARRIVED, PREFAULT_REST_MS);
}

/* Begin the run that a guest that is about to run has to wait for, if any */
static bool lifecycle_must_wait(Prefault *s)
{
    if (s->config.mode == ON_OFF_AUTO_OFF) {
        return false;
    }
    if (lifecycle_is_active()) {
        return true;
    }
    if (s->ready) {
        return false;
    }
    s->exempt = s->exempt ?: lifecycle_exempt_states[runstate_get()];
    if (s->exempt) {
        lifecycle_exempt(s);
        return false;
    }
    lifecycle_begin(s, s->due);
    return true;
}

bool prefault_hold_start(bool step_pending)
{
    Prefault *s = &lifecycle;

    assert(bql_locked());
    if (!lifecycle_must_wait(s)) {
        return false;
    }
    if (step_pending) {
        while (!lifecycle_finish(s, prefault_run_join(s->run))) {
            /* The plan was stale: wait for the new run in turn */
        }
        prefault_hold_drop();
        return !s->ready;
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
    if (lifecycle_is_active()) {
        bool was_ready = s->ready;

        lifecycle_abort(s, why[hold]);
        /* The next start is a new one, with auto too */
        s->ready = s->status == PREFAULT_STATUS_COMPLETED || was_ready;
    }
}

bool prefault_start(Error **errp)
{
    Prefault *s = &lifecycle;
    const char *exempt =
        s->config.exempt ?: lifecycle_exempt_states[runstate_get()];

    assert(bql_locked());
    if (s->config.mode == ON_OFF_AUTO_OFF) {
        error_setg(errp, "Prefault is off: start QEMU with prefault=on or "
                   "prefault=auto");
    } else if (runstate_is_live(runstate_get())) {
        error_setg(errp, "The guest is running: 'stop' it first");
    } else if (lifecycle_is_active()) {
        error_setg(errp, "A prefault run is under way already");
    } else if (exempt) {
        error_setg(errp, "Guest memory is not prefaulted: %s", exempt);
    } else {
        s->exempt = NULL;
        prefault_options_set_unlocked(false);
        lifecycle_begin(s, PREFAULT_TRIGGER_REQUEST);
        return true;
    }
    return false;
}

bool prefault_cancel(Error **errp)
{
    Prefault *s = &lifecycle;

    assert(bql_locked());
    if (!lifecycle_is_active()) {
        error_setg(errp, "No prefault run is under way");
        return false;
    }
    lifecycle_abort(s, "cancelled by prefault-cancel");
    prefault_hold_release(s->ready);
    return true;
}

static void lifecycle_map_changing(void)
{
    if (lifecycle_is_active()) {
        trace_prefault_map_changing();
        prefault_run_invalidate(lifecycle.run);
    }
    prefault_background_map_changing();
}

static void lifecycle_tracking_ended(hwaddr start, uint64_t size)
{
    prefault_owe(PREFAULT_OWED_REASON_LOGGED, start, size, PREFAULT_REST_MS);
}

/*
 * Memory has to be prefaulted again before the guest goes on: devices were
 * reset, or a snapshot was loaded, which resets them too.
 */
static void lifecycle_reset(void)
{
    Prefault *s = &lifecycle;

    if (runstate_check(RUN_STATE_INMIGRATE) || s->config.exempt) {
        return;
    }
    prefault_hold_reset();
    if (runstate_check(RUN_STATE_RESTORE_VM)) {
        s->due = PREFAULT_TRIGGER_SNAPSHOT_LOAD;
    } else if (s->ready) {
        s->due = PREFAULT_TRIGGER_RESET;
    }
    s->ready = false;
    s->exempt = NULL;
    trace_prefault_reset(PrefaultTrigger_str(s->due));
    /* A run under way filled page tables that the reset vCPUs may not use */
    prefault_gate_close();
    lifecycle_map_changing();
}

void prefault_lifecycle_set_up(PrefaultConfig config)
{
    Prefault *s = &lifecycle;

    assert(bql_locked());
    s->config = config;
    s->exempt = config.exempt ?: lifecycle_exempt_states[runstate_get()];
    prefault_background_set_up(config.backend);
    s->run = prefault_run_new(prefault_background_ledger(),
                              lifecycle_workers_done);
    s->progress_timer = timer_new_ms(QEMU_CLOCK_REALTIME, lifecycle_progress,
                                     s);
    prefault_memory_watch(lifecycle_map_changing, lifecycle_tracking_ended);
    prefault_reset_watch(lifecycle_reset);
}

/* What is left out, and what went wrong */
static void lifecycle_query_words(Prefault *s, PrefaultInfo *info)
{
    const char *error = s->run ? prefault_run_error(s->run) : NULL;

    if (s->exempt) {
        info->left_out = g_strdup_printf("all: %s", s->exempt);
    } else if (s->config.cannot_map) {
        info->left_out = g_strdup_printf("mapping: %s", s->config.cannot_map);
    } else if (s->status == PREFAULT_STATUS_COMPLETED && error) {
        info->left_out = g_strdup_printf("a part: %s", error);
    }
    if (s->status != PREFAULT_STATUS_COMPLETED) {
        info->error = g_strdup(error);
    }
}

PrefaultInfo *prefault_query(void)
{
    Prefault *s = &lifecycle;
    PrefaultInfo *info = g_new0(PrefaultInfo, 1);

    assert(bql_locked());
    info->mode = prefault_options_mode(NULL);
    info->status = s->status;
    lifecycle_query_words(s, info);
    if (s->config.backend && (s->status != PREFAULT_STATUS_NONE || s->exempt)) {
        info->retention = g_new0(PrefaultRetention, 1);
        info->retention->keep = prefault_options_keep();
        s->config.backend->retention(info->retention);
    }
    if (s->config.in_use) {
        info->conversions = s->config.in_use->conversions();
    }
    prefault_report_owed(prefault_background_ledger(), info);
    if (s->status != PREFAULT_STATUS_NONE) {
        info->has_trigger = true;
        info->trigger = s->trigger;
        prefault_report_figures(s->run, info);
    }
    return info;
}
