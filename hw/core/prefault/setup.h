/*
 * Prefault's needs are checked once, when the machine is complete
 *
 * The functions that QEMU calls are declared in hw/core/prefault.h and
 * hw/core/prefault-backend.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_SETUP_H
#define HW_CORE_PREFAULT_SETUP_H

/**
 * prefault_can_map: can memory be mapped in advance at all?
 *
 * Whatever was asked for: management asks a QEMU without a machine.
 *
 * Context: BQL, once an accelerator was chosen.
 *
 * Returns: false if the accelerator in use is not KVM, or the host's KVM has no
 * KVM_CAP_PRE_FAULT_MEMORY.
 */
bool prefault_can_map(void);

#endif /* HW_CORE_PREFAULT_SETUP_H */
