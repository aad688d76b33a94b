/*
 * Prefault: the life cycle
 *
 * Decides when guest memory is prefaulted and holds the guest's start until it
 * is.  Guarantees with mode on: the guest runs no instruction before all
 * memory of the plan, made of the memory map that the guest will see, is
 * populated and mapped.  The main loop is never blocked for longer than the
 * operation that a worker is in, except while a debugger is about to step.
 *
 * All state is protected by the BQL.  The end of a run arrives in the main
 * loop by a bottom half:
 *
 *   hold_start -> run_begin -> workers -> finish_bh -> close_run -> vm_start
 *                     ^                       |
 *                     +------ plan stale -----+
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/notify.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "qapi/qapi-events-prefault.h"
#include "qapi/qapi-types-run-state.h"
#include "hw/core/prefault.h"
#include "system/runstate.h"
#include "system/system.h"
#include "memory-map.h"
#include "run.h"
#include "trace.h"

typedef struct Prefault {
    OnOffAuto mode;
    const PrefaultBackend *backend;     /* NULL: nobody asked for prefault */
    Error *cannot_map;                  /* mode auto: why not */
    bool ready;                         /* starts need not wait any more */
    const char *unheld;                 /* why no start waits, or NULL */

    bool start_waits;                   /* vm_start() is to follow the run */
    RunState start_state;               /* where it waits */
    QEMUBH *finish_bh;                  /* the workers are done */

    PrefaultStatus status;
    PrefaultTrigger trigger;
    PrefaultRun run;
} Prefault;

static Prefault prefault = {
    .mode = ON_OFF_AUTO_OFF,
};

static bool prefault_is_active(void)
{
    return prefault.status == PREFAULT_STATUS_ACTIVE;
}

static void prefault_begin_run(Prefault *s)
{
    s->status = PREFAULT_STATUS_ACTIVE;
    prefault_run_begin(&s->run, s->backend, !s->cannot_map, s->finish_bh);
}

static void prefault_start(Prefault *s, PrefaultTrigger trigger)
{
    s->trigger = trigger;
    s->run.started_ns = get_clock();
    trace_prefault_start(PrefaultTrigger_str(trigger));
    prefault_begin_run(s);
}

static void prefault_report(Prefault *s)
{
    PrefaultRun *run = &s->run;
    const char *error = run->error ? error_get_pretty(run->error) : NULL;

    if (run->progress.failed) {
        warn_report("prefault: %" PRIu64 " bytes of guest memory left out: "
                    "poisoned, or interrupted for ever", run->progress.failed);
    }
    if (run->skipped[PREFAULT_SKIP_REASON_MIGRATION]) {
        warn_report("prefault: %" PRIu64 " bytes of guest memory left alone: "
                    "a migration tracks writes to it",
                    run->skipped[PREFAULT_SKIP_REASON_MIGRATION]);
    }
    if (s->status == PREFAULT_STATUS_FAILED && s->mode == ON_OFF_AUTO_ON) {
        error_report("prefault: %s; the guest stays stopped, 'cont' tries "
                     "again", error);
    } else if (s->status == PREFAULT_STATUS_FAILED) {
        warn_report("prefault: %s; the rest is left to page faults", error);
    }
    qapi_event_send_prefault_completed(s->status, run->total,
                                       run->progress.mapped,
                                       run->progress.failed,
                                       run->elapsed_ns / SCALE_MS, error);
}

/* Close the books on a run that is not begun anew */
static void prefault_close_run(Prefault *s, PrefaultOutcome outcome)
{
    switch (outcome) {
    case PREFAULT_OUTCOME_COMPLETED:
        s->status = PREFAULT_STATUS_COMPLETED;
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
    /* With auto, a run that failed is all that this host can do */
    s->ready = s->status == PREFAULT_STATUS_COMPLETED ||
               s->mode == ON_OFF_AUTO_AUTO;
    trace_prefault_close_run(PrefaultStatus_str(s->status), s->ready);
    prefault_report(s);
}

/*
 * Start the guest, if its start waits and nobody changed the run state under
 * it: a migration may have finished meanwhile, and the guest may be running
 * elsewhere.
 */
static void prefault_release_start(Prefault *s)
{
    bool start = s->start_waits && s->ready && runstate_check(s->start_state);

    trace_prefault_release_start(s->start_waits, s->ready, start);
    if (s->start_waits && s->ready && !start) {
        warn_report("prefault: the guest's start was given up, because its "
                    "run state changed while it waited");
    }
    s->start_waits = false;
    if (start) {
        vm_start();
    }
}

/* Returns false if the memory map changed meanwhile: a new run has begun */
static bool prefault_finish(Prefault *s)
{
    PrefaultOutcome outcome = prefault_run_join(&s->run);

    if (outcome == PREFAULT_OUTCOME_STALE) {
        prefault_begin_run(s);
        return false;
    }
    prefault_close_run(s, outcome);
    return true;
}

static void prefault_finish_bh(void *opaque)
{
    if (prefault_finish(opaque)) {
        prefault_release_start(opaque);
    }
}

/* End a run for a reason that its user will read */
static void prefault_abort(Prefault *s, const char *why)
{
    PrefaultOutcome outcome;

    prefault_engine_cancel(s->run.engine);
    outcome = prefault_run_join(&s->run);
    if (outcome != PREFAULT_OUTCOME_COMPLETED && !s->run.error) {
        error_setg(&s->run.error, "%s", why);
    }
    prefault_close_run(s, outcome);
}

/* Why must a start from the present run state not wait?  NULL if it may */
static const char *prefault_cannot_hold(void)
{
    switch (runstate_get()) {
    case RUN_STATE_INMIGRATE:
        return "the guest comes by migration";
    case RUN_STATE_FINISH_MIGRATE:
        return "a migration failed and the guest goes on";
    case RUN_STATE_COLO:
        return "the guest is replicated (COLO)";
    case RUN_STATE_DEBUG:
        return "a debugger lets the guest go on";
    case RUN_STATE_PRELAUNCH:
    case RUN_STATE_PAUSED:
    case RUN_STATE_POSTMIGRATE:
    case RUN_STATE_RESTORE_VM:
    case RUN_STATE_SAVE_VM:
    case RUN_STATE_SUSPENDED:
    case RUN_STATE_RUNNING:
    case RUN_STATE_SHUTDOWN:
    case RUN_STATE_WATCHDOG:
    case RUN_STATE_IO_ERROR:
    case RUN_STATE_INTERNAL_ERROR:
    case RUN_STATE_GUEST_PANICKED:
    case RUN_STATE__MAX:
        break;
    }
    return NULL;
}

bool prefault_hold_start(bool step_pending)
{
    Prefault *s = &prefault;

    if (s->mode == ON_OFF_AUTO_OFF || s->ready) {
        return false;
    }
    s->unheld = s->unheld ?: prefault_cannot_hold();
    if (s->unheld) {
        trace_prefault_hold_start_declined(s->unheld);
        s->ready = true;
        return false;
    }

    if (!prefault_is_active()) {
        prefault_start(s, PREFAULT_TRIGGER_START);
    }
    if (step_pending) {
        while (!prefault_finish(s)) {
            /* A new run has begun, which is waited for in turn */
        }
        s->start_waits = false;
        return !s->ready;
    }
    s->start_waits = true;
    s->start_state = runstate_get();
    trace_prefault_hold_start(RunState_str(s->start_state));
    return true;
}

void prefault_cancel_start(void)
{
    Prefault *s = &prefault;

    s->start_waits = false;
    if (prefault_is_active()) {
        prefault_abort(s, "the guest was stopped before its start");
        /* The next start is a new one, with auto too */
        s->ready = s->status == PREFAULT_STATUS_COMPLETED;
    }
}

bool prefault_cancel(Error **errp)
{
    Prefault *s = &prefault;

    if (!prefault_is_active()) {
        error_setg(errp, "No prefault run is under way");
        return false;
    }
    prefault_abort(s, "cancelled by prefault-cancel");
    prefault_release_start(s);
    return true;
}

static void prefault_map_changing(void)
{
    if (prefault_is_active()) {
        trace_prefault_map_changing();
        prefault_engine_invalidate(prefault.run.engine);
    }
}

/* Refuse mode on where it cannot be kept; with auto, note what is left out */
static bool prefault_check(Prefault *s, Error **errp)
{
    if (!s->backend->in_use()) {
        error_setg(&s->cannot_map, "the KVM accelerator is not in use");
    } else {
        s->backend->can_map(&s->cannot_map);
    }
    if (s->cannot_map && s->mode == ON_OFF_AUTO_ON) {
        error_setg(errp, "prefault=on: %s; prefault=auto does what this host "
                   "can do", error_get_pretty(s->cannot_map));
        return false;
    }
    return true;
}

static void prefault_machine_done(Notifier *notifier, void *data)
{
    Prefault *s = &prefault;
    Error *err = NULL;

    if (s->mode == ON_OFF_AUTO_OFF) {
        return;
    }
    if (!prefault_check(s, &err)) {
        error_report_err(err);
        exit(EXIT_FAILURE);
    }
    s->unheld = s->backend->in_use() ? prefault_cannot_hold()
                                     : error_get_pretty(s->cannot_map);
    /*
     * Not of the main AioContext, whose bottom halves also run while some
     * command waits for the block layer: no place to start a guest.
     */
    s->finish_bh = aio_bh_new_guarded(iohandler_get_aio_context(),
                                      prefault_finish_bh, s, NULL);
    prefault_map_watch(prefault_map_changing);
}

void prefault_configure(OnOffAuto mode, const PrefaultBackend *backend)
{
    static Notifier notifier = { .notify = prefault_machine_done };

    if (!prefault.backend) {
        qemu_add_machine_init_done_notifier(&notifier);
    }
    prefault.mode = mode;
    prefault.backend = backend;
}

OnOffAuto prefault_get_mode(void)
{
    return prefault.mode;
}

PrefaultInfo *prefault_query(void)
{
    Prefault *s = &prefault;
    PrefaultInfo *info = g_new0(PrefaultInfo, 1);

    info->mode = s->mode;
    info->status = s->status;
    if (s->unheld) {
        info->left_out = g_strdup_printf("all: %s", s->unheld);
    } else if (s->cannot_map) {
        info->left_out = g_strdup_printf("mapping: %s",
                                         error_get_pretty(s->cannot_map));
    }
    if (s->status != PREFAULT_STATUS_NONE) {
        info->has_trigger = true;
        info->trigger = s->trigger;
        prefault_run_describe(&s->run, info);
    }
    return info;
}
