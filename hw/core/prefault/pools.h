/*
 * What a run still takes from the host, by the kind of its pages
 *
 * Layer between the limits of the host (host-limits.h), which know nothing of a
 * guest, and the room that workers share (room.h).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_POOLS_H
#define HW_CORE_PREFAULT_POOLS_H

#include "backing.h"
#include "qemu/units.h"

/*
 * Room that stays free, for QEMU itself, its threads, and the tables of KVM for
 * what is in work
 */
#define PREFAULT_ROOM_RESERVE (2 * MiB)

/**
 * PrefaultPool: memory with pages of one size, from the same nodes
 * @like: its first backing; the others have the same page size and nodes, can
 *        swap or cannot, and are reserved or not, as it
 * @huge_page: bytes of a hugetlb page; 0 for ordinary memory
 * @left: bytes that no worker has taken yet
 * @in_work: bytes that workers take now
 */
typedef struct PrefaultPool {
    PrefaultBacking like;
    size_t huge_page;
    uint64_t left;
    uint64_t in_work;
} PrefaultPool;

/**
 * PrefaultPools: the pools of a run, and how they are compared with limits
 * @root: prefix of /proc and /sys, "" but in tests
 * @all: all that is left is wanted; false: what workers take now
 * @array: of PrefaultPool
 */
typedef struct PrefaultPools {
    const char *root;
    bool all;
    GArray *array;
} PrefaultPools;

/**
 * prefault_pools_find: the pool of some memory, a new one if there is none
 * @pools: the pools
 * @b: a backing that takes memory
 *
 * Context: one thread at a time.
 *
 * Returns: its index.
 */
int prefault_pools_find(PrefaultPools *pools, const PrefaultBacking *b);

/**
 * prefault_pools_suffice: does the host have what is wanted?
 * @pools: the pools
 * @huge: look at hugetlb pages, too
 * @spare: set to the bytes that the tightest limit leaves beyond what is
 *         wanted, UINT64_MAX if there is none; 0 if the host has too little
 * @errp: set if the host has too little: a sentence without full stop
 *
 * Context: one thread at a time, without BQL if it can be avoided: reads /proc
 * and /sys.
 *
 * Returns: false if some limit does not suffice.
 */
bool prefault_pools_suffice(const PrefaultPools *pools, bool huge,
                            uint64_t *spare, Error **errp);

#endif /* HW_CORE_PREFAULT_POOLS_H */
