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
 * prefault_limit_cgroup: the tightest cgroup, from ours up to the root
 * @root: prefix of /proc and /sys, "" but in tests
 * @huge_page: 0 for ordinary memory; else the bytes of a hugetlb page, whose
 *             controller is asked
 * @limit: filled in
 *
 * Page cache that can be reclaimed is not counted as used: the kernel would
 * reclaim it.  Reads cgroup v2, v1, or both where both are mounted.
 */
void prefault_limit_cgroup(const char *root, size_t huge_page,
                           PrefaultLimit *limit);

/**
 * prefault_limit_host: available memory and free swap of the whole host
 * @root: as above
 * @limit: filled in
 */
void prefault_limit_host(const char *root, PrefaultLimit *limit);

/**
 * prefault_limit_nodes: memory of some NUMA nodes, free or easy to reclaim
 * @root: as above
 * @nodes: bit N is node N
 * @max_node: number of bits
 * @limit: filled in
 */
void prefault_limit_nodes(const char *root, const unsigned long *nodes,
                          unsigned max_node, PrefaultLimit *limit);

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
 * @nodes: bit N is node N
 * @max_node: number of bits
 * @limit: filled in
 */
void prefault_limit_hugetlb_nodes(const char *root, size_t page_size,
                                  const unsigned long *nodes, unsigned max_node,
                                  PrefaultLimit *limit);

#endif /* HW_CORE_PREFAULT_HOST_LIMITS_H */
