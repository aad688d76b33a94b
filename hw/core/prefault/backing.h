/*
 * What populating guest memory takes from the host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_BACKING_H
#define HW_CORE_PREFAULT_BACKING_H

#include "host-limits.h"
#include "qemu/bitops.h"

/**
 * PrefaultBacking: a piece of guest memory, and the host memory behind it
 * @name: of the RAM block, for messages
 * @host: its host address, a multiple of @page_size
 * @size: bytes, a multiple of @page_size; it may have holes
 * @page_size: bytes of a host page behind it: a hugetlb page is larger than
 *             the host's base page
 * @fd: the file behind it, -1 for anonymous memory
 * @fd_offset: of @host in @fd
 * @shared: writes go to the file (MAP_SHARED); a private mapping of a file
 *          takes anonymous memory for every page that is written
 * @is_private: private memory of a confidential guest: what is present at @host
 *              is its shared side
 * @private_taken: bytes of private memory that are taken already
 * @is_pinned: never goes to swap: private memory, and all with mem-lock
 * @reserved: hugetlb pages were set aside when it was mapped (no MAP_NORESERVE)
 * @is_bound: its pages must come from @nodes; false: from any node
 * @nodes: host NUMA nodes: bit N is node N
 */
typedef struct PrefaultBacking {
    const char *name;
    void *host;
    uint64_t size;
    size_t page_size;
    int fd;
    uint64_t fd_offset;
    bool shared;
    bool is_private;
    uint64_t private_taken;
    bool is_pinned;
    bool reserved;
    bool is_bound;
    unsigned long nodes[BITS_TO_LONGS(PREFAULT_NODES_MAX)];
} PrefaultBacking;

/**
 * prefault_backing_takes_memory: does it take memory of the host at all?
 * @b: the backing
 *
 * Context: any thread.
 *
 * Returns: false for memory of a device, for instance device DAX, and for a
 * file on a disk, whose pages in memory are written back.
 */
bool prefault_backing_takes_memory(const PrefaultBacking *b);

/**
 * prefault_backing_takes_space: does it take space of a file system?
 * @b: the backing
 *
 * Context: any thread.
 *
 * Returns: true if its file allocates what is populated.
 */
bool prefault_backing_takes_space(const PrefaultBacking *b);

/**
 * prefault_backing_cost: the memory that populating some of it takes
 * @b: a backing that takes memory
 * @host: host address in it, a multiple of its page size
 * @size: bytes, likewise
 * @exact: true: look at what the host has, for what is present takes nothing
 *         (mincore(), and /proc/self/pagemap for private mappings, where a page
 *         can be present and still be replaced when it is written); false:
 *         assume that nothing is
 *
 * Context: any thread.
 *
 * Returns: bytes.
 */
uint64_t prefault_backing_cost(const PrefaultBacking *b, uint8_t *host,
                               uint64_t size, bool exact);

#endif /* HW_CORE_PREFAULT_BACKING_H */
