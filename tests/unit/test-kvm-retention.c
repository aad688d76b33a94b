/*
 * Tests of memslot retention
 *
 * Random flat views of two address spaces, one after the other, against a
 * model of what the memslots must be, and of what has to be mapped again: see
 * kvm-retention-model.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

/* kvm_int.h is for code of one target: it asks for names that are poisoned */
#define HW_POISON_H
#define TARGET_I386
#include "qemu/osdep.h"
#include "qemu/units.h"
#include "kvm-retention-model.h"
#include "prefault-scale.h"

#define VIEWS 4000

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
