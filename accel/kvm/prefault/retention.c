/*
 * Memslot retention: memory that did not change stays mapped
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "qemu/units.h"
#include "hw/core/prefault-backend.h"
#include "hw/core/prefault-compat.h"
#include "system/kvm-prefault.h"
#include "pre-fault.h"
#include "retention.h"
#include "slot-zap.h"
#include "slots.h"
#include "trace.h"

/*
 * With the quirk KVM_X86_QUIRK_SLOT_ZAP_ALL a change costs all mappings, so map
 * again only when the memory map has been quiet for this long
 */
#define REST_ZAP_ALL_MS 100

/*
 * Guest addresses where RAM is cut: at @from, and from there on at multiples of
 * @grid.  Firmware changes what is below 4 GiB, again and again.  Above it a
 * guest puts a page of its own here and there (Hyper-V's SynIC, Xen): a memslot
 * of 1 GiB loses little, and is still mapped in pages of 1 GiB.  KVM has 32,764
 * memslots (Linux, KVM_USER_MEM_SLOTS); a guest with 64 TiB takes about 2,900.
 */
static const struct {
    hwaddr from;
    hwaddr grid;
} retention_cuts[] = {
    { 0, 1 * MiB },
    { 1 * MiB, 64 * MiB },
    { 4 * GiB, 1 * GiB },
    { 1 * TiB, 16 * GiB },
    { 16 * TiB, 64 * GiB },
    { 64 * TiB, 1 * TiB },
};

/* A range of guest addresses that one memslot covers */
typedef struct Piece {
    hwaddr start;
    hwaddr end;
} Piece;

static uint64_t retention_slots_kept, retention_slots_dropped;

/* The cuts suit a PC: PAM, SMRAM and the PCI hole are at its addresses */
static bool retention_is_for_target(void)
{
#ifdef TARGET_I386
    return true;
#else
    return false;
#endif
}

/*
 * The first memslot asks first, when the options are known.  The answer never
 * changes: memslots that were cut in two ways would not be found again.
 */
static bool retention_is_on(void)
{
    static int on = -1;

    if (on < 0) {
        on = prefault_is_wanted() && kvm_pre_fault_is_supported() &&
             retention_is_for_target();
    }
    return on;
}

hwaddr kvm_retention_cut(hwaddr start, hwaddr size)
{
    int i = ARRAY_SIZE(retention_cuts) - 1;
    hwaddr grid;

    if (!retention_is_on()) {
        return size;
    }
    while (start < retention_cuts[i].from) {
        i--;
    }
    grid = retention_cuts[i].grid;
    return MIN(size, QEMU_ALIGN_DOWN(start, grid) + grid - start);
}

/* Is it memory whose memslots may be kept?  See kvm_retention_commit() */
static bool retention_section_is_plain(const MemoryRegionSection *section)
{
    MemoryRegion *mr = section->mr;

    return memory_region_is_ram(mr) && !memory_region_is_ram_device(mr) &&
           !mr->readonly && !mr->rom_device &&
           QEMU_IS_ALIGNED(section->offset_within_address_space |
                           int128_get64(section->size),
                           qemu_real_host_page_size());
}

/* The memslot that kvm_set_phys_mem() would create for a piece */
static KVMSlot retention_slot_wanted(const MemoryRegionSection *section,
                                     const Piece *piece)
{
    MemoryRegion *mr = section->mr;
    hwaddr offset = section->offset_within_region + piece->start -
                    section->offset_within_address_space;
    KVMSlot slot = {
        .start_addr = piece->start,
        .memory_size = piece->end - piece->start,
        .ram = memory_region_get_ram_ptr(mr) + offset,
        .ram_start_offset = memory_region_get_ram_addr(mr) + offset,
        .guest_memfd = mr->ram_block->guest_memfd,
    };

    if (memory_region_get_dirty_log_mask(mr)) {
        slot.flags |= KVM_MEM_LOG_DIRTY_PAGES;
    }
    if (memory_region_has_guest_memfd(mr)) {
        slot.flags |= KVM_MEM_GUEST_MEMFD;
        slot.guest_memfd_offset = (uint8_t *)slot.ram - mr->ram_block->host;
    }
    return slot;
}

/* Go to the piece of @section that follows @piece.  Returns false at the end */
static bool retention_next_piece(const MemoryRegionSection *section,
                                 Piece *piece)
{
    hwaddr start = section->offset_within_address_space;
    hwaddr end = start + int128_get64(section->size);

    piece->start = piece->end ?: start;
    piece->end = piece->start + kvm_retention_cut(piece->start,
                                                  end - piece->start);
    return piece->start != piece->end;
}

static bool retention_slot_matches(const KVMSlot *slot, const KVMSlot *wanted)
{
    return slot->ram == wanted->ram &&
           slot->ram_start_offset == wanted->ram_start_offset &&
           slot->flags == wanted->flags &&
           slot->guest_memfd == wanted->guest_memfd &&
           /* Without one QEMU 10.0 has some number there */
           (slot->guest_memfd < 0 ||
            slot->guest_memfd_offset == wanted->guest_memfd_offset);
}

static int retention_compare_pieces(const void *a, const void *b)
{
    hwaddr x = ((const Piece *)a)->start, y = ((const Piece *)b)->start;

    return x < y ? -1 : x > y;
}

/* Append to @kept the pieces of @section that have their memslot already */
static void retention_find_kept(const GPtrArray *slots,
                                const MemoryRegionSection *section,
                                GArray *kept)
{
    Piece piece = {};

    while (retention_section_is_plain(section) &&
           retention_next_piece(section, &piece)) {
        KVMSlot wanted = retention_slot_wanted(section, &piece);
        const KVMSlot *slot = kvm_slot_find(slots, piece.start,
                                            piece.end - piece.start);

        if (slot && retention_slot_matches(slot, &wanted)) {
            g_array_append_val(kept, piece);
        }
    }
}

static void retention_append_part(GPtrArray *parts,
                                  const MemoryRegionSection *section,
                                  hwaddr start, hwaddr end)
{
    KVMMemoryUpdate *update;

    if (start == end) {
        return;
    }
    update = g_new0(KVMMemoryUpdate, 1);
    update->section = *section;
    update->section.offset_within_region +=
        start - section->offset_within_address_space;
    update->section.offset_within_address_space = start;
    update->section.size = int128_make64(end - start);
    g_ptr_array_add(parts, update);
}

/* The first of @kept, sorted by address, that begins at @start or behind it */
static guint retention_first_kept(const GArray *kept, hwaddr start)
{
    guint low = 0, high = kept->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(kept, Piece, middle).start < start) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Append to @parts the gaps in @section between @kept, sorted by address */
static void retention_append_rest(GPtrArray *parts,
                                  const MemoryRegionSection *section,
                                  const GArray *kept)
{
    hwaddr start = section->offset_within_address_space;
    hwaddr end = start + int128_get64(section->size);

    for (guint i = retention_first_kept(kept, start); i < kept->len; i++) {
        const Piece *piece = &g_array_index(kept, Piece, i);

        if (piece->end > end) {
            break;
        }
        retention_append_part(parts, section, start, piece->start);
        start = piece->end;
    }
    retention_append_part(parts, section, start, end);
}

/*
 * kvm_region_commit() takes or drops a reference of @mr for each part.  Make up
 * for that, so that a section counts once, however many parts it has.
 */
static void retention_balance_refs(MemoryRegion *mr, int parts, bool adding)
{
    int surplus = adding ? 1 - parts : parts - 1;

    for (; surplus > 0; surplus--) {
        memory_region_ref(mr);
    }
    for (; surplus < 0; surplus++) {
        memory_region_unref(mr);
    }
}

/* Replace the updates that start with @update by their parts beside @kept */
static GPtrArray *retention_without_kept(KVMMemoryUpdate *update,
                                         const GArray *kept, bool adding)
{
    GPtrArray *parts = g_ptr_array_new();
    KVMMemoryUpdate *next;

    for (; update; update = next) {
        unsigned before = parts->len;

        next = QSIMPLEQ_NEXT(update, next);
        retention_append_rest(parts, &update->section, kept);
        retention_balance_refs(update->section.mr, parts->len - before, adding);
        g_free(update);
    }
    return parts;
}

/* Count the memslots of a section that goes: a device's has none */
static unsigned retention_count_slots(const GPtrArray *slots,
                                      const MemoryRegionSection *section)
{
    Piece piece = {};
    unsigned count = 0;

    while (section->mr->ram_block && retention_next_piece(section, &piece)) {
        count +=
            kvm_slot_find(slots, piece.start, piece.end - piece.start) != NULL;
    }
    return count;
}

static void retention_retain(KVMMemoryListener *kml, const GArray *kept)
{
    g_autoptr(GPtrArray) del = retention_without_kept(
        QSIMPLEQ_FIRST(&kml->transaction_del), kept, false);
    g_autoptr(GPtrArray) add = retention_without_kept(
        QSIMPLEQ_FIRST(&kml->transaction_add), kept, true);

    QSIMPLEQ_INIT(&kml->transaction_del);
    for (unsigned i = 0; i < del->len; i++) {
        KVMMemoryUpdate *update = g_ptr_array_index(del, i);

        QSIMPLEQ_INSERT_TAIL(&kml->transaction_del, update, next);
    }
    QSIMPLEQ_INIT(&kml->transaction_add);
    for (unsigned i = 0; i < add->len; i++) {
        KVMMemoryUpdate *update = g_ptr_array_index(add, i);

        QSIMPLEQ_INSERT_TAIL(&kml->transaction_add, update, next);
    }
}

/* Owe the memory that this change drops: it is mapped again afterwards */
static void retention_note_dropped(const KVMMemoryListener *kml,
                                   const GPtrArray *slots)
{
    /* With the quirk the next change drops all mappings again: wait longer */
    unsigned rest_ms = kvm_slot_zap_all() ? REST_ZAP_ALL_MS : PREFAULT_REST_MS;
    KVMMemoryUpdate *update;
    uint64_t dropped = 0;

    QSIMPLEQ_FOREACH(update, &kml->transaction_del, next) {
        dropped += retention_count_slots(slots, &update->section);
    }
    retention_slots_dropped += dropped;
    if (dropped && kvm_slot_zap_all()) {
        prefault_owe_all(PREFAULT_OWED_REASON_DROPPED, rest_ms);
        return;
    }
    /* Other address spaces have page tables of their own */
    QSIMPLEQ_FOREACH(update, &kml->transaction_add, next) {
        if (kml->as_id == 0 && retention_section_is_plain(&update->section)) {
            prefault_owe(PREFAULT_OWED_REASON_DROPPED,
                         update->section.offset_within_address_space,
                         int128_get64(update->section.size), rest_ms);
        }
    }
}

void kvm_retention_commit(KVMMemoryListener *kml)
{
    g_autoptr(GPtrArray) slots = NULL;
    g_autoptr(GArray) kept = NULL;
    KVMMemoryUpdate *update;

    if ((QSIMPLEQ_EMPTY(&kml->transaction_add) &&
         QSIMPLEQ_EMPTY(&kml->transaction_del)) || !retention_is_on()) {
        return;
    }
    /* QEMU tells nobody that it begins where it makes a new VM at a reset */
    prefault_gate_close();
    slots = kvm_slots_sorted(kml);
    kept = g_array_new(false, false, sizeof(Piece));
    QSIMPLEQ_FOREACH(update, &kml->transaction_add, next) {
        retention_find_kept(slots, &update->section, kept);
    }
    g_array_sort(kept, retention_compare_pieces);
    retention_retain(kml, kept);
    retention_slots_kept += kept->len;
    trace_kvm_retention_commit(kml->as_id, kept->len);
    retention_note_dropped(kml, slots);
}

void kvm_retention_counts(uint64_t *kept, uint64_t *dropped)
{
    *kept = retention_slots_kept;
    *dropped = retention_slots_dropped;
}
