/*
 * Made-up memslots of two address spaces
 *
 * The memory API is made up here; memslots are deleted and created as KVM's
 * memory listener does, with retention in between.  Who includes this defines
 * TARGET_I386, so that memslots are cut.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_KVM_RETENTION_FAKES_H
#define TESTS_UNIT_KVM_RETENTION_FAKES_H

#include <linux/kvm.h>
#include "qemu/units.h"
#include "../../accel/kvm/prefault/retention.c"
#include "../../accel/kvm/prefault/slots.c"

#define PAGE 4096
#define SLOTS_MAX 4200
#define SPACES 2

/* Regions that sections are of; each has host memory of its own */
enum {
    MAIN, ALIASED, LOGGED, GUEST_MEMFD, READONLY, ROM, BAR, REGIONS,
};

typedef struct Region {
    MemoryRegion mr;
    RAMBlock block;
    int refs;
    uint8_t log_mask;
} Region;

KVMState *kvm_state;

static Region regions[REGIONS];

/* A section of a view: the region's offset is fixed by the guest address */
typedef struct Section {
    hwaddr start;
    hwaddr end;
    int region;
    hwaddr delta;               /* offset in the region less guest address */
    bool romd;                  /* of a ROM device: it can be read directly */
} Section;

typedef struct Space {
    KVMMemoryListener kml;
    GArray *view;               /* of Section, sorted */
    unsigned born[SLOTS_MAX];       /* when the memslot was created */
} Space;

static Space spaces[SPACES];
static int nr_slots;            /* of each */
static unsigned now;
static unsigned kept_by_model, changes;
static unsigned gate_closed;
static GArray *owed;            /* of Piece, by the change under way */

/* The memory API, as far as retention uses it */

static Region *region_of(const MemoryRegion *mr)
{
    return container_of(mr, Region, mr);
}

void memory_region_ref(MemoryRegion *mr)
{
    region_of(mr)->refs++;
}

void memory_region_unref(MemoryRegion *mr)
{
    region_of(mr)->refs--;
}

void *memory_region_get_ram_ptr(PrefaultAskedRegion *mr)
{
    return mr->ram_block->host;
}

ram_addr_t memory_region_get_ram_addr(PrefaultAskedRegion *mr)
{
    return mr->ram_block->offset;
}

uint8_t memory_region_get_dirty_log_mask(PrefaultAskedRegion *mr)
{
    return region_of(mr)->log_mask;
}

bool memory_region_has_guest_memfd(PrefaultAskedRegion *mr)
{
    return mr->ram_block->guest_memfd >= 0;
}

bool memory_region_is_ram_device(PrefaultAskedRegion *mr)
{
    return mr->ram_device;
}

bool kvm_pre_fault_is_supported(void)
{
    return true;
}

void prefault_gate_close(void)
{
    gate_closed++;
}

bool prefault_is_wanted(void)
{
    return true;
}

bool kvm_slot_zap_all(void)
{
    return false;
}

/* The quirk is not in force here: never all of it */
void prefault_owe_all(PrefaultOwedReason reason, unsigned rest_ms)
{
    g_assert_not_reached();
}

void prefault_owe(PrefaultOwedReason reason, hwaddr start, uint64_t size,
                  unsigned rest_ms)
{
    Piece piece = { start, start + size };

    g_assert_cmpint(reason, ==, PREFAULT_OWED_REASON_DROPPED);
    g_assert_cmpuint(rest_ms, ==, PREFAULT_REST_MS);
    g_array_append_val(owed, piece);
}

/* What KVM's memory listener does */

static int flags_of(MemoryRegion *mr)
{
    return (memory_region_get_dirty_log_mask(mr) ? KVM_MEM_LOG_DIRTY_PAGES : 0)
           | (mr->readonly || mr->rom_device ? KVM_MEM_READONLY : 0)
           | (memory_region_has_guest_memfd(mr) ? KVM_MEM_GUEST_MEMFD : 0);
}

static KVMSlot *find_slot(Space *space, hwaddr start, hwaddr size)
{
    for (int i = 0; i < nr_slots; i++) {
        KVMSlot *slot = &space->kml.slots[i];

        if (slot->memory_size == size && slot->start_addr == start) {
            return slot;
        }
    }
    return NULL;
}

static KVMSlot *free_slot(Space *space, hwaddr start, hwaddr size)
{
    KVMSlot *found = NULL;

    for (int i = 0; i < nr_slots; i++) {
        KVMSlot *slot = &space->kml.slots[i];

        if (!slot->memory_size) {
            found = found ?: slot;
        } else {
            /* KVM refuses memslots that overlap */
            g_assert_true(slot->start_addr >= start + size ||
                          slot->start_addr + slot->memory_size <= start);
        }
    }
    g_assert_nonnull(found);
    return found;
}

static void set_phys_mem(Space *space, MemoryRegionSection *section, bool add)
{
    MemoryRegion *mr = section->mr;
    hwaddr start = section->offset_within_address_space;
    hwaddr size = int128_get64(section->size);
    hwaddr offset = section->offset_within_region, part;

    if (!mr->ram && !mr->romd_mode) {
        add = false;
    }
    for (; size; start += part, offset += part, size -= part) {
        KVMSlot *slot;

        part = kvm_retention_cut(start, size);
        if (!add) {
            slot = find_slot(space, start, part);
            if (!slot) {
                return;
            }
            slot->memory_size = 0;
            continue;
        }
        slot = free_slot(space, start, part);
        slot->start_addr = start;
        slot->memory_size = part;
        slot->ram = mr->ram_block->host + offset;
        slot->ram_start_offset = mr->ram_block->offset + offset;
        slot->flags = flags_of(mr);
        slot->guest_memfd = mr->ram_block->guest_memfd;
        slot->guest_memfd_offset = offset;   /* as QEMU 10.0 has it */
        space->born[slot - space->kml.slots] = now;
    }
}

static void apply(Space *space)
{
    KVMMemoryUpdate *update, *next;

    QSIMPLEQ_FOREACH_SAFE(update, &space->kml.transaction_del, next, next) {
        set_phys_mem(space, &update->section, false);
        memory_region_unref(update->section.mr);
        g_free(update);
    }
    QSIMPLEQ_FOREACH_SAFE(update, &space->kml.transaction_add, next, next) {
        memory_region_ref(update->section.mr);
        set_phys_mem(space, &update->section, true);
        g_free(update);
    }
    QSIMPLEQ_INIT(&space->kml.transaction_del);
    QSIMPLEQ_INIT(&space->kml.transaction_add);
}

/* Changing from one view to another */

static bool section_equal(const Section *a, const Section *b)
{
    return a->start == b->start && a->end == b->end &&
           a->region == b->region && a->delta == b->delta &&
           a->romd == b->romd;
}

static bool view_has(const GArray *view, const Section *section)
{
    for (unsigned i = 0; i < view->len; i++) {
        if (section_equal(&g_array_index(view, Section, i), section)) {
            return true;
        }
    }
    return false;
}

static KVMMemoryUpdate *update_new(const Section *section)
{
    KVMMemoryUpdate *update = g_new0(KVMMemoryUpdate, 1);

    update->section = (MemoryRegionSection) {
        .mr = &regions[section->region].mr,
        .size = int128_make64(section->end - section->start),
        .offset_within_address_space = section->start,
        .offset_within_region = section->start + section->delta,
    };
    return update;
}

/* As log_start and log_stop: memslots of sections that stay get their flags */
static void update_flags(Space *space, const Section *section)
{
    hwaddr size;

    for (hwaddr at = section->start; at < section->end; at += size) {
        KVMSlot *slot;

        size = kvm_retention_cut(at, section->end - at);
        slot = find_slot(space, at, size);
        if (slot) {
            slot->flags = flags_of(&regions[section->region].mr);
        }
    }
}

/* Returns with the changes queued, and the old view gone */
static void queue_view(Space *space, GArray *view)
{
    for (unsigned i = 0; i < space->view->len; i++) {
        const Section *section = &g_array_index(space->view, Section, i);

        if (!view_has(view, section)) {
            KVMMemoryUpdate *update = update_new(section);

            QSIMPLEQ_INSERT_TAIL(&space->kml.transaction_del, update, next);
        }
    }
    for (unsigned i = 0; i < view->len; i++) {
        const Section *section = &g_array_index(view, Section, i);

        if (!view_has(space->view, section)) {
            KVMMemoryUpdate *update = update_new(section);

            QSIMPLEQ_INSERT_TAIL(&space->kml.transaction_add, update, next);
        } else {
            update_flags(space, section);
        }
    }
    g_array_unref(space->view);
    space->view = view;
}

/* Memslots change only while no thread maps memory */
static void change_view(Space *space, GArray *view)
{
    unsigned closed = gate_closed;
    bool changes_slots;

    queue_view(space, view);
    changes_slots = !QSIMPLEQ_EMPTY(&space->kml.transaction_add) ||
                    !QSIMPLEQ_EMPTY(&space->kml.transaction_del);
    kvm_retention_commit(&space->kml);
    g_assert_cmpuint(gate_closed, ==, closed + changes_slots);
    apply(space);
}

static unsigned slots_used(const Space *space)
{
    unsigned used = 0;

    for (int i = 0; i < nr_slots; i++) {
        used += space->kml.slots[i].memory_size != 0;
    }
    return used;
}

static void setup(int slots)
{
    nr_slots = slots;
    now = kept_by_model = changes = 0;
    owed = g_array_new(false, false, sizeof(Piece));
    for (int i = 0; i < REGIONS; i++) {
        Region *r = &regions[i];

        *r = (Region) {
            .block.host = (uint8_t *)(uintptr_t)((i + 1ULL) << 40),
            .block.offset = (i + 1ULL) << 40,
            .block.guest_memfd = i == GUEST_MEMFD ? 99 : -1,
            .log_mask = i == LOGGED,
            .mr.ram = i != ROM,
            .mr.rom_device = i == ROM,
            .mr.romd_mode = true,
            .mr.readonly = i == READONLY,
            .mr.ram_device = i == BAR,
        };
        r->mr.ram_block = &r->block;
    }
    for (int s = 0; s < SPACES; s++) {
        Space *space = &spaces[s];

        *space = (Space) {
            .kml.slots = g_new0(KVMSlot, nr_slots),
            .kml.nr_slots_allocated = slots,
            .kml.as_id = s,
            .view = g_array_new(false, false, sizeof(Section)),
        };
        for (int i = 0; i < nr_slots; i++) {
            space->kml.slots[i].slot = i;
        }
        QSIMPLEQ_INIT(&space->kml.transaction_add);
        QSIMPLEQ_INIT(&space->kml.transaction_del);
    }
}

static void teardown(void)
{
    g_array_unref(owed);
    for (int s = 0; s < SPACES; s++) {
        g_free(spaces[s].kml.slots);
        g_array_unref(spaces[s].view);
    }
}

#endif /* TESTS_UNIT_KVM_RETENTION_FAKES_H */
