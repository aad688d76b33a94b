/*
 * Prefault's view of QEMU's memory map
 *
 * Describes the system address space to the plan.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "exec/cpu-common.h"
#include "hw/core/prefault-compat.h"
#include "hw/mem/memory-device.h"
#include "migration/misc.h"
#include "qemu/main-loop.h"
#include "qapi/qapi-commands-machine.h"
#include "system/hostmem.h"
#include "system/system.h"
#include "gate.h"
#include "memory.h"
#include "nodes.h"
#include "options.h"
#include "parts.h"
#include "watch.h"

/* Where memory is taken to be that is not plugged in yet */
#define MEMORY_MORE_AT BIT_ULL(51)

typedef struct MemoryReader {
    GArray *sections;           /* of PrefaultSection */
    GPtrArray *regions;         /* of MemoryRegion */
    PrefaultPlaces *places;     /* NULL: they do not matter */
    uint32_t traits;            /* of all memory */
    bool present_only;          /* of the debt that is read now */
} MemoryReader;

/*
 * Has the guest given memory back before it came here?  A balloon device does
 * not say which.  An error means that there is no such device, or that it
 * cannot tell.  While memory is pinned (by us, or for VFIO) it gives nothing
 * back, whatever its device says.
 */
bool prefault_memory_is_ballooned(void)
{
    const MachineState *machine = current_machine;
    uint64_t dimms = machine->device_memory ? machine->device_memory->dimm_size
                                            : 0;
    g_autoptr(BalloonInfo) info = qmp_query_balloon(NULL);

    assert(bql_locked());
    return info && info->actual < machine->ram_size + dimms &&
           !prefault_watch_has_returned() && !ram_block_discard_is_disabled();
}

/* Reasons not to populate any memory for the time being */
static uint32_t memory_traits(void)
{
    return (prefault_memory_is_ballooned()
            ? BIT(PREFAULT_SKIP_REASON_BALLOON) : 0) |
           (migration_in_incoming_postcopy() ?
            BIT(PREFAULT_SKIP_REASON_POSTCOPY) : 0) |
           (migration_in_bg_snapshot() ?
            BIT(PREFAULT_SKIP_REASON_BACKGROUND_SNAPSHOT) : 0);
}

static uint32_t memory_section_traits(const MemoryRegionSection *section)
{
    MemoryRegion *mr = section->mr;
    const bool applies[] = {
        [PREFAULT_SKIP_REASON_ROM] = section->readonly || mr->readonly,
        [PREFAULT_SKIP_REASON_RAM_DEVICE] = memory_region_is_ram_device(mr),
        /* Of an enclave (SGX): the guest's CPU takes it as it needs it */
        [PREFAULT_SKIP_REASON_UNPOPULATABLE] = memory_region_is_protected(mr),
        /* A migration's tracking ends; a display's does not */
        [PREFAULT_SKIP_REASON_DIRTY_LOGGING] =
            memory_region_get_dirty_log_mask(mr) & ~BIT(DIRTY_MEMORY_MIGRATION),
    };
    uint32_t traits = 0;

    for (int reason = 0; reason < ARRAY_SIZE(applies); reason++) {
        traits |= applies[reason] ? BIT(reason) : 0;
    }
    return traits;
}

static PrefaultSection *memory_add_section(MemoryReader *reader,
                                           const MemoryRegionSection *section,
                                           bool is_private)
{
    MemoryRegion *mr = section->mr;
    hwaddr offset = section->offset_within_region;
    PrefaultSection s = {
        .gpa = section->offset_within_address_space,
        .size = int128_get64(section->size),
        .host = (uint8_t *)memory_region_get_ram_ptr(mr) + offset,
        .ram_addr = memory_region_get_ram_addr(mr) + offset,
        .page_size = is_private ? qemu_real_host_page_size()
                                : qemu_ram_pagesize(mr->ram_block),
        .traits = memory_section_traits(section) | reader->traits,
        .place = reader->places ? prefault_places_find(reader->places, mr) : 0,
        .is_private = is_private,
        .present_only = reader->present_only,
        /* To map it now would mark every page as written */
        .map_later = memory_region_get_dirty_log_mask(mr) &
                     BIT(DIRTY_MEMORY_MIGRATION),
        /* KVM binds each page of a guest_memfd to one guest address */
        .is_managed = memory_region_has_ram_discard_manager(mr),
    };

    g_array_append_val(reader->sections, s);
    return &g_array_index(reader->sections, PrefaultSection,
                          reader->sections->len - 1);
}

static void memory_add_part(const MemoryRegionSection *part, PrefaultPart kind,
                            void *opaque)
{
    PrefaultSection *added =
        memory_add_section(opaque, part, kind == PREFAULT_PART_PRIVATE);

    added->traits |= kind == PREFAULT_PART_UNPLUGGED
                     ? BIT(PREFAULT_SKIP_REASON_DISCARD_MANAGER) : 0;
}

static void memory_read_section(MemoryRegionSection *section, void *opaque)
{
    MemoryReader *reader = opaque;

    memory_region_ref(section->mr);
    g_ptr_array_add(reader->regions, section->mr);
    if (memory_region_has_ram_discard_manager(section->mr)) {
        prefault_parts_walk(section, memory_add_part, reader);
    } else {
        /* Before QEMU 10.1 guest_memfd has no manager */
        memory_add_section(reader, section,
                           memory_region_has_guest_memfd(section->mr));
    }
}

void prefault_memory_walk(hwaddr start, hwaddr end, PrefaultMemoryWalk *visit,
                          void *opaque)
{
    assert(bql_locked());
    while (start < end) {
        MemoryRegionSection found = memory_region_find(get_system_memory(),
                                                       start, end - start);

        if (!found.mr) {
            break;
        }
        start = found.offset_within_address_space + int128_get64(found.size);
        if (memory_region_is_ram(found.mr)) {
            visit(&found, opaque);
        }
        memory_region_unref(found.mr);
    }
}

static bool memory_is_all(PrefaultOwedReason reason)
{
    return reason == PREFAULT_OWED_REASON_ARRIVED ||
           reason == PREFAULT_OWED_REASON_REQUESTED;
}

/* What the guest has given back is among all memory, and nobody knows where */
static bool memory_must_be_present(PrefaultOwedReason reason)
{
    return !prefault_ledger_populates(reason) ||
           (memory_is_all(reason) &&
            (prefault_watch_has_returned() || prefault_memory_is_ballooned()));
}

/* Much memory, that is, and not from a vCPU that waits for it */
static bool memory_is_worth_places(PrefaultOwedReason reason)
{
    return memory_is_all(reason) || reason == PREFAULT_OWED_REASON_PLUGGED;
}

/* Before anything is read, so that all of it has its place */
static PrefaultPlaces *memory_places(const GArray *debts)
{
    for (guint i = 0; debts && i < debts->len; i++) {
        if (memory_is_worth_places(
                g_array_index(debts, PrefaultDebt, i).reason)) {
            return prefault_places_new();
        }
    }
    return debts ? NULL : prefault_places_new();
}

static void memory_read_debts(MemoryReader *reader, const GArray *debts)
{
    for (guint i = 0; i < debts->len; i++) {
        const PrefaultDebt *debt = &g_array_index(debts, PrefaultDebt, i);

        reader->present_only = memory_must_be_present(debt->reason);
        prefault_memory_walk(debt->start, debt->end, memory_read_section,
                             reader);
    }
}

static void memory_read_more(MemoryReader *reader, MemoryRegion *more)
{
    MemoryRegionSection section = {
        .mr = more,
        .size = int128_make64(memory_region_size(more)),
        .offset_within_address_space = MEMORY_MORE_AT,
    };

    reader->present_only = false;
    memory_add_section(reader, &section, memory_region_has_guest_memfd(more));
}

void prefault_memory_read_with(PrefaultMemory *memory, const GArray *debts,
                               MemoryRegion *more)
{
    g_autoptr(GArray) sections =
        g_array_new(false, false, sizeof(PrefaultSection));
    MemoryReader reader = {
        .sections = sections,
        .regions = g_ptr_array_new_with_free_func(
            (GDestroyNotify)memory_region_unref),
        .places = memory_places(debts),
        .traits = debts ? 0 : memory_traits(),
    };

    if (debts) {
        memory_read_debts(&reader, debts);
    } else {
        prefault_memory_walk(0, HWADDR_MAX, memory_read_section, &reader);
    }
    if (more) {
        memory_read_more(&reader, more);
    }
    *memory = (PrefaultMemory) {
        .generation = prefault_gate_generation(),
        .plan = prefault_plan_new((PrefaultSection *)sections->data,
                                  sections->len, qemu_real_host_page_size()),
        .regions = reader.regions,
        .places = reader.places,
    };
}

void prefault_memory_read(PrefaultMemory *memory, const GArray *debts)
{
    prefault_memory_read_with(memory, debts, NULL);
}

void prefault_memory_clear(PrefaultMemory *memory)
{
    assert(bql_locked());
    g_clear_pointer(&memory->plan, prefault_plan_free);
    g_clear_pointer(&memory->regions, g_ptr_array_unref);
    g_clear_pointer(&memory->places, prefault_places_free);
}

RAMBlock *prefault_memory_block(const PrefaultChunk *range)
{
    ram_addr_t offset;

    return qemu_ram_block_from_host(range->host, false, &offset);
}

const HostMemoryBackend *prefault_memory_backend(const RAMBlock *rb)
{
    return (HostMemoryBackend *)
        object_dynamic_cast(rb->mr->owner, TYPE_MEMORY_BACKEND);
}

static bool memory_backing(const PrefaultChunk *range, PrefaultBacking *backing)
{
    RAMBlock *rb = prefault_memory_block(range);
    uint8_t *host = QEMU_ALIGN_PTR_DOWN(range->host, range->page_size);

    if (!rb) {
        return false;
    }
    *backing = (PrefaultBacking) {
        .name = memory_region_name(rb->mr),
        .host = host,
        .size = ROUND_UP(range->host + range->size - host, range->page_size),
        .page_size = range->page_size,
        /* A guest_memfd takes memory from the same pool as anonymous memory */
        .fd = range->is_private ? -1 : qemu_ram_get_fd(rb),
        .fd_offset = rb->fd_offset +
                     (host - (uint8_t *)qemu_ram_get_host_addr(rb)),
        .shared = !range->is_private && qemu_ram_is_shared(rb),
        .is_private = range->is_private,
        .is_pinned = range->is_private || should_mlock(mlock_state) ||
                     prefault_options_keep() == PREFAULT_KEEP_LOCK,
        .reserved = !qemu_ram_is_noreserve(rb),
    };
    backing->is_bound = prefault_nodes_of(prefault_memory_backend(rb),
                                          backing->nodes);
    return true;
}

PrefaultRoom *prefault_memory_room(const PrefaultMemory *memory, bool all,
                                   uint64_t private_taken)
{
    g_autoptr(GArray) backings =
        g_array_new(false, false, sizeof(PrefaultBacking));
    PrefaultBacking backing;
    PrefaultChunk range;

    assert(bql_locked());
    RCU_READ_LOCK_GUARD();
    for (unsigned i = 0; prefault_plan_range(memory->plan, i, &range); i++) {
        if (range.alias || range.present_only ||
            !memory_backing(&range, &backing)) {
            continue;
        }
        if (range.is_private) {
            backing.private_taken = MIN(private_taken, backing.size);
            private_taken -= backing.private_taken;
        }
        g_array_append_val(backings, backing);
    }
    return prefault_room_new((PrefaultBacking *)backings->data, backings->len,
                             all, "");
}

bool prefault_memory_may_be_populated(void)
{
    assert(bql_locked());
    return !migration_in_incoming_postcopy() && !migration_in_bg_snapshot();
}
