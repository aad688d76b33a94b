/*
 * What prefault says unasked: events and messages
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_REPORT_H
#define HW_CORE_PREFAULT_REPORT_H

#include "run.h"

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
 * @mode: off is not among those that get here
 *
 * Context: BQL.
 */
void prefault_report_end(const PrefaultRun *run, PrefaultStatus status,
                         OnOffAuto mode);

#endif /* HW_CORE_PREFAULT_REPORT_H */
