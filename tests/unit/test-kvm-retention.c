/*
 * Tests of memslot retention
 *
 * Random flat views of two address spaces, one after the other, against a
 * model of what the memslots must be, and of what has to be mapped again.  The
 * memory API is made up here; memslots are deleted and created as KVM's memory
 * listener does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

/* kvm_int.h is for code of one target: it asks for names that are poisoned */
#define HW_POISON_H
#define TARGET_I386
#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "qemu/units.h"
#include "../../accel/kvm/prefault/retention.c"
#include "../../accel/kvm/prefault/slots.c"
#include "prefault-scale.h"

#define PAGE 4096
#define SLOTS_MAX 4200
#define VIEWS 4000
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

/* A memslot as it should be, and whether retention may keep it */
typedef struct Want {
    KVMSlot slot;
    bool plain;
} Want;

static void want_slots(const GArray *view, GArray *wants)
{
    for (unsigned i = 0; i < view->len; i++) {
        const Section *section = &g_array_index(view, Section, i);
        MemoryRegion *mr = &regions[section->region].mr;
        hwaddr end;

        for (hwaddr at = section->start; at < section->end; at = end) {
            bool logs = memory_region_get_dirty_log_mask(mr);
            Want want = {
                .plain = section->region <= GUEST_MEMFD,
                .slot.start_addr = at,
                .slot.ram = mr->ram_block->host + at + section->delta,
                .slot.flags = flags_of(mr),
            };

            g_assert(logs == !!(want.slot.flags & KVM_MEM_LOG_DIRTY_PAGES));
            /* The grid, said in another way than retention does */
            end = section->end;
            for (hwaddr cut = 0; cut < end;
                 cut += cut < 4 * GiB ? 64 * MiB : GiB) {
                if (at < (cut ?: MiB) && (cut ?: MiB) < end) {
                    end = cut ?: MiB;
                    break;
                }
            }
            want.slot.memory_size = end - at;
            if (mr->ram || mr->romd_mode) {
                g_array_append_val(wants, want);
            }
        }
    }
}

static bool slots_equal(const KVMSlot *a, const KVMSlot *b)
{
    return a && a->start_addr == b->start_addr &&
           a->memory_size == b->memory_size && a->ram == b->ram &&
           a->flags == b->flags;
}

static bool was_before(const KVMSlot *before, const KVMSlot *slot)
{
    for (int i = 0; i < nr_slots; i++) {
        if (before[i].memory_size && slots_equal(&before[i], slot)) {
            return true;
        }
    }
    return false;
}

static bool is_owed(hwaddr start, hwaddr end)
{
    for (unsigned i = 0; i < owed->len; i++) {
        const Piece *piece = &g_array_index(owed, Piece, i);

        if (piece->start < end && start < piece->end) {
            /* All of a memslot is, or nothing */
            g_assert_cmphex(piece->start, <=, start);
            g_assert_cmphex(piece->end, >=, end);
            return true;
        }
    }
    return false;
}

/* Change the view, then check memslots and references against the model */
static void change_and_check(Space *space, GArray *view)
{
    g_autoptr(GArray) wants = g_array_new(false, false, sizeof(Want));
    g_autofree KVMSlot *before = g_memdup2(space->kml.slots,
                                           nr_slots * sizeof(KVMSlot));
    g_autoptr(GArray) old = g_array_ref(space->view);
    unsigned slots = 0;

    now++;
    g_array_set_size(owed, 0);
    want_slots(view, wants);
    change_view(space, view);

    for (unsigned i = 0; i < wants->len; i++) {
        const Want *want = &g_array_index(wants, Want, i);
        KVMSlot *slot = find_slot(space, want->slot.start_addr,
                                  want->slot.memory_size);
        bool was_there, is_new;

        g_assert_true(slots_equal(slot, &want->slot));
        was_there = was_before(before, &want->slot);
        is_new = space->born[slot->slot] == now;
        if (want->plain) {
            /* Kept if and only if it was the same before */
            g_assert_true(!was_there || !is_new);
            kept_by_model += was_there;
        }
        /* What the vCPUs see of it has to be mapped, and nothing else */
        g_assert_cmpint(is_owed(want->slot.start_addr, want->slot.start_addr +
                                want->slot.memory_size), ==,
                        want->plain && is_new && space == &spaces[0]);
    }
    for (int i = 0; i < nr_slots; i++) {
        slots += space->kml.slots[i].memory_size != 0;
    }
    g_assert_cmpuint(slots, ==, wants->len);
    changes += !view_has(old, &g_array_index(view, Section, 0));
}

static void check_references(void)
{
    for (int i = 0; i < REGIONS; i++) {
        int refs = 0;

        for (int s = 0; s < SPACES; s++) {
            for (unsigned n = 0; n < spaces[s].view->len; n++) {
                refs += g_array_index(spaces[s].view, Section, n).region == i;
            }
        }
        g_assert_cmpint(regions[i].refs, ==, refs);
    }
}

/* Random views: few places, so that much stays the same */

static const hwaddr edges[] = {
    0, 0xa0000, 0xc0000, 0xc4000, 0xe0000, 0xf0000, 1 * MiB, 2 * MiB,
    63 * MiB, 64 * MiB, 65 * MiB, 128 * MiB, 200 * MiB, 504 * MiB, 512 * MiB,
    4 * GiB - 4 * MiB, 4 * GiB, 4 * GiB + 64 * MiB, 6 * GiB, 9 * GiB,
};

static GArray *random_view(void)
{
    GArray *view = g_array_new(false, false, sizeof(Section));

    for (unsigned i = 0; i + 1 < ARRAY_SIZE(edges);) {
        int many = g_test_rand_int_range(1, 8);
        unsigned to = MIN(i + many, ARRAY_SIZE(edges) - 1);
        int dice = g_test_rand_int_range(0, 20);
        Section section = {
            .start = edges[i], .end = edges[to],
            .region = dice < 12 ? MAIN : dice - 12,
        };

        section.romd = section.region == ROM && regions[ROM].mr.romd_mode;
        if (section.region == ALIASED) {
            section.delta = g_test_rand_int_range(0, 3) * MiB;
        }
        if (section.region < REGIONS) {
            g_array_append_val(view, section);
        }
        i = to;
    }
    if (!view->len) {
        Section all = { .end = 1 * MiB };

        g_array_append_val(view, all);
    }
    return view;
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

static void test_random_views(void)
{
    setup(512);
    for (int i = 0; i < VIEWS; i++) {
        int dice = g_test_rand_int_range(0, 8);
        bool flip = dice < 4;
        int only = g_test_rand_int_range(0, SPACES);

        /* A change of a region itself is one of all views */
        regions[ROM].mr.romd_mode ^= dice < 2;
        regions[MAIN].log_mask ^= dice == 2;
        regions[LOGGED].log_mask ^= dice == 3;
        for (int s = 0; s < SPACES; s++) {
            if (flip || s == only) {
                change_and_check(&spaces[s], random_view());
            }
        }
        check_references();
    }
    g_test_message("%u memslots stayed over %u changes", kept_by_model,
                   changes);
    g_assert_cmpuint(kept_by_model, >, VIEWS);
    teardown();
}

/* One section becomes several: so many memslots stay, and so many go */
static void assert_kept(const Section *flat, const Section *parts,
                        guint nr_parts, uint64_t expected_kept,
                        uint64_t expected_dropped)
{
    uint64_t kept, dropped, kept_before, dropped_before;
    GArray *view;

    setup(512);
    view = g_array_new(false, false, sizeof(Section));
    change_and_check(&spaces[0], g_array_append_vals(view, flat, 1));
    kvm_retention_counts(&kept_before, &dropped_before);
    view = g_array_new(false, false, sizeof(Section));
    change_and_check(&spaces[0], g_array_append_vals(view, parts, nr_parts));
    kvm_retention_counts(&kept, &dropped);
    g_assert_cmpuint(kept - kept_before, ==, expected_kept);
    g_assert_cmpuint(dropped - dropped_before, ==, expected_dropped);
    check_references();
    teardown();
}

/* PAM: what is below 1 MiB changes, main memory above it stays */
static void test_pam(void)
{
    static const Section flat = { 0, 512 * MiB, MAIN };
    static const Section shadowed[] = {
        { 0, 0xc0000, MAIN }, { 0xc0000, 1 * MiB, READONLY },
        { 1 * MiB, 512 * MiB, MAIN },
    };

    assert_kept(&flat, shadowed, ARRAY_SIZE(shadowed), 8, 1);
}

static void test_cut(void)
{
    g_assert_cmphex(kvm_retention_cut(0, 6 * GiB), ==, 1 * MiB);
    g_assert_cmphex(kvm_retention_cut(1 * MiB, 6 * GiB), ==, 63 * MiB);
    g_assert_cmphex(kvm_retention_cut(64 * MiB, 6 * GiB), ==, 64 * MiB);
    g_assert_cmphex(kvm_retention_cut(65 * MiB, PAGE), ==, PAGE);
    g_assert_cmphex(kvm_retention_cut(4 * GiB - PAGE, GiB), ==, PAGE);
    g_assert_cmphex(kvm_retention_cut(4 * GiB, 1 * TiB), ==, 1 * GiB);
    g_assert_cmphex(kvm_retention_cut(5 * GiB + PAGE, 1 * TiB), ==,
                    1 * GiB - PAGE);
    g_assert_cmphex(kvm_retention_cut(1 * TiB - PAGE, 1 * TiB), ==, PAGE);
    g_assert_cmphex(kvm_retention_cut(1 * TiB, 1 * TiB), ==, 16 * GiB);
    g_assert_cmphex(kvm_retention_cut(17 * TiB, 1 * TiB), ==, 64 * GiB);
    g_assert_cmphex(kvm_retention_cut(100 * TiB, 9 * TiB), ==, 1 * TiB);
}

/* Hyper-V's SynIC: a page above 4 GiB is another region's, and back again */
static void test_overlay_above_4_gib(void)
{
    static const Section flat = { 4 * GiB, 8 * GiB, MAIN };
    static const Section overlaid[] = {
        { 4 * GiB, 5 * GiB + MiB, MAIN },
        { 5 * GiB + MiB, 5 * GiB + MiB + PAGE, ALIASED },
        { 5 * GiB + MiB + PAGE, 8 * GiB, MAIN },
    };

    assert_kept(&flat, overlaid, ARRAY_SIZE(overlaid), 3, 1);
}

/* A view of some TiB, and another page of it that is hidden */
static GArray *large_view(unsigned tib, hwaddr hidden)
{
    GArray *view = g_array_new(false, false, sizeof(Section));
    Section low = { 0, hidden, MAIN };
    Section page = { hidden, hidden + PAGE, ALIASED };
    Section high = { hidden + PAGE, tib * TiB, MAIN };

    g_array_append_val(view, low);
    g_array_append_val(view, page);
    g_array_append_val(view, high);
    return view;
}

static unsigned slots_used(const Space *space)
{
    unsigned used = 0;

    for (int i = 0; i < nr_slots; i++) {
        used += space->kml.slots[i].memory_size != 0;
    }
    return used;
}

/*
 * Thousands of memslots: the time of a commit, without what KVM's listener
 * does.  Returns the memslots that there are.
 */
static unsigned commit_cost(unsigned tib, Scale *taken)
{
    const int rounds = 50;
    unsigned used;

    *taken = (Scale) {};
    setup(SLOTS_MAX);
    change_view(&spaces[0], large_view(tib, TiB / 2));
    for (int i = 1; i <= rounds; i++) {
        Scale begun;

        queue_view(&spaces[0], large_view(tib, TiB / 2 + i * GiB));
        begun = scale_begin();
        kvm_retention_commit(&spaces[0].kml);
        taken->ms += scale_end(begun).ms / rounds;
        apply(&spaces[0]);
    }
    used = slots_used(&spaces[0]);
    teardown();
    return used;
}

/* Looking for each memslot among all takes 20 times as long */
static void test_large_guest(void)
{
    Scale taken;
    unsigned used = commit_cost(64, &taken);

    g_test_message("%u memslots, 64 TiB: %.3f ms a commit", used, taken.ms);
    g_assert_cmpuint(used, >, 2500);
    g_assert_cmpuint(used, <, 4096);
    g_assert_cmpfloat(taken.ms, <, 4);
}

static void perf_commit(void)
{
    static const unsigned all_tib[] = { 1, 16, 64 };

    for (int i = 0; i < ARRAY_SIZE(all_tib); i++) {
        Scale taken;
        unsigned used = commit_cost(all_tib[i], &taken);

        scale_row("commit", all_tib[i], used, 0, taken);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (g_test_perf()) {
        g_test_add_func("/kvm/retention/perf", perf_commit);
        return g_test_run();
    }
    g_test_add_func("/kvm/retention/cut", test_cut);
    g_test_add_func("/kvm/retention/pam", test_pam);
    g_test_add_func("/kvm/retention/overlay", test_overlay_above_4_gib);
    g_test_add_func("/kvm/retention/large", test_large_guest);
    g_test_add_func("/kvm/retention/random-views", test_random_views);
    return g_test_run();
}
