/*
 * What prefault tells: figures, events and messages
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_REPORT_H
#define HW_CORE_PREFAULT_REPORT_H

#include "run.h"

/**
 * prefault_report_figures: fill in what a query says of a run
 * @run: a run under way, or the last one
 * @info: whose optional members of a run, but for trigger, are filled in
 *
 * Context: BQL.
 */
void prefault_report_figures(PrefaultRun *run, PrefaultInfo *info);

/**
 * prefault_report_owed: fill in what a query says of what is owed
 * @ledger: the ledger; NULL before it was made
 * @info: whose members retention and conversions are completed, where they are
 *        there, and with retention owed and owed-for
 *
 * Context: BQL.
 */
void prefault_report_owed(PrefaultLedger *ledger, PrefaultInfo *info);

/**
 * prefault_report_progress: send PREFAULT_PROGRESS
 * @run: under way
 * @trigger: what it was started for
 *
 * Context: BQL.
 */
void prefault_report_progress(PrefaultRun *run, PrefaultTrigger trigger);

/**
 * prefault_report_end: send PREFAULT_COMPLETED, and say what an operator has to
 *                      know
 * @run: over
 * @status: how it ended
 * @ready: the guest may run all the same
 *
 * Context: BQL.
 */
void prefault_report_end(PrefaultRun *run, PrefaultStatus status, bool ready);

#endif /* HW_CORE_PREFAULT_REPORT_H */
