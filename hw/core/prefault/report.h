/*
 * Prefault's reports: figures, events and messages
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_REPORT_H
#define HW_CORE_PREFAULT_REPORT_H

#include "run.h"

/**
 * prefault_report_figures: fill in a query's figures of a run
 * @run: a run under way, or the last one
 * @info: its optional members about a run are filled in, except trigger
 *
 * Context: BQL.
 */
void prefault_report_figures(PrefaultRun *run, PrefaultInfo *info);

/**
 * prefault_report_owed: fill in a query's figures of owed memory
 * @ledger: the ledger; NULL before it was made
 * @info: its members retention and conversions are completed where they are
 *        not NULL; with retention, owed and owed-for are filled in too
 *
 * Context: BQL.
 */
void prefault_report_owed(PrefaultLedger *ledger, PrefaultInfo *info);

/**
 * prefault_report_progress: send PREFAULT_PROGRESS
 * @run: under way
 * @trigger: the reason for which it was started
 *
 * Context: BQL.
 */
void prefault_report_progress(PrefaultRun *run, PrefaultTrigger trigger);

/**
 * prefault_report_end: send PREFAULT_COMPLETED, and warn the operator
 * @run: over
 * @status: how it ended
 * @ready: the guest may run, even if the run failed
 *
 * Context: BQL.
 */
void prefault_report_end(PrefaultRun *run, PrefaultStatus status, bool ready);

#endif /* HW_CORE_PREFAULT_REPORT_H */
