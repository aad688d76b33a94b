/*
 * Does the host have enough memory to populate the guest's?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_HOST_CHECK_H
#define HW_CORE_PREFAULT_HOST_CHECK_H

/**
 * PrefaultBacking: a piece of guest memory, and the host memory behind it
 * @name: of the RAM block, for messages
 * @host: its host address, a multiple of @page_size
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
 * @backings: the memory to populate
 * @nr_backings: number of elements of @backings
 * @root: prefix of /proc and /sys, "" but in tests
 * @errp: set if there is not: a sentence without full stop that can go on,
 *        with the limit, the bytes needed and the bytes left
 *
 * Pages that are present already need nothing (mincore(), and
 * /proc/self/pagemap for private mappings of files).  The others are compared
 * with each limit that applies to them (host-limits.h):
 *
 * - ordinary memory (anonymous, private, tmpfs and memfd): the memory cgroups,
 *   the host's available memory and free swap, and, if the memory is bound to
 *   nodes, the memory that is free on these,
 * - hugetlb pages: the hugetlb cgroups, their pool unless they are reserved in
 *   it, and the nodes that they are bound to,
 * - shared memory in a file: the space left in its file system, for the part
 *   that the file has not allocated.
 *
 * A limit that cannot be known (no /proc, no /sys, a file system without
 * figures) is taken to suffice: populating then fails cleanly.  The check
 * changes nothing.
 *
 * Context: BQL; takes no lock.
 *
 * Returns: false if some limit does not suffice.
 */
bool prefault_host_check(const PrefaultBacking *backings, size_t nr_backings,
                         const char *root, Error **errp);

#endif /* HW_CORE_PREFAULT_HOST_CHECK_H */
