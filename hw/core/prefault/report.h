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
 * @figures: of a run under way, or of the last one
 * @info: its optional members about a run are filled in, except trigger
 *
 * Context: BQL.
 */
void prefault_report_figures(const PrefaultFigures *figures,
                             PrefaultInfo *info);

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
 * @figures: of a run under way
 * @trigger: the reason for which it was started
 *
 * Context: BQL.
 */
void prefault_report_progress(const PrefaultFigures *figures,
                              PrefaultTrigger trigger);

/**
 * prefault_report_end: send PREFAULT_COMPLETED, and warn the operator
 * @figures: of a run that is over
 * @error: why it did not complete, or what it left out; or NULL
 * @status: how it ended
 * @ready: the guest may run, even if the run failed
 *
 * Context: BQL.
 */
void prefault_report_end(const PrefaultFigures *figures, const char *error,
                         PrefaultStatus status, bool ready);

#endif /* HW_CORE_PREFAULT_REPORT_H */
