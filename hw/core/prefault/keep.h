/*
 * The host is told to leave guest memory where it is
 *
 * Its NUMA balancing takes every mapping away again and again, to see who uses
 * the memory, and KSM replaces pages.  Both leave memory alone that says so.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_KEEP_H
#define HW_CORE_PREFAULT_KEEP_H

#include "system/hostmem.h"

/**
 * prefault_keep_is_balanced: does NUMA balancing work on some memory?
 * @backend: its backend, or NULL
 *
 * It leaves memory alone that has a policy: of its backend, or of QEMU as a
 * whole (numactl).  It does nothing on a host with one node.
 *
 * Context: BQL.
 *
 * Returns: true if it does as soon as kernel.numa_balancing is 1.
 */
bool prefault_keep_is_balanced(const HostMemoryBackend *backend);

/**
 * prefault_keep_place: set the policy of some memory
 * @host: host address, a multiple of the size of a page behind it
 * @size: bytes, likewise
 * @keep: true: one that NUMA balancing leaves alone; false: none
 * @node: with @keep, the host node that pages come from if there are any left;
 *        -1: the node of whoever touches them first
 *
 * Pages that are there stay where they are, and mapped (Linux, mbind(2):
 * without MPOL_MF_MOVE a policy is for pages to come).
 *
 * Context: BQL.
 *
 * Returns: 0, or -errno as mbind().
 */
int prefault_keep_place(void *host, uint64_t size, bool keep, int node);

/**
 * prefault_keep_unmerged: KSM leaves some memory alone
 * @host: host address of a page
 * @size: bytes
 *
 * Context: any thread.  What is merged already is copied.
 */
void prefault_keep_unmerged(void *host, uint64_t size);

/**
 * prefault_keep_balancing: is NUMA balancing on?
 * @root: prefix of /proc, "" but in tests
 *
 * Context: any thread.
 *
 * Returns: false if not, or if that cannot be known.
 */
bool prefault_keep_balancing(const char *root);

#endif /* HW_CORE_PREFAULT_KEEP_H */
