/*
 * What a guest that is about to run waits for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_DUE_H
#define HW_CORE_PREFAULT_DUE_H

#include "qapi/qapi-types-prefault.h"

/**
 * prefault_due_set_up: a guest begins its life, or is to come by migration
 * @mode: any but off
 * @can_map: memory can be mapped, and so behind a guest that runs
 * @exempt: why nothing is ever done; lives as long as QEMU; or NULL
 *
 * Context: BQL, once, when the machine is complete.
 */
void prefault_due_set_up(PrefaultMode mode, bool can_map, const char *exempt);

/**
 * prefault_due_way: how is a guest that is about to run prefaulted?
 * @trigger: filled with what that is for; left alone if nothing is done
 *
 * Context: BQL, in the run state from which the guest is started.
 *
 * Returns: hold: the guest waits; background: it does not; none: nothing is
 * done, as all is ready, or cannot or must not be.
 */
PrefaultRestore prefault_due_way(PrefaultTrigger *trigger);

/**
 * prefault_due_is_ready: may the guest run at once?
 *
 * Context: BQL.
 *
 * Returns: true if so, from what was told here.
 */
bool prefault_due_is_ready(void);

/**
 * prefault_due_set_ready: a run has begun or ended
 * @ready: may the guest run at once?
 * @completed: all that was due is done
 *
 * Context: BQL.
 */
void prefault_due_set_ready(bool ready, bool completed);

/**
 * prefault_due_reset: devices were reset, or a snapshot was loaded
 * @loaded: a snapshot was
 *
 * Context: BQL.
 *
 * Returns: false if that makes nothing due: prefault does nothing, or the reset
 * belongs to an incoming migration.
 */
bool prefault_due_reset(bool loaded);

/**
 * prefault_due_plugged: memory was plugged into the guest
 *
 * One that is stopped is to wait for it, unless its mode is background, or it
 * was restored and nothing was done.
 *
 * Context: BQL.
 */
void prefault_due_plugged(void);

/**
 * prefault_due_may_run: can a run be begun on request?
 * @behind: filled: while the guest runs
 * @errp: set if not
 *
 * Context: BQL.
 *
 * Returns: true if so.
 */
bool prefault_due_may_run(bool *behind, Error **errp);

/**
 * prefault_due_is_exempt: is nothing ever done for this guest?
 *
 * Context: BQL.
 *
 * Returns: true if so.
 */
bool prefault_due_is_exempt(void);

/**
 * prefault_due_exempt: why is nothing done for this guest?
 *
 * Context: BQL.
 *
 * Returns: words that go on a sentence, or NULL.
 */
const char *prefault_due_exempt(void);

#endif /* HW_CORE_PREFAULT_DUE_H */
