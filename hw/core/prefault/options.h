/*
 * The user's options for prefault
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_OPTIONS_H
#define HW_CORE_PREFAULT_OPTIONS_H

#include "qapi/qapi-types-prefault.h"
#include "qom/object.h"

/**
 * prefault_options_mode: the mode that was asked for
 * @errp: set if the machine and the accelerator were told different modes; NULL
 *        if that was ruled out before
 *
 * Context: BQL.
 *
 * Returns: the mode, off if none was given.
 */
PrefaultMode prefault_options_mode(Error **errp);

/**
 * prefault_options_threads: the number of workers that was asked for
 *
 * Context: BQL.
 *
 * Returns: the number, 0 if none was given.
 */
unsigned prefault_options_threads(void);

/**
 * prefault_options_check: is the host's memory to be looked at?
 *
 * Context: BQL.
 *
 * Returns: false if the machine or the accelerator was told not to.
 */
bool prefault_options_check(void);

/**
 * prefault_options_keep: what is done so that mappings stay
 *
 * Context: BQL.
 *
 * Returns: the value of prefault-keep, auto if none was given; on instead of
 * lock after prefault_options_set_unlocked().
 */
PrefaultKeep prefault_options_keep(void);

/**
 * prefault_options_set_unlocked: is memory to be pinned no longer?
 * @unlocked: true: so it is; false: it is to be pinned again
 *
 * Context: BQL.
 */
void prefault_options_set_unlocked(bool unlocked);

/**
 * prefault_options_restore: what a guest waits for that was restored
 *
 * Context: BQL.
 *
 * Returns: the value of prefault-restore, auto if none was given.
 */
PrefaultRestore prefault_options_restore(void);

/**
 * prefault_options_add_to_accel: give an accelerator its prefault properties
 * @oc: class of the accelerator
 *
 * Context: class initialisation.
 */
void prefault_options_add_to_accel(ObjectClass *oc);

/**
 * prefault_options_add_to_machine: give machines their prefault properties
 * @oc: class of all machines
 *
 * Context: class initialisation.
 */
void prefault_options_add_to_machine(ObjectClass *oc);

#endif /* HW_CORE_PREFAULT_OPTIONS_H */
