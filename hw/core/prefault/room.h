/*
 * Has the host room for the guest's memory?
 *
 * Asked before memory is taken, and by each worker while it takes it: page
 * tables, private copies, another QEMU and any other program need room too, and
 * what was predicted may not be there any more.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_ROOM_H
#define HW_CORE_PREFAULT_ROOM_H

#include "pools.h"

/* The memory that a run is to take, and what is left of it to be taken */
typedef struct PrefaultRoom PrefaultRoom;

/**
 * prefault_room_new: nothing is taken yet
 * @backings: the memory to populate, in any order; copied, but not what it
 *            points to.  What lies in several of one side counts once, for
 *            instance a huge page of the host
 * @nr_backings: number of elements of @backings
 * @all: true: nothing is to be taken unless there is room for all that is left;
 *       false: each piece is taken for which there is room
 * @root: prefix of /proc and /sys, "" but in tests; lives as long
 *
 * Context: any thread.
 *
 * Returns: for prefault_room_free().
 */
PrefaultRoom *prefault_room_new(const PrefaultBacking *backings,
                                size_t nr_backings, bool all,
                                const char *root);

/**
 * prefault_room_free: forget it
 * @room: no worker uses it any more; NULL does nothing
 */
void prefault_room_free(PrefaultRoom *room);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PrefaultRoom, prefault_room_free)

/**
 * prefault_room_suffices: is there room for all that is left to be taken?
 * @room: the room
 * @errp: set if not: a sentence without full stop that can go on, with the
 *        limit, the bytes needed, the bytes left, and what to do
 *
 * Pages that are present already need nothing.  The others are compared with
 * each limit that applies to them (host-limits.h):
 *
 * - ordinary memory (anonymous, private, tmpfs and memfd), with the host's page
 *   tables for it and PREFAULT_ROOM_RESERVE: the memory cgroups, what the whole
 *   host has, and, if it has to come from some nodes, what these have; all of
 *   these without swap for what cannot go there,
 * - hugetlb pages: the hugetlb cgroups, their pool unless they are reserved in
 *   it, and the nodes that they have to come from,
 * - memory in a file, if all is wanted: the space left in its file system, for
 *   the part that the file has not allocated.
 *
 * A limit that cannot be known (no /proc, no /sys, a file system without
 * figures) is taken to suffice.
 *
 * Context: any thread.
 *
 * Returns: false if some limit does not suffice.
 */
bool prefault_room_suffices(PrefaultRoom *room, Error **errp);

/**
 * prefault_room_begin: a worker wants to take some memory
 * @room: the room
 * @is_private: which side of it, as in PrefaultBacking
 * @host: host address; nothing is counted for memory outside of all backings
 * @size: bytes, all of one RAMBlock and of this side; a huge page of the host
 *        among them may reach into the next backing
 * @cost: set to what prefault_room_end() has to know
 * @errp: as prefault_room_suffices()
 *
 * The limits of ordinary memory are read anew 20 times a second, and more often
 * where one of them has little left; a refusal stands until then, or until some
 * worker ends.  The others are read once: without them populating fails
 * cleanly.
 *
 * Context: any thread, without BQL: where room is short this looks at every
 * page of @room once.
 *
 * Returns: false if there is no room.  true: prefault_room_end() follows.
 */
bool prefault_room_begin(PrefaultRoom *room, bool is_private, uint8_t *host,
                         uint64_t size, uint64_t *cost, Error **errp);

/**
 * prefault_room_end: this memory was taken, or will not be
 * @room: the room
 * @is_private: as prefault_room_begin()
 * @host: likewise
 * @cost: likewise
 *
 * Context: any thread.
 */
void prefault_room_end(PrefaultRoom *room, bool is_private, uint8_t *host,
                       uint64_t cost);

#endif /* HW_CORE_PREFAULT_ROOM_H */
