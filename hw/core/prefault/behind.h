/*
 * A run behind a guest that does not wait for it
 *
 * All memory is owed, and runs in the background (background.h) populate and
 * map it in small steps.  Here they are one run, with figures and an end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_BEHIND_H
#define HW_CORE_PREFAULT_BEHIND_H

#include "run.h"

/**
 * prefault_behind_begin: prefault all memory while the guest may run
 * @reason: for which it is owed: arrived or requested
 * @wish: of it, @all and @keep: with @all a lack of room on the host is an
 *        error, without it what there is no room for is left out
 * @done: called at its end, unless prefault_behind_end() came first.
 *        Context: BQL, main loop.
 *
 * One that is under way is begun anew.
 *
 * Context: BQL, after prefault_background_start().
 */
void prefault_behind_begin(PrefaultOwedReason reason, PrefaultRunWish wish,
                           void (*done)(PrefaultOutcome outcome));

/**
 * prefault_behind_finished: a run in the background is over
 * @outcome: how it ended
 * @figures: its figures
 * @error: why it left memory out, or owed; NULL if it did not
 *
 * Context: BQL, main loop; see PrefaultBackgroundFinished.
 */
void prefault_behind_finished(PrefaultOutcome outcome,
                              const PrefaultFigures *figures,
                              const char *error);

/**
 * prefault_behind_end: it is over
 * @why: its error for the user; NULL: another run takes over
 *
 * What is not mapped is not owed for its reason any more.  Does nothing if none
 * is under way.
 *
 * Context: BQL.
 */
void prefault_behind_end(const char *why);

/**
 * prefault_behind_figures: how far it is, or how the last one ended
 *
 * Context: BQL.
 *
 * Returns: its figures; memory that needed another try counts once.
 */
PrefaultFigures prefault_behind_figures(void);

/**
 * prefault_behind_error: why it did not complete, or what it left out
 *
 * Context: BQL.
 *
 * Returns: a sentence that lives until one is begun again, or NULL.
 */
const char *prefault_behind_error(void);

#endif /* HW_CORE_PREFAULT_BEHIND_H */
