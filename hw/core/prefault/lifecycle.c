/*
 * Prefault: the life cycle
 *
 * Decides when guest memory is prefaulted and holds the guest's start until it
 * is.  Guarantees with mode on: the guest runs no instruction before all
 * memory of the plan, made of the memory map that the guest will see, is
 * populated and mapped.  The main loop is never blocked for longer than the
 * operation that a worker is in, except while a debugger is about to step.
 * The same holds for the vCPUs of a running guest that was reset; its clock
 * stands still meanwhile.
 *
 * All state is protected by the BQL.  The end of a run arrives in the main
 * loop by a bottom half:
 *
 *   hold_start, hold_resume, start
 *     -> begin_run -> workers -> finish_bh -> close_run -> release
 *            ^                       |
 *            +------ plan stale -----+
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/notify.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "qapi/qapi-types-run-state.h"
#include "hw/core/prefault.h"
#include "system/cpu-timers.h"
#include "system/cpus.h"
#include "system/reset.h"
#include "system/runstate.h"
#include "system/system.h"
#include "memory.h"
#include "options.h"
#include "report.h"
#include "run.h"
#include "setup.h"
#include "trace.h"

/*
 * Longer than the monitor's limit for PREFAULT_PROGRESS, so that no event is
 * kept back there and sent after PREFAULT_COMPLETED.
 */
#define PROGRESS_MS 1001

/* Who goes on when the run is over */
typedef enum PrefaultWaiter {
    PREFAULT_WAITER_NONE,
    PREFAULT_WAITER_START,      /* vm_start() */
    PREFAULT_WAITER_RESUME,     /* the vCPUs of a running guest */
} PrefaultWaiter;

typedef struct Prefault {
    PrefaultSetup setup;
    bool ready;                         /* nobody need wait any more */
    PrefaultTrigger due;                /* unless ready: what for */
    const char *exempt;                 /* why nobody waits, or NULL */

    PrefaultWaiter waiter;
    RunState start_state;               /* where the start waits */
    QEMUBH *finish_bh;                  /* the workers are done */
    QEMUTimer *progress_timer;

    PrefaultStatus status;
    PrefaultTrigger trigger;
    PrefaultRun run;
} Prefault;

static Prefault lifecycle = {
    .setup.mode = ON_OFF_AUTO_OFF,
};

static bool lifecycle_is_active(void)
{
    return lifecycle.status == PREFAULT_STATUS_ACTIVE;
}

static void lifecycle_begin_run(Prefault *s)
{
    s->status = PREFAULT_STATUS_ACTIVE;
    prefault_run_begin(&s->run, s->setup.backend, prefault_options_threads(),
                       s->finish_bh);
}

static void lifecycle_begin(Prefault *s, PrefaultTrigger trigger)
{
    s->trigger = trigger;
    s->run.started_ns = get_clock();
    trace_prefault_begin(PrefaultTrigger_str(trigger));
    lifecycle_begin_run(s);
    timer_mod(s->progress_timer,
              qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + PROGRESS_MS);
}

static void lifecycle_progress(void *opaque)
{
    Prefault *s = opaque;

    prefault_report_progress(&s->run, s->trigger);
    timer_mod(s->progress_timer,
              qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + PROGRESS_MS);
}

/* Close the books on a run that is not begun anew */
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
    /* With auto, a run that failed is all that this host can do */
    s->ready = s->status == PREFAULT_STATUS_COMPLETED ||
               s->setup.mode == ON_OFF_AUTO_AUTO;
    trace_prefault_close_run(PrefaultStatus_str(s->status), s->ready);
    prefault_report_end(&s->run, s->status, s->setup.mode);
}

/*
 * Start the guest, unless somebody changed the run state under it: a migration
 * may have finished meanwhile, and the guest may be running elsewhere.  A reset
 * leads to prelaunch from any state.
 */
static void lifecycle_release_start(Prefault *s)
{
    if (runstate_check(s->start_state) || runstate_check(RUN_STATE_PRELAUNCH)) {
        vm_start();
    } else {
        warn_report("prefault: the guest's start was given up, because its "
                    "run state changed while it waited");
    }
}

/* Whoever waited goes on; a guest that must not run is stopped */
static void lifecycle_release(Prefault *s)
{
    PrefaultWaiter waiter = s->waiter;

    trace_prefault_release(waiter, s->ready);
    s->waiter = PREFAULT_WAITER_NONE;
    switch (waiter) {
    case PREFAULT_WAITER_NONE:
        break;
    case PREFAULT_WAITER_START:
        if (s->ready) {
            lifecycle_release_start(s);
        }
        break;
    case PREFAULT_WAITER_RESUME:
        if (s->ready) {
            cpu_enable_ticks();
            resume_all_vcpus();
        } else {
            vm_stop(RUN_STATE_PAUSED);
        }
        break;
    }
}

/* Returns false if the memory map changed meanwhile: a new run has begun */
static bool lifecycle_finish(Prefault *s)
{
    PrefaultOutcome outcome = prefault_run_join(&s->run);

    if (outcome == PREFAULT_OUTCOME_STALE) {
        lifecycle_begin_run(s);
        return false;
    }
    lifecycle_close_run(s, outcome);
    return true;
}

static void lifecycle_finish_bh(void *opaque)
{
    if (lifecycle_finish(opaque)) {
        lifecycle_release(opaque);
    }
}

/* End a run for a reason that its user will read */
static void lifecycle_abort(Prefault *s, const char *why)
{
    PrefaultOutcome outcome;

    prefault_run_cancel(&s->run);
    outcome = prefault_run_join(&s->run);
    if (outcome != PREFAULT_OUTCOME_COMPLETED && !s->run.error) {
        error_setg(&s->run.error, "%s", why);
    }
    lifecycle_close_run(s, outcome);
}

/* Run states from which nobody waits, and why */
static const char *const lifecycle_exempt_states[RUN_STATE__MAX] = {
    [RUN_STATE_INMIGRATE] = "the guest comes by migration",
    [RUN_STATE_FINISH_MIGRATE] = "a migration failed and the guest goes on",
    [RUN_STATE_COLO] = "the guest is replicated (COLO)",
    [RUN_STATE_DEBUG] = "a debugger lets the guest go on",
};

/* Does a guest that is about to run have to wait? */
static bool lifecycle_must_hold(Prefault *s)
{
    if (s->setup.mode == ON_OFF_AUTO_OFF) {
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
        trace_prefault_hold_declined(s->exempt);
        s->ready = true;
        if (s->setup.backend) {
            s->setup.backend->map_later();
        }
    }
    return !s->exempt;
}

bool prefault_hold_start(bool step_pending)
{
    Prefault *s = &lifecycle;

    if (!lifecycle_must_hold(s)) {
        return false;
    }
    if (!lifecycle_is_active()) {
        lifecycle_begin(s, s->due);
    }
    if (step_pending) {
        while (!lifecycle_finish(s)) {
            /* A new run has begun, which is waited for in turn */
        }
        s->waiter = PREFAULT_WAITER_NONE;
        return !s->ready;
    }
    s->waiter = PREFAULT_WAITER_START;
    s->start_state = runstate_get();
    trace_prefault_hold_start(RunState_str(s->start_state));
    return true;
}

bool prefault_hold_resume(void)
{
    Prefault *s = &lifecycle;

    if (!lifecycle_must_hold(s)) {
        return false;
    }
    if (!lifecycle_is_active()) {
        lifecycle_begin(s, s->due);
    }
    s->waiter = PREFAULT_WAITER_RESUME;
    trace_prefault_hold_resume();
    cpu_disable_ticks();
    return true;
}

void prefault_cancel_start(void)
{
    static const char *const why[] = {
        [PREFAULT_WAITER_NONE] = "QEMU was told to stop the guest",
        [PREFAULT_WAITER_START] = "the guest was stopped before its start",
        [PREFAULT_WAITER_RESUME] = "the guest was stopped during its reset",
    };
    Prefault *s = &lifecycle;
    PrefaultWaiter waiter = s->waiter;

    s->waiter = PREFAULT_WAITER_NONE;
    if (lifecycle_is_active()) {
        lifecycle_abort(s, why[waiter]);
        /* The next start is a new one, with auto too */
        s->ready = s->status == PREFAULT_STATUS_COMPLETED;
    }
}

bool prefault_start(Error **errp)
{
    Prefault *s = &lifecycle;
    const char *exempt =
        s->setup.exempt ?: lifecycle_exempt_states[runstate_get()];

    if (s->setup.mode == ON_OFF_AUTO_OFF) {
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
        lifecycle_begin(s, PREFAULT_TRIGGER_REQUEST);
        return true;
    }
    return false;
}

bool prefault_cancel(Error **errp)
{
    Prefault *s = &lifecycle;

    if (!lifecycle_is_active()) {
        error_setg(errp, "No prefault run is under way");
        return false;
    }
    lifecycle_abort(s, "cancelled by prefault-cancel");
    lifecycle_release(s);
    return true;
}

static void lifecycle_map_changing(void)
{
    if (lifecycle_is_active()) {
        trace_prefault_map_changing();
        prefault_run_invalidate(&lifecycle.run);
    }
}

/*
 * Memory has to be looked at again before the guest goes on: devices were
 * reset, or a snapshot was loaded, which resets them too.
 */
static void lifecycle_reset(void *opaque)
{
    Prefault *s = opaque;

    if (runstate_check(RUN_STATE_INMIGRATE) || s->setup.exempt) {
        return;
    }
    if (runstate_check(RUN_STATE_RESTORE_VM)) {
        s->due = PREFAULT_TRIGGER_SNAPSHOT_LOAD;
    } else if (s->ready) {
        s->due = PREFAULT_TRIGGER_RESET;
    }
    s->ready = false;
    s->exempt = NULL;
    trace_prefault_reset(PrefaultTrigger_str(s->due));
    /* A run under way filled the page tables of vCPUs as they were */
    lifecycle_map_changing();
}

void prefault_set_up(PrefaultSetup setup)
{
    Prefault *s = &lifecycle;

    s->setup = setup;
    s->exempt = setup.exempt ?: lifecycle_exempt_states[runstate_get()];
    /*
     * Not of the main AioContext, whose bottom halves also run while some
     * command waits for the block layer: no place to start a guest.
     */
    s->finish_bh = aio_bh_new_guarded(iohandler_get_aio_context(),
                                      lifecycle_finish_bh, s, NULL);
    s->progress_timer =
        timer_new_ms(QEMU_CLOCK_REALTIME, lifecycle_progress, s);
    prefault_memory_watch(lifecycle_map_changing);
    qemu_register_reset(lifecycle_reset, s);
}

PrefaultInfo *prefault_query(void)
{
    Prefault *s = &lifecycle;
    PrefaultInfo *info = g_new0(PrefaultInfo, 1);

    info->mode = prefault_options_mode(NULL);
    info->status = s->status;
    if (s->exempt) {
        info->left_out = g_strdup_printf("all: %s", s->exempt);
    } else if (s->setup.cannot_map) {
        info->left_out = g_strdup_printf("mapping: %s", s->setup.cannot_map);
    }
    if (s->setup.backend && (s->status != PREFAULT_STATUS_NONE || s->exempt)) {
        info->retention = g_new0(PrefaultRetention, 1);
        s->setup.backend->retention(info->retention);
    }
    if (s->setup.accel) {
        info->conversions = s->setup.accel->conversions();
    }
    if (s->status != PREFAULT_STATUS_NONE) {
        info->has_trigger = true;
        info->trigger = s->trigger;
        prefault_run_describe(&s->run, info);
    }
    return info;
}
