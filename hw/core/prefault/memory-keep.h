/*
 * The host is to leave guest memory where it is
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_MEMORY_KEEP_H
#define HW_CORE_PREFAULT_MEMORY_KEEP_H

#include "memory.h"

/**
 * prefault_memory_begin_pinning: from now on this memory may be pinned
 * @memory: the plan
 * @errp: as for prefault_pins_begin(), after which each pin fails as well
 *
 * Context: BQL.
 *
 * Returns: false if it cannot be pinned.
 */
bool prefault_memory_begin_pinning(const PrefaultMemory *memory, Error **errp);

/**
 * prefault_memory_keep: the host is to leave this memory where it is
 * @memory: read with places
 * @keep: what is done: off: nothing; on: NUMA balancing and KSM leave all of it
 *        alone; auto: the same, but only what its vCPUs use from one host node
 *        only, so that NUMA balancing would have nothing to move; lock: as on,
 *        and from now on it may be pinned
 * @balanced: filled with the bytes that NUMA balancing goes on to work on
 * @errp: as for prefault_memory_begin_pinning()
 *
 * Memory with a policy of its own has none of NUMA balancing; KSM is told for
 * all.
 *
 * Context: BQL.
 *
 * Returns: false if it cannot be pinned.
 */
bool prefault_memory_keep(const PrefaultMemory *memory, PrefaultKeep keep,
                          uint64_t *balanced, Error **errp);

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

#endif /* HW_CORE_PREFAULT_MEMORY_KEEP_H */
