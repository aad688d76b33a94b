/*
 * What populating guest memory takes, and whether the host has it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_HOST_CHECK_H
#define HW_CORE_PREFAULT_HOST_CHECK_H

/**
 * PrefaultBacking: a piece of guest memory, and what is behind it
 * @name: of the RAM block, for messages
 * @host: where QEMU has it mapped, a multiple of @page_size
 * @size: bytes, a multiple of @page_size
 * @page_size: bytes of a host page behind it: a hugetlb page is larger than
 *             the host's base page
 * @fd: the file behind it, -1 for anonymous memory
 * @shared: writes go to the file (MAP_SHARED); a private mapping of a file
 *          takes anonymous memory for every page that is written
 * @reserved: hugetlb pages were set aside when it was mapped (no MAP_NORESERVE)
 * @nodes: the host NUMA nodes that its pages must come from (MPOL_BIND), bit N
 *         is node N; NULL if any will do
 * @max_node: number of bits in @nodes
 */
typedef struct PrefaultBacking {
    const char *name;
    void *host;
    uint64_t size;
    size_t page_size;
    int fd;
    bool shared;
    bool reserved;
    const unsigned long *nodes;
    unsigned max_node;
} PrefaultBacking;

/**
 * prefault_host_check: is there enough to populate memory for write?
 * @backings: what is to be populated
 * @nr_backings: number of elements of @backings
 * @root: prefix of /proc and /sys, "" but in tests
 * @errp: set if there is not: a sentence without full stop that can go on,
 *        with what is missing, how much is needed and how much is left
 *
 * What is present already needs nothing (mincore(), and /proc/self/pagemap
 * for private mappings of files).  The rest is compared with each limit that
 * applies to it (host-limits.h):
 *
 * - ordinary memory (anonymous, private, tmpfs and memfd) with the memory
 *   cgroups, with the host's available memory and free swap, and where it is
 *   bound to nodes with what these have,
 * - hugetlb pages with the hugetlb cgroups, and with their pool unless they are
 *   reserved in it, or with the nodes that they are bound to,
 * - shared memory in a file with the space left in its file system, as far as
 *   the file has not allocated it.
 *
 * What cannot be known (no /proc, no /sys, a file system that does not say) is
 * taken to suffice: populating then fails cleanly.  Nothing is changed.
 *
 * Context: BQL; takes no lock.
 *
 * Returns: false if some limit does not suffice.
 */
bool prefault_host_check(const PrefaultBacking *backings, size_t nr_backings,
                         const char *root, Error **errp);

#endif /* HW_CORE_PREFAULT_HOST_CHECK_H */
