/*
 * Memory that is plugged and unplugged in parts (virtio-mem)
 *
 * All state is protected by the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "hw/core/prefault-backend.h"
#include "hw/core/prefault-compat.h"
#include "managed.h"

/* A section that has a manager */
typedef struct Managed {
    RamDiscardListener listener;
    MemoryRegion *mr;
    hwaddr start;
    bool leaving;               /* it is not followed any more */
    QLIST_ENTRY(Managed) next;
} Managed;

static QLIST_HEAD(, Managed) managed_sections =
    QLIST_HEAD_INITIALIZER(managed_sections);

/*
 * It counts as plugged once all listeners agree, which is before the timer.  A
 * run under way knows it as not plugged in, and must not take it for done.
 */
static int managed_populate(RamDiscardListener *listener,
                            PrefaultManagedSection *section)
{
    hwaddr start = section->offset_within_address_space;
    uint64_t size = int128_get64(section->size);

    prefault_withdrawing(start, size);
    prefault_owe(PREFAULT_OWED_REASON_PLUGGED, start, size, PREFAULT_REST_MS);
    return 0;
}

/*
 * QEMU has given the memory back already.  A worker may have taken some of it
 * again: give it back once more when no worker can do so any longer.  To a
 * listener that leaves all is said to be discarded, and is not.
 */
static void managed_discard(RamDiscardListener *listener,
                            PrefaultManagedSection *section)
{
    Managed *m = container_of(listener, Managed, listener);
    uint64_t size = int128_get64(section->size);

    if (!m->leaving &&
        prefault_withdrawing(section->offset_within_address_space, size)) {
        ram_block_discard_shared_range(section->mr->ram_block,
                                       section->offset_within_region, size);
    }
}

static bool managed_is_followed(const MemoryRegionSection *section)
{
    return memory_region_has_ram_discard_manager(section->mr) &&
           !memory_region_has_guest_memfd(section->mr);
}

static void managed_add(MemoryListener *listener, MemoryRegionSection *section)
{
    Managed *m;

    if (!managed_is_followed(section)) {
        return;
    }
    m = g_new0(Managed, 1);
    m->mr = section->mr;
    m->start = section->offset_within_address_space;
    ram_discard_listener_init(&m->listener, managed_populate, managed_discard);
    QLIST_INSERT_HEAD(&managed_sections, m, next);
    ram_discard_manager_register_listener(
        memory_region_get_ram_discard_manager(m->mr), &m->listener, section);
}

static void managed_del(MemoryListener *listener, MemoryRegionSection *section)
{
    Managed *m, *next;

    QLIST_FOREACH_SAFE(m, &managed_sections, next, next) {
        if (m->mr == section->mr &&
            m->start == section->offset_within_address_space) {
            m->leaving = true;
            ram_discard_manager_unregister_listener(
                memory_region_get_ram_discard_manager(m->mr), &m->listener);
            QLIST_REMOVE(m, next);
            g_free(m);
        }
    }
}

void prefault_managed_watch(void)
{
    static MemoryListener listener = {
        .name = "prefault-managed",
        .region_add = managed_add,
        .region_del = managed_del,
    };

    assert(bql_locked());
    memory_listener_register(&listener, &address_space_memory);
}
