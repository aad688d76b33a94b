/*
 * A model of memslots, and of which of them stay
 *
 * Flat views of two address spaces follow one another.  The model says what the
 * memslots must be after each, which are those from before, and what has to be
 * mapped again.  KVM's side of it is made up: kvm-retention-fakes.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_KVM_RETENTION_MODEL_H
#define TESTS_UNIT_KVM_RETENTION_MODEL_H

#include "kvm-retention-fakes.h"

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
    g_assert_cmpuint(slots_used(space), ==, wants->len);
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

#endif /* TESTS_UNIT_KVM_RETENTION_MODEL_H */
