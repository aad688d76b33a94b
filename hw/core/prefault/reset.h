/*
 * Resets of the machine, as prefault sees them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_RESET_H
#define HW_CORE_PREFAULT_RESET_H

/**
 * prefault_reset_watch: learn of resets from now on
 * @happened: devices are being reset, also by the load of a snapshot; not for a
 *            guest that wakes up from S3, which finds its memory as it was
 *
 * Context: BQL, once, when the machine is complete; so is @happened.
 */
void prefault_reset_watch(void (*happened)(bool loaded));

#endif /* HW_CORE_PREFAULT_RESET_H */
