/*
 * What prefault says unasked: events and messages
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "qapi/qapi-events-prefault.h"
#include "report.h"

/*
 * Reasons to skip memory that come and go: a machine that has them once may
 * be expected to be without, so they are worth a warning.
 */
static const char *const report_passing_reasons[PREFAULT_SKIP_REASON__MAX] = {
    [PREFAULT_SKIP_REASON_BALLOON] =
        "the guest has handed memory back through a balloon device",
    [PREFAULT_SKIP_REASON_POSTCOPY] =
        "an incoming postcopy migration has not brought it all yet",
    [PREFAULT_SKIP_REASON_BACKGROUND_SNAPSHOT] =
        "a background snapshot is being taken of it",
    [PREFAULT_SKIP_REASON_MIGRATION] = "a migration tracks writes to it",
};

void prefault_report_progress(PrefaultRun *run, PrefaultTrigger trigger)
{
    g_autoptr(PrefaultInfo) info = g_new0(PrefaultInfo, 1);

    prefault_run_describe(run, info);
    qapi_event_send_prefault_progress(trigger, info->total, info->populated,
                                      info->mapped, info->elapsed_ms,
                                      info->has_rate, info->rate,
                                      info->has_remaining_ms,
                                      info->remaining_ms);
}

static void report_left_out(const PrefaultRun *run)
{
    int err = qatomic_read(&run->unplaced);

    if (run->progress.failed) {
        warn_report("prefault: %" PRIu64 " bytes of guest memory left out: "
                    "poisoned, or interrupted for ever", run->progress.failed);
    }
    for (int i = 0; i < PREFAULT_SKIP_REASON__MAX; i++) {
        if (run->skipped[i] && report_passing_reasons[i]) {
            warn_report("prefault: %" PRIu64 " bytes of guest memory left "
                        "alone: %s", run->skipped[i],
                        report_passing_reasons[i]);
        }
    }
    if (err) {
        warn_report_once("prefault: workers cannot be placed on the CPUs near "
                         "the memory: %s; they ran where QEMU may run",
                         strerror(err));
    }
}

void prefault_report_end(const PrefaultRun *run, PrefaultStatus status,
                         OnOffAuto mode)
{
    const char *error = run->error ? error_get_pretty(run->error) : NULL;

    report_left_out(run);
    if (status == PREFAULT_STATUS_FAILED && mode == ON_OFF_AUTO_ON) {
        error_report("prefault: %s; the guest stays stopped, 'cont' tries "
                     "again", error);
    } else if (status == PREFAULT_STATUS_FAILED) {
        warn_report("prefault: %s; the rest is left to page faults", error);
    }
    qapi_event_send_prefault_completed(status, run->total,
                                       run->progress.mapped,
                                       run->progress.failed,
                                       run->elapsed_ns / SCALE_MS, error);
}
