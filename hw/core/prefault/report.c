/*
 * Prefault's reports: figures, events and messages
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "qapi/error.h"
#include "qapi/qapi-events-prefault.h"
#include "attempt.h"
#include "keep.h"
#include "pins.h"
#include "report.h"
#include "watch.h"

/*
 * Reasons to skip memory that come and go.  An operator does not expect them
 * from the machine's configuration, so they are worth a warning.
 */
static const char *const report_passing_reasons[PREFAULT_SKIP_REASON__MAX] = {
    [PREFAULT_SKIP_REASON_BALLOON] =
        "the guest has handed memory back through a balloon device",
    [PREFAULT_SKIP_REASON_POSTCOPY] =
        "an incoming postcopy migration has not brought it all yet",
    [PREFAULT_SKIP_REASON_BACKGROUND_SNAPSHOT] =
        "a background snapshot is being taken of it",
    [PREFAULT_SKIP_REASON_NO_ROOM] = "the host has no room for it",
    [PREFAULT_SKIP_REASON_RETURNED] = "the guest has given it back",
};

/* Memory that turned out to be skipped is not part of the total */
static uint64_t report_total(const PrefaultFigures *f)
{
    uint64_t total = f->total;

    for (int i = 0; i < PREFAULT_SKIP_REASON__MAX; i++) {
        total -= f->progress.skipped[i];
    }
    return total;
}

/* The average since the plan was made; mapping comes last where there is any */
static void report_rate(const PrefaultFigures *f, PrefaultInfo *info)
{
    const PrefaultProgress *p = &f->progress;
    uint64_t done = (f->maps ? p->mapped : p->populated) + p->failed;
    int64_t ns = f->worked_ns;

    if (!done || ns <= 0) {
        return;
    }
    info->has_rate = true;
    info->rate = (double)done * NANOSECONDS_PER_SECOND / ns;
    if (f->active) {
        info->has_remaining_ms = true;
        info->remaining_ms = (double)(report_total(f) - done) / done *
                             ns / SCALE_MS;
    }
}

static PrefaultSkipList *report_skips(const PrefaultFigures *f, uint64_t *sum)
{
    PrefaultSkipList *list = NULL, **tail = &list;

    for (int i = 0; i < PREFAULT_SKIP_REASON__MAX; i++) {
        uint64_t bytes = f->skipped[i] + f->progress.skipped[i];

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

static void report_describe(const PrefaultFigures *f, PrefaultInfo *info)
{
    info->has_total = true;
    info->total = report_total(f);
    info->has_populated = true;
    info->populated = f->progress.populated;
    info->has_mapped = true;
    info->mapped = f->progress.mapped;
    if (f->total_private) {
        info->has_q_private = true;
        info->q_private = f->total_private - f->progress.private_skipped;
        info->has_private_mapped = true;
        info->private_mapped = f->progress.private_mapped;
    }
    info->has_failed = true;
    info->failed = f->progress.failed;
    info->has_skipped = true;
    info->has_skips = true;
    info->skips = report_skips(f, &info->skipped);
    info->has_threads = true;
    info->threads = f->threads;
    info->has_balanced = f->balanced && prefault_keep_balancing("");
    info->balanced = f->balanced;
    info->has_swapped = f->swapped;
    info->swapped = f->swapped;
    info->has_elapsed_ms = true;
    info->elapsed_ms = f->elapsed_ns / SCALE_MS;
    report_rate(f, info);
}

void prefault_report_figures(const PrefaultFigures *figures,
                             PrefaultInfo *info)
{
    assert(bql_locked());
    report_describe(figures, info);
    info->threads_left_behind = prefault_attempt_workers_left_behind();
    info->has_threads_left_behind = info->threads_left_behind;
}

/* After a loss all memory is looked at: what is missing is far less */
static uint64_t report_debt(PrefaultLedger *ledger, PrefaultLosses losses,
                            PrefaultOwedReason reason)
{
    return reason == PREFAULT_OWED_REASON_LOST
           ? losses.missing : prefault_ledger_owed(ledger, reason);
}

static void report_debts(PrefaultLedger *ledger, PrefaultLosses losses,
                         PrefaultInfo *info)
{
    PrefaultOwedList **tail = &info->owed_for;

    info->has_owed = true;
    info->has_owed_for = true;
    for (int i = 0; i < PREFAULT_OWED_REASON__MAX; i++) {
        uint64_t bytes = report_debt(ledger, losses, i);

        if (bytes) {
            PrefaultOwed *debt = g_new0(PrefaultOwed, 1);

            debt->reason = i;
            debt->bytes = bytes;
            QAPI_LIST_APPEND(tail, debt);
            info->owed += bytes;
        }
    }
}

/* Private memory that comes later is counted with conversions */
static bool report_is_conversion(PrefaultOwedReason reason)
{
    return reason == PREFAULT_OWED_REASON_CONVERTED ||
           reason == PREFAULT_OWED_REASON_LAUNCH;
}

void prefault_report_owed(PrefaultLedger *ledger, PrefaultInfo *info)
{
    PrefaultLosses losses = prefault_watch_losses();
    uint64_t owed[2] = {}, mapped[2] = {};

    assert(bql_locked());
    for (int i = 0; ledger && i < PREFAULT_OWED_REASON__MAX; i++) {
        owed[report_is_conversion(i)] += report_debt(ledger, losses, i);
        mapped[report_is_conversion(i)] +=
            i == PREFAULT_OWED_REASON_LOST ? losses.remapped
                                           : prefault_ledger_mapped(ledger, i);
    }
    if (info->retention) {
        report_debts(ledger, losses, info);
        info->retention->refilled = mapped[false];
        info->retention->refill_pending = owed[false];
        info->retention->lost = losses.lost;
        info->retention->remapped = losses.remapped;
        info->retention->returned = losses.returned;
        info->retention->locked = prefault_pins_bytes();
    }
    if (info->conversions) {
        info->conversions->prefaulted = mapped[true];
        info->conversions->prefault_pending = owed[true];
    }
}

void prefault_report_progress(const PrefaultFigures *figures,
                              PrefaultTrigger trigger)
{
    g_autoptr(PrefaultInfo) info = g_new0(PrefaultInfo, 1);

    assert(bql_locked());
    prefault_report_figures(figures, info);
    qapi_event_send_prefault_progress(trigger, info->total, info->populated,
                                      info->mapped, info->elapsed_ms,
                                      info->has_rate, info->rate,
                                      info->has_remaining_ms,
                                      info->remaining_ms);
}

static void report_left_out(const PrefaultFigures *f)
{
    if (f->progress.failed) {
        warn_report("prefault: %" PRIu64 " bytes of guest memory left out: "
                    "poisoned, or cannot be had", f->progress.failed);
    }
    for (int i = 0; i < PREFAULT_SKIP_REASON__MAX; i++) {
        uint64_t bytes = f->skipped[i] + f->progress.skipped[i];

        if (bytes && report_passing_reasons[i]) {
            warn_report("prefault: %" PRIu64 " bytes of guest memory left "
                        "alone: %s", bytes, report_passing_reasons[i]);
        }
    }
    if (f->balanced && prefault_keep_balancing("")) {
        warn_report_once("prefault: the host's NUMA balancing takes mappings "
                         "of %" PRIu64 " bytes of guest memory away again and "
                         "again: confine the vCPUs to the CPUs of one host "
                         "node, give the memory's backend a policy, or use "
                         "prefault-keep=on", f->balanced);
    }
    if (f->swapped) {
        warn_report("prefault: %" PRIu64 " bytes of QEMU's memory are in swap, "
                    "and not mapped", f->swapped);
    }
}

static void report_workers(const PrefaultFigures *f)
{
    if (f->unplaced) {
        warn_report_once("prefault: workers cannot be placed on the CPUs near "
                         "the memory: %s; they ran where QEMU may run",
                         strerror(f->unplaced));
    }
    if (f->threads && f->threads < f->threads_wanted) {
        warn_report("prefault: %u of %u threads: no more can be made "
                    "(pids.max, RLIMIT_NPROC or kernel.threads-max?)",
                    f->threads, f->threads_wanted);
    }
}

void prefault_report_end(const PrefaultFigures *figures, const char *error,
                         PrefaultStatus status, bool ready)
{
    assert(bql_locked());
    report_left_out(figures);
    report_workers(figures);
    if (status == PREFAULT_STATUS_FAILED && !ready) {
        error_report("prefault: %s; the guest stays stopped, 'cont' tries "
                     "again", error);
    } else if (status == PREFAULT_STATUS_FAILED) {
        warn_report("prefault: %s; the rest is left to page faults", error);
    } else if (status == PREFAULT_STATUS_COMPLETED && error) {
        warn_report("prefault: %s", error);
    }
    qapi_event_send_prefault_completed(status, report_total(figures),
                                       figures->progress.mapped,
                                       figures->progress.failed,
                                       figures->elapsed_ns / SCALE_MS,
                                       status == PREFAULT_STATUS_COMPLETED
                                       ? NULL : error);
}
