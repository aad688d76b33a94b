/*
 * Prefault's view of QEMU's memory map
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_MEMORY_H
#define HW_CORE_PREFAULT_MEMORY_H

#include "plan.h"
#include "places.h"

/**
 * prefault_memory_plan: make a plan of the guest's memory as it is now
 * @regions: filled with a reference to every memory region of the plan, so
 *           that their memory stays; drop it when the plan is no longer used
 * @places: filled with the places of the plan's chunks
 *
 * Context: BQL.
 *
 * Returns: a plan for prefault_plan_free().
 */
PrefaultPlan *prefault_memory_plan(GPtrArray **regions,
                                   PrefaultPlaces **places);

/**
 * prefault_memory_suffices: does the host have what populating a plan takes?
 * @plan: of memory whose regions are still referenced
 * @with_private: private memory takes all its bytes; or else it has them already,
 *                for nothing tells what a guest_memfd holds
 * @errp: set if not; see prefault_host_check()
 *
 * Context: BQL.
 *
 * Returns: false if not.
 */
bool prefault_memory_suffices(const PrefaultPlan *plan, bool with_private,
                              Error **errp);

/**
 * prefault_memory_watch: learn of changes of the memory map from now on
 * @changing: a change of some address space, or of what logs dirty pages,
 *            begins; called before an accelerator acts on it.  Which change is
 *            not known: deleting any memslot can cost the mappings of all.
 *
 * Context: BQL; so is the callback.
 */
void prefault_memory_watch(void (*changing)(void));

#endif /* HW_CORE_PREFAULT_MEMORY_H */
