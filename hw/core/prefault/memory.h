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
#include "system/hostmem.h"
#include "hw/core/prefault-compat.h"

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
 * @debts: an array of PrefaultDebt: read only these ranges, and places only if
 *         some is to be populated; NULL: read all memory
 *
 * Context: BQL.
 */
void prefault_memory_read(PrefaultMemory *memory, const GArray *debts);

/**
 * prefault_memory_read_with: likewise, and of memory that is not plugged in yet
 * @memory: as above
 * @debts: as above
 * @more: RAM that the guest does not have; it stays as long as @memory is used
 *
 * Context: BQL.
 */
void prefault_memory_read_with(PrefaultMemory *memory, const GArray *debts,
                               MemoryRegion *more);

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
 * prefault_memory_block: the RAM block of some memory
 * @range: of a plan
 *
 * Context: BQL, inside an RCU read side section.
 *
 * Returns: the block, or NULL if it has gone away.
 */
RAMBlock *prefault_memory_block(const PrefaultChunk *range);

/**
 * prefault_memory_backend: the memory backend of a RAM block
 * @rb: the block
 *
 * Context: BQL.
 *
 * Returns: the backend, or NULL if it is of the machine itself.
 */
const HostMemoryBackend *prefault_memory_backend(const RAMBlock *rb);

/**
 * prefault_memory_is_ballooned: has the guest given memory back before it came?
 *
 * Which of it is not known: no memory is populated then.
 *
 * Context: BQL.
 *
 * Returns: true if so.
 */
bool prefault_memory_is_ballooned(void);

/**
 * prefault_memory_may_be_populated: can memory be populated just now?
 *
 * Not before an incoming postcopy migration has brought it, nor while a
 * background snapshot is taken of it.
 *
 * Context: BQL.
 *
 * Returns: true if so.
 */
bool prefault_memory_may_be_populated(void);

#endif /* HW_CORE_PREFAULT_MEMORY_H */
