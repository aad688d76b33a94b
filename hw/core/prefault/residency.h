/*
 * Which memory of QEMU the host has
 *
 * A page that is not present may have been handed back, swapped out or found
 * poisoned.  To map it, KVM would allocate it again, or raise SIGBUS.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_RESIDENCY_H
#define HW_CORE_PREFAULT_RESIDENCY_H

/**
 * prefault_residency_set_up: get ready
 *
 * Opens /proc/self/pagemap, which QEMU may be unable to reach later.
 *
 * Context: BQL, once.
 *
 * Returns: false if there is none: then nobody can tell.
 */
bool prefault_residency_set_up(void);

/**
 * prefault_residency_extent: is memory present, and not the shared zero page?
 * @host: host address, a multiple of the page size
 * @size: bytes, likewise, not 0
 * @present: filled with the answer
 * @same: filled with the bytes from @host on for which the answer is the same
 * @anonymous: if it is present, set to whether it belongs to no file
 *
 * Context: any thread.
 *
 * Returns: false if the host does not tell: nothing is filled in.
 */
bool prefault_residency_extent(void *host, uint64_t size, bool *present,
                               uint64_t *same, bool *anonymous);

/**
 * prefault_residency_hole: how far does memory go of which nothing is there?
 * @host: host address, a multiple of the page size
 * @size: bytes, likewise, not 0
 *
 * Neither present nor in swap.  Whole page tables that are not there take no
 * time.
 *
 * Context: any thread.
 *
 * Returns: bytes from @host on; 0 also if the kernel does not tell.
 */
uint64_t prefault_residency_hole(void *host, uint64_t size);

#endif /* HW_CORE_PREFAULT_RESIDENCY_H */
