/*
 * The host is to leave guest memory where it is
 *
 * All state is protected by the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "system/hostmem.h"
#include "hw/core/prefault-compat.h"
#include "keep.h"
#include "memory-keep.h"
#include "pins.h"
#include "watch.h"

static bool keep_is_unmerged;       /* KSM was told */

/* Returns false if NUMA balancing goes on to work on the block */
static bool keep_block(RAMBlock *rb, bool all, int node)
{
    void *host = qemu_ram_get_host_addr(rb);
    uint64_t size = qemu_ram_get_max_length(rb);
    bool keep = all || node >= 0;

    prefault_keep_unmerged(host, size);
    keep_is_unmerged = true;
    return !prefault_keep_is_balanced(prefault_memory_backend(rb)) ||
           (!prefault_keep_place(host, size, keep, node) && keep);
}

static uint64_t keep_all_of(const PrefaultMemory *memory, bool all)
{
    PrefaultChunk range;
    uint64_t balanced = 0;

    assert(bql_locked());
    RCU_READ_LOCK_GUARD();
    for (unsigned i = 0; prefault_plan_range(memory->plan, i, &range); i++) {
        RAMBlock *rb = range.is_private ? NULL : prefault_memory_block(&range);
        int node = prefault_places_node(memory->places, range.place);

        balanced += rb && !keep_block(rb, all, node) ? range.size : 0;
    }
    return balanced;
}

static uint64_t keep_pinnable(const PrefaultMemory *memory)
{
    PrefaultChunk range;
    uint64_t bytes = 0;

    for (unsigned i = 0; prefault_plan_range(memory->plan, i, &range); i++) {
        bytes += prefault_is_pinnable(&range) && !range.alias ? range.size : 0;
    }
    return bytes;
}

bool prefault_memory_begin_pinning(const PrefaultMemory *memory, Error **errp)
{
    return prefault_pins_begin(keep_pinnable(memory), errp);
}

bool prefault_memory_keep(const PrefaultMemory *memory, PrefaultKeep keep,
                          uint64_t *balanced, Error **errp)
{
    *balanced = keep == PREFAULT_KEEP_OFF
                ? 0 : keep_all_of(memory, keep != PREFAULT_KEEP_AUTO);
    return keep != PREFAULT_KEEP_LOCK ||
           prefault_memory_begin_pinning(memory, errp);
}

bool prefault_memory_may_be_written(void)
{
    assert(bql_locked());
    return keep_is_unmerged && !prefault_watch_has_returned();
}
