/*
 * Fuzzer of memslot retention
 *
 * Reads flat views of two address spaces from the input, one after the other,
 * with regions that begin and cease to log dirty pages in between.  After each
 * change memslots are those of the model: cut where it cuts, each kept if it
 * was there before, and what is owed is what was not.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

/* kvm_int.h is for code of one target: it asks for names that are poisoned */
#define HW_POISON_H
#define TARGET_I386
#include "qemu/osdep.h"
#include "../unit/kvm-retention-model.h"
#include "fuzz-input.h"

#define SLOTS 192
#define CHANGES 16
/* Memslots above it would take the model long */
#define ADDRESSES_END (12 * GiB)

/* Where firmware and devices change things, and around the cuts */
static const hwaddr places[] = {
    0, 0xa0000, 0xc0000, 0xe0000, 1 * MiB, 64 * MiB, 128 * MiB,
    4 * GiB - 64 * MiB, 4 * GiB, 5 * GiB, 8 * GiB,
};

/* At @least or behind it: near there, or at one of the places */
static hwaddr read_address(FuzzInput *in, hwaddr least)
{
    unsigned byte = fuzz_number(in, 1);
    hwaddr address = byte & 128 ? places[byte / 8 % ARRAY_SIZE(places)] : least;

    address += (hwaddr)(byte % 8) * (byte & 64 ? MiB : PAGE);
    return MIN(MAX(address, least), ADDRESSES_END);
}

static GArray *read_view(FuzzInput *in)
{
    GArray *view = g_array_new(false, false, sizeof(Section));
    unsigned nr = fuzz_below(in, 12);
    hwaddr at = 0;

    while (view->len < nr && at < ADDRESSES_END) {
        Section section = { .start = read_address(in, at) };
        unsigned kind = fuzz_number(in, 1);

        section.end = read_address(in, section.start + PAGE);
        section.region = kind % 16 < REGIONS ? kind % 16 : MAIN;
        section.romd = section.region == ROM && regions[ROM].mr.romd_mode;
        if (section.region == ALIASED) {
            section.delta = kind / 16 * (kind & 128 ? MiB : PAGE);
        }
        at = section.end;
        if (section.start < section.end) {
            g_array_append_val(view, section);
        }
    }
    if (!view->len) {
        Section all = { .end = 1 * MiB };

        g_array_append_val(view, all);
    }
    return view;
}

/* A change of a region itself is one of all views, also of those that stay */
static void read_change(FuzzInput *in)
{
    unsigned bits = fuzz_number(in, 1);

    regions[ROM].mr.romd_mode ^= bits & 1;
    regions[MAIN].log_mask ^= !!(bits & 2);
    regions[LOGGED].log_mask ^= !!(bits & 4);
    for (int s = 0; s < SPACES; s++) {
        if (bits & 7 || bits & (8 << s)) {
            change_and_check(&spaces[s], read_view(in));
        }
    }
    check_references();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };

    setup(SLOTS);
    for (int i = 0; i < CHANGES && in.left; i++) {
        read_change(&in);
    }
    /* All that is left is of the last views, and goes with them */
    for (int s = 0; s < SPACES; s++) {
        GArray *none = g_array_new(false, false, sizeof(Section));

        change_view(&spaces[s], none);
        g_assert_cmpuint(slots_used(&spaces[s]), ==, 0);
    }
    check_references();
    teardown();
    return 0;
}
