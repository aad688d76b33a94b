/*
 * How much memory the host has left
 *
 * Every function reads /proc and /sys and changes nothing.  A limit that cannot
 * be known leaves UINT64_MAX bytes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_HOST_LIMITS_H
#define HW_CORE_PREFAULT_HOST_LIMITS_H

/* Bits of a set of host NUMA nodes: bit N is node N */
#define PREFAULT_NODES_MAX 128

/**
 * PrefaultLimit: a limit of the host's, and the memory that it leaves
 * @bytes: bytes that are left
 * @of: the limit, with its figures, for a message; NULL if there is none
 */
typedef struct PrefaultLimit {
    uint64_t bytes;
    char *of;
} PrefaultLimit;

/**
 * prefault_limit_clear: free the text of a limit
 * @limit: filled in by a function below
 */
void prefault_limit_clear(PrefaultLimit *limit);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PrefaultLimit, prefault_limit_clear)

/**
 * prefault_limit_memory_cgroup: the tightest memory cgroup, from ours up
 * @root: prefix of /proc and /sys, "" but in tests
 * @want: a cgroup that leaves so many bytes is taken for no limit
 * @swaps: the memory can go to swap: what the cgroups of v2 grant of that is
 *         left, too
 * @limit: filled in
 *
 * memory.max and memory.high of v2, or v1's limit.  Page cache that can be
 * reclaimed is not counted as used: the kernel would reclaim it.
 */
void prefault_limit_memory_cgroup(const char *root, uint64_t want, bool swaps,
                                  PrefaultLimit *limit);

/**
 * prefault_limit_hugetlb_cgroup: the tightest hugetlb cgroup, from ours up
 * @root: as above
 * @page_size: bytes of a hugetlb page
 * @limit: filled in
 */
void prefault_limit_hugetlb_cgroup(const char *root, size_t page_size,
                                   PrefaultLimit *limit);

/**
 * prefault_limit_host: what is available on the whole host
 * @root: as above
 * @swaps: free swap that our cgroup may use is left, too
 * @limit: filled in
 *
 * MemAvailable, and what the cache of ZFS (ARC) holds above its minimum.
 */
void prefault_limit_host(const char *root, bool swaps, PrefaultLimit *limit);

/**
 * prefault_limits_resident: how much of QEMU's memory is resident
 * @root: as above
 *
 * Returns: pages; 0 if that cannot be known.
 */
uint64_t prefault_limits_resident(const char *root);

/**
 * prefault_limits_swapped: how much of QEMU's memory is in swap
 * @root: as above
 *
 * Returns: bytes; 0 if that cannot be known.
 */
uint64_t prefault_limits_swapped(const char *root);

/**
 * prefault_limit_nodes: memory of some NUMA nodes, free or easy to reclaim
 * @root: as above
 * @nodes: PREFAULT_NODES_MAX bits
 * @swaps: free swap that our cgroup may use is left, too
 * @limit: filled in
 */
void prefault_limit_nodes(const char *root, const unsigned long *nodes,
                          bool swaps, PrefaultLimit *limit);

/**
 * prefault_limit_hugetlb: pages of a hugetlb pool, neither used nor reserved
 * @root: as above
 * @page_size: bytes
 * @limit: filled in
 */
void prefault_limit_hugetlb(const char *root, size_t page_size,
                            PrefaultLimit *limit);

/**
 * prefault_limit_hugetlb_nodes: free hugetlb pages of some NUMA nodes
 * @root: as above
 * @page_size: bytes
 * @nodes: PREFAULT_NODES_MAX bits
 * @limit: filled in
 */
void prefault_limit_hugetlb_nodes(const char *root, size_t page_size,
                                  const unsigned long *nodes,
                                  PrefaultLimit *limit);

#endif /* HW_CORE_PREFAULT_HOST_LIMITS_H */
