/*
 * The hold: the one reason why a guest that should run does not
 *
 * Either its start was put off, or it was reset while it ran, and its vCPUs do
 * not run although the run state says so.  What QEMU asks is in
 * hw/core/prefault.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_HOLD_H
#define HW_CORE_PREFAULT_HOLD_H

typedef enum PrefaultHold {
    PREFAULT_HOLD_NONE,
    PREFAULT_HOLD_START,        /* vm_start() was put off */
    PREFAULT_HOLD_RESUME,       /* vCPUs were not let go; the clock stands */
} PrefaultHold;

/**
 * prefault_hold: hold the guest from now on
 * @hold: how
 *
 * Context: BQL.
 */
void prefault_hold(PrefaultHold hold);

/**
 * prefault_hold_drop: hold nobody any more, and let nobody go
 *
 * Context: BQL.
 *
 * Returns: how the guest was held.
 */
PrefaultHold prefault_hold_drop(void);

/**
 * prefault_hold_release: let the guest go, if it is held
 * @ready: its memory is ready; false: it must not run and is stopped
 *
 * The guest is not started if somebody changed the run state under it: a
 * migration may have finished meanwhile, and the guest may be running
 * elsewhere.
 *
 * Context: BQL, main loop.
 */
void prefault_hold_release(bool ready);

/**
 * prefault_hold_reset: the machine is being reset
 *
 * A start that waits goes on afterwards, unless the run state was changed under
 * it before.
 *
 * Context: BQL, before the reset changes the run state.
 */
void prefault_hold_reset(void);

#endif /* HW_CORE_PREFAULT_HOLD_H */
