/*
 * The hold: the one reason why a guest that should run does not
 *
 * Either its start was put off, or it was reset while it ran, and its vCPUs do
 * not run although the run state says so.  The functions that QEMU calls are
 * declared in hw/core/prefault.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_HOLD_H
#define HW_CORE_PREFAULT_HOLD_H

typedef enum PrefaultHold {
    PREFAULT_HOLD_NONE,
    PREFAULT_HOLD_START,        /* vm_start() was put off */
    PREFAULT_HOLD_RESUME,       /* vCPUs do not run, the clock stands still */
} PrefaultHold;

/**
 * prefault_hold: hold the guest from now on
 * @hold: the kind of hold
 *
 * Context: BQL.
 */
void prefault_hold(PrefaultHold hold);

/**
 * prefault_hold_now: how is the guest held?
 *
 * Context: BQL.
 */
PrefaultHold prefault_hold_now(void);

/**
 * prefault_hold_drop: forget the hold, without letting the guest go
 *
 * Context: BQL.
 *
 * Returns: how the guest was held.
 */
PrefaultHold prefault_hold_drop(void);

/**
 * prefault_hold_release: let the guest go, if it is held
 * @ready: true: its memory is ready; false: it must not run and is stopped
 *
 * The guest is not started if somebody changed the run state under it: a
 * migration may have finished meanwhile, and the guest may be running
 * elsewhere.
 *
 * Context: BQL, main loop.
 */
void prefault_hold_release(bool ready);

/**
 * prefault_hold_take: forget a start that was held, which the caller makes
 * @ready: the guest's memory is ready
 *
 * Context: BQL.
 *
 * Returns: true if the guest may be started.  false if its memory is not ready,
 * or if somebody has changed its run state: that is warned of.
 */
bool prefault_hold_take(bool ready);

/**
 * prefault_hold_reset: the machine is being reset
 *
 * A start that waits goes on after the reset, unless the run state had changed
 * already since the start was put off.
 *
 * Context: BQL, before the reset changes the run state.
 */
void prefault_hold_reset(void);

#endif /* HW_CORE_PREFAULT_HOLD_H */
