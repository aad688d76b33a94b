/*
 * Which memory of QEMU the host has
 *
 * A page that is not present may have been handed back, swapped out or found
 * poisoned: KVM would bring it back, or raise SIGBUS.
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
 * Returns: false if there is none: nothing is taken for resident then.
 */
bool prefault_residency_set_up(void);

/**
 * prefault_residency_extent: is memory present, and not the shared zero page?
 * @host: host address, a multiple of the page size
 * @size: bytes, likewise, not 0
 * @same: filled with up to where the answer is the same, in bytes from @host
 *
 * Context: any thread.
 *
 * Returns: true if so.
 */
bool prefault_residency_extent(void *host, uint64_t size, uint64_t *same);

#endif /* HW_CORE_PREFAULT_RESIDENCY_H */
