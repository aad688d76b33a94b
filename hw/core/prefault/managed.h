/*
 * Memory that is plugged and unplugged in parts (virtio-mem)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_MANAGED_H
#define HW_CORE_PREFAULT_MANAGED_H

/**
 * prefault_managed_watch: follow all memory that has a RamDiscardManager
 *
 * What is plugged is owed; what is unplugged is not touched again.  Memory with
 * a guest_memfd, whose manager tells of conversions, is left alone.
 *
 * Context: BQL, once, after prefault_lifecycle_set_up().
 */
void prefault_managed_watch(void);

#endif /* HW_CORE_PREFAULT_MANAGED_H */
