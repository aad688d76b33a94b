/*
 * Where workers run: near the memory they populate
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_PLACES_H
#define HW_CORE_PREFAULT_PLACES_H

#include "hw/core/prefault-compat.h"

/**
 * PrefaultPlaces: the places of one run, and the host CPUs that belong to each
 */
typedef struct PrefaultPlaces PrefaultPlaces;

/**
 * prefault_places_new: no place yet
 *
 * Context: BQL, in the thread that will start the workers.
 *
 * Returns: for prefault_places_free().
 */
PrefaultPlaces *prefault_places_new(void);

/**
 * prefault_places_free: forget all places
 * @places: no worker uses it any more; NULL does nothing
 */
void prefault_places_free(PrefaultPlaces *places);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PrefaultPlaces, prefault_places_free)

/**
 * prefault_places_find: which place does some memory belong to?
 * @places: the places; a new one is added if need be
 * @mr: the memory
 *
 * In this order: memory whose backend has host nodes belongs to the CPUs of
 * those nodes that QEMU may use; memory of a guest NUMA node (-numa, or node=
 * of a DIMM) to the CPUs that the vCPUs of this node may use; any other to the
 * CPUs that any vCPU may use.
 * So memory without a policy lands where a first touch by the guest would put
 * it, also where vCPUs are pinned and QEMU's other threads are pinned
 * elsewhere.
 *
 * Context: BQL.
 *
 * Returns: the place, less than PREFAULT_PLACES_MAX.
 */
unsigned prefault_places_find(PrefaultPlaces *places, const MemoryRegion *mr);

/**
 * prefault_places_cpus: on how many CPUs can workers run?
 * @places: all places of a run; NULL: its workers go to none, but wait for
 *          vCPUs
 *
 * If threads may move themselves, the CPUs of all places together; else those
 * that QEMU may use, because workers stay there.  Without places the CPUs that
 * vCPUs may use.
 *
 * Context: BQL, the thread that will start the workers.
 *
 * Returns: the number, 1 or more.
 */
unsigned prefault_places_cpus(const PrefaultPlaces *places);

/**
 * prefault_places_node: the host node of a place
 * @places: the places
 * @number: which one
 *
 * Context: any thread.
 *
 * Returns: the node that all its CPUs are of, -1 if there is none.
 */
int prefault_places_node(const PrefaultPlaces *places, unsigned number);

/**
 * prefault_places_enter: let the calling thread take memory of a place
 * @places: the places; not changed
 * @number: which one
 *
 * Moves the thread to the CPUs of the place.  If that is refused, as by
 * libvirt's sandbox, the thread stays where it is but takes memory from the
 * node of those CPUs, provided that they are all of one node and QEMU has no
 * memory policy of its own.  A place without CPUs stands for those that QEMU
 * may use.  Does nothing if the thread may use exactly the place's CPUs
 * already.
 *
 * Context: any thread; several at a time.
 *
 * Returns: 0, or -errno as sched_setaffinity() if neither can be done.
 */
int prefault_places_enter(const PrefaultPlaces *places, unsigned number);

#endif /* HW_CORE_PREFAULT_PLACES_H */
