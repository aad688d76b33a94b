/*
 * Prefault's view of guest memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_MEMORY_H
#define HW_CORE_PREFAULT_MEMORY_H

#include "ledger.h"
#include "places.h"
#include "plan.h"
#include "room.h"
#include "system/memory.h"

/**
 * PrefaultMemory: guest memory as it is at some time
 * @generation: of the memory map, see gate.h
 * @plan: the memory to prefault
 * @regions: a reference to every memory region of @plan, so that it stays
 * @places: the places of the plan's chunks; NULL if they do not matter
 */
typedef struct PrefaultMemory {
    unsigned generation;
    PrefaultPlan *plan;
    GPtrArray *regions;
    PrefaultPlaces *places;
} PrefaultMemory;

/**
 * prefault_memory_read: make a plan of guest memory as it is now
 * @memory: filled in; for prefault_memory_clear()
 * @debts: an array of PrefaultDebt: read only these ranges, and no places;
 *         NULL: read all memory
 *
 * Context: BQL.
 */
void prefault_memory_read(PrefaultMemory *memory, const GArray *debts);

/**
 * prefault_memory_clear: free the plan, the places and the references
 * @memory: its plan is not in use any more; if cleared already, nothing happens
 *
 * Context: BQL.
 */
void prefault_memory_clear(PrefaultMemory *memory);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PrefaultMemory, prefault_memory_clear)

/* Called with the BQL, and a reference to the section's region */
typedef void PrefaultMemoryWalk(MemoryRegionSection *section, void *opaque);

/**
 * prefault_memory_walk: look at all RAM in a range of guest addresses
 * @start: guest address
 * @end: guest address
 * @visit: called for each section, in order
 * @opaque: handed to it
 *
 * Context: BQL.
 */
void prefault_memory_walk(hwaddr start, hwaddr end, PrefaultMemoryWalk *visit,
                          void *opaque);

/**
 * prefault_memory_room: the room that this plan takes on the host
 * @memory: the plan
 * @all: as for prefault_room_new()
 * @private_taken: bytes of private memory that were allocated before, for the
 *                 kernel has no query
 *
 * Context: BQL.
 *
 * Returns: for prefault_room_free(), before @memory is cleared.
 */
PrefaultRoom *prefault_memory_room(const PrefaultMemory *memory, bool all,
                                   uint64_t private_taken);

/**
 * prefault_memory_keep: tell the host to leave this memory where it is
 * @memory: read with places
 * @all: true: all of it; false: what its vCPUs use from one host node only, so
 *       that NUMA balancing would have nothing to move
 *
 * Memory with a policy of its own has none of NUMA balancing; KSM is told for
 * all.
 *
 * Context: BQL.
 *
 * Returns: bytes that NUMA balancing goes on to work on.
 */
uint64_t prefault_memory_keep(const PrefaultMemory *memory, bool all);

/**
 * prefault_memory_may_be_written: may pages that are present be made writable?
 *
 * Not what KSM may have merged: that would take memory.  Nor once the guest
 * gives memory back: it might do so just then.
 *
 * Context: BQL.
 *
 * Returns: true if prefault_memory_keep() has told KSM, and the guest has given
 * nothing back.
 */
bool prefault_memory_may_be_written(void);

/**
 * prefault_memory_pinnable: how much of the plan can be pinned
 * @memory: the plan
 *
 * Context: BQL.
 *
 * Returns: bytes, those of aliases once.
 */
uint64_t prefault_memory_pinnable(const PrefaultMemory *memory);

/**
 * prefault_memory_blocks_gone: how many RAMBlocks have gone away
 *
 * Host addresses of an older plan may be those of other memory since.
 *
 * Context: BQL.
 *
 * Returns: the number, since prefault_memory_watch().
 */
unsigned prefault_memory_blocks_gone(void);

/**
 * prefault_memory_watch: learn of changes of the memory map from now on
 * @changing: a change of some address space, or of dirty page logging, begins;
 *            called before an accelerator acts on it, with the gate closed
 * @logged: writes to some memory are no longer tracked
 *
 * Context: BQL; so are the callbacks.
 */
void prefault_memory_watch(void (*changing)(void),
                           void (*logged)(hwaddr start, uint64_t size));

#endif /* HW_CORE_PREFAULT_MEMORY_H */
