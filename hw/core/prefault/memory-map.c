/*
 * Prefault's view of QEMU's memory map
 *
 * Describes the flat view of the system address space to the plan, and watches
 * for changes.  Everything here is a MemoryListener's work, so that the memory
 * core needs no hook.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "exec/cpu-common.h"
#include "system/address-spaces.h"
#include "system/memory.h"
#include "memory-map.h"

typedef struct MapReader {
    MemoryListener listener;
    GArray *sections;           /* of PrefaultSection */
    GPtrArray *regions;         /* of MemoryRegion */
} MapReader;

static void (*map_changing)(void);

static uint32_t section_traits(const MemoryRegionSection *section)
{
    MemoryRegion *mr = section->mr;
    const bool applies[] = {
        [PREFAULT_SKIP_REASON_ROM] = section->readonly || mr->readonly,
        [PREFAULT_SKIP_REASON_RAM_DEVICE] = memory_region_is_ram_device(mr),
        [PREFAULT_SKIP_REASON_DISCARD_MANAGER] =
            memory_region_has_ram_discard_manager(mr),
        [PREFAULT_SKIP_REASON_PRIVATE] = memory_region_has_guest_memfd(mr),
        [PREFAULT_SKIP_REASON_MIGRATION] =
            memory_region_get_dirty_log_mask(mr) & BIT(DIRTY_MEMORY_MIGRATION),
        [PREFAULT_SKIP_REASON_DIRTY_LOGGING] =
            memory_region_get_dirty_log_mask(mr),
    };
    uint32_t traits = 0;

    for (int reason = 0; reason < ARRAY_SIZE(applies); reason++) {
        traits |= applies[reason] ? BIT(reason) : 0;
    }
    return traits;
}

static void reader_region_add(MemoryListener *listener,
                              MemoryRegionSection *section)
{
    MapReader *reader = container_of(listener, MapReader, listener);
    MemoryRegion *mr = section->mr;
    hwaddr offset = section->offset_within_region;
    PrefaultSection s;

    if (!memory_region_is_ram(mr)) {
        return;
    }
    memory_region_ref(mr);
    g_ptr_array_add(reader->regions, mr);
    s = (PrefaultSection) {
        .gpa = section->offset_within_address_space,
        .size = int128_get64(section->size),
        .host = (uint8_t *)memory_region_get_ram_ptr(mr) + offset,
        .ram_addr = memory_region_get_ram_addr(mr) + offset,
        .page_size = qemu_ram_pagesize(mr->ram_block),
        .traits = section_traits(section),
    };
    g_array_append_val(reader->sections, s);
}

PrefaultPlan *prefault_map_plan(GPtrArray **regions)
{
    g_autoptr(GArray) sections =
        g_array_new(false, false, sizeof(PrefaultSection));
    MapReader reader = {
        .listener = {
            .name = "prefault-read",
            .region_add = reader_region_add,
        },
        .sections = sections,
        .regions = g_ptr_array_new_with_free_func(
            (GDestroyNotify)memory_region_unref),
    };

    /* Registration replays the whole flat view: that is the way to read it */
    memory_listener_register(&reader.listener, &address_space_memory);
    memory_listener_unregister(&reader.listener);
    *regions = reader.regions;
    return prefault_plan_new((PrefaultSection *)sections->data, sections->len,
                             qemu_real_host_page_size());
}

static void watcher_begin(MemoryListener *listener)
{
    map_changing();
}

void prefault_map_watch(void (*changing)(void))
{
    static MemoryListener watcher = {
        .name = "prefault-watch",
        .begin = watcher_begin,
    };

    map_changing = changing;
    memory_listener_register(&watcher, &address_space_memory);
}
