/*
 * How much the guest's page tables map, as KVM counts it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_COUNTS_H
#define HW_CORE_PREFAULT_COUNTS_H

/**
 * prefault_counts_mapped: what the stage-2 page tables map now
 * @bytes: set, if it can be known
 *
 * KVM counts for the whole guest; no vCPU leaves the guest for it.
 *
 * Context: BQL.
 *
 * Returns: false if KVM does not tell: the kernel has no such statistics (Linux
 * 5.14, Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD).
 */
bool prefault_counts_mapped(uint64_t *bytes);

#endif /* HW_CORE_PREFAULT_COUNTS_H */
