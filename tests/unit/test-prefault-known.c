/*
 * Tests of what the next run need not do again
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "../../hw/core/prefault/known.h"
#include "../../hw/core/prefault/ledger.h"

#define PAGE 4096
#define HOST ((uint8_t *)(uintptr_t)(8 * GiB))

/* Two ranges with a hole between them, and memory that may become private */
static const PrefaultSection sections[] = {
    { .gpa = 4 * MiB, .size = 4 * MiB, .host = HOST, .page_size = PAGE },
    { .gpa = 16 * MiB, .size = 8 * MiB, .host = HOST + 4 * MiB,
      .page_size = PAGE },
    { .gpa = 32 * MiB, .size = 4 * MiB, .host = HOST + 12 * MiB,
      .page_size = PAGE, .is_managed = true },
};

static PrefaultKnown *known_of_sections(void)
{
    g_autoptr(PrefaultPlan) plan =
        prefault_plan_new(sections, ARRAY_SIZE(sections), PAGE);
    g_autoptr(PrefaultKnown) known = prefault_known_new(plan);

    return prefault_known_after(known, g_array_new(false, false,
                                                   sizeof(PrefaultDebt)));
}

static bool has(const PrefaultKnown *known, hwaddr gpa, uint64_t size,
                uint64_t host)
{
    PrefaultChunk chunk = { .gpa = gpa, .size = size, .host = HOST + host };

    return prefault_known_has(known, &chunk);
}

static bool covers(const PrefaultKnown *known, hwaddr gpa, uint64_t size,
                   uint64_t host)
{
    PrefaultChunk chunk = { .gpa = gpa, .size = size, .host = HOST + host };

    return prefault_known_covers(known, &chunk);
}

static void test_what_was_done(void)
{
    g_autoptr(PrefaultKnown) known = known_of_sections();

    g_assert_true(has(known, 4 * MiB, 4 * MiB, 0));
    g_assert_true(has(known, 4 * MiB, PAGE, 0));
    g_assert_true(has(known, 8 * MiB - PAGE, PAGE, 4 * MiB - PAGE));
    g_assert_true(has(known, 20 * MiB, 4 * MiB, 8 * MiB));
}

static void test_what_was_not(void)
{
    g_autoptr(PrefaultKnown) known = known_of_sections();

    g_assert_false(has(known, 0, 4 * MiB, -4 * MiB));
    g_assert_false(has(known, 4 * MiB, 4 * MiB + PAGE, 0));
    g_assert_false(has(known, 8 * MiB, PAGE, 4 * MiB));
    g_assert_false(has(known, 16 * MiB - PAGE, 2 * PAGE, 4 * MiB - PAGE));
    g_assert_false(has(known, 24 * MiB, PAGE, 12 * MiB));
    /* It may be private by now, and shared again */
    g_assert_false(has(known, 32 * MiB, 4 * MiB, 12 * MiB));
}

/* With and without doubts: 5-6 MiB, 20-21 MiB */
static void test_how_much(void)
{
    static const PrefaultDebt debts[] = {
        { .start = 5 * MiB, .end = 6 * MiB },
        { .start = 20 * MiB, .end = 21 * MiB },
    };
    static const struct {
        hwaddr gpa;
        uint64_t size, host;
        uint64_t known, sure;
    } cases[] = {
        { 4 * MiB, 4 * MiB, 0, 4 * MiB, 1 * MiB },
        { 4 * MiB, PAGE, 0, PAGE, PAGE },
        { 4 * MiB, 1 * GiB, 0, 4 * MiB, 1 * MiB },
        { 5 * MiB, 3 * MiB, 1 * MiB, 3 * MiB, 0 },
        { 6 * MiB - PAGE, MiB, 2 * MiB - PAGE, MiB, 0 },
        { 6 * MiB, 2 * MiB, 2 * MiB, 2 * MiB, 2 * MiB },
        { 22 * MiB, 1 * GiB, 10 * MiB, 2 * MiB, 2 * MiB },
        { 8 * MiB, 8 * MiB, 4 * MiB, 0, 0 },
        { 3 * MiB, 2 * MiB, -1 * MiB, 0, 0 },
        { 24 * MiB, 1 * MiB, 12 * MiB, 0, 0 },
        /* It has moved */
        { 4 * MiB, 4 * MiB, 1 * MiB, 0, 0 },
    };
    g_autoptr(PrefaultKnown) known = known_of_sections();
    GArray *doubts = g_array_new(false, false, sizeof(PrefaultDebt));
    g_autoptr(PrefaultKnown) less = prefault_known_after(
        known, g_array_append_vals(doubts, debts, ARRAY_SIZE(debts)));
    g_autoptr(PrefaultKnown) none = prefault_known_after(known, NULL);

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        PrefaultChunk chunk = { .gpa = cases[i].gpa, .size = cases[i].size,
                                .host = HOST + cases[i].host };

        g_assert_cmphex(prefault_known_size(known, &chunk), ==, cases[i].known);
        g_assert_cmphex(prefault_known_size(less, &chunk), ==, cases[i].sure);
        g_assert_cmphex(prefault_known_size(none, &chunk), ==, 0);
        chunk.map_later = true;
        g_assert_cmphex(prefault_known_size(known, &chunk), ==, 0);
    }
}

/* A DIMM that was plugged out, and another one in */
static void test_memory_that_has_moved(void)
{
    g_autoptr(PrefaultKnown) known = known_of_sections();

    g_assert_false(has(known, 4 * MiB, 4 * MiB, 4 * MiB));
    g_assert_false(has(known, 20 * MiB, PAGE, 4 * MiB));
}

static void test_tracked_memory(void)
{
    g_autoptr(PrefaultKnown) known = known_of_sections();
    PrefaultChunk chunk = { .gpa = 4 * MiB, .size = PAGE, .host = HOST };

    g_assert_true(prefault_known_has(known, &chunk));
    chunk.map_later = true;
    g_assert_false(prefault_known_has(known, &chunk));
}

static void test_doubt(void)
{
    static const PrefaultDebt debts[] = {
        { .start = 5 * MiB, .end = 6 * MiB }, { .start = 20 * MiB,
          .end = 24 * MiB },
    };
    g_autoptr(PrefaultKnown) before = known_of_sections();
    g_autoptr(PrefaultKnown) known = NULL, all = NULL;
    GArray *array = g_array_new(false, false, sizeof(PrefaultDebt));

    g_array_append_vals(array, debts, ARRAY_SIZE(debts));
    known = prefault_known_after(before, array);
    g_assert_true(has(known, 4 * MiB, MiB, 0));
    g_assert_false(has(known, 4 * MiB, MiB + PAGE, 0));
    g_assert_false(has(known, 4 * MiB, 4 * MiB, 0));
    g_assert_false(has(known, 6 * MiB - PAGE, PAGE, 2 * MiB - PAGE));
    g_assert_true(has(known, 6 * MiB, 2 * MiB, 2 * MiB));
    g_assert_true(has(known, 16 * MiB, 4 * MiB, 4 * MiB));
    g_assert_false(has(known, 22 * MiB, MiB, 10 * MiB));
    g_assert_true(covers(known, 4 * MiB, 4 * MiB, 0));
    g_assert_true(has(before, 4 * MiB, 4 * MiB, 0));
    all = prefault_known_after(known, NULL);
    g_assert_false(has(all, 6 * MiB, 2 * MiB, 2 * MiB));
    g_assert_true(covers(all, 6 * MiB, 2 * MiB, 2 * MiB));
    g_assert_false(covers(all, 8 * MiB, PAGE, 4 * MiB));
}

static void test_nothing(void)
{
    g_autoptr(PrefaultPlan) plan = prefault_plan_new(NULL, 0, PAGE);
    g_autoptr(PrefaultKnown) known = prefault_known_new(plan);

    g_assert_false(has(known, 0, PAGE, 0));
    prefault_known_free(NULL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func("/prefault/known/" name, test)
    ADD("done", test_what_was_done);
    ADD("not", test_what_was_not);
    ADD("size", test_how_much);
    ADD("moved", test_memory_that_has_moved);
    ADD("tracked", test_tracked_memory);
    ADD("doubt", test_doubt);
    ADD("nothing", test_nothing);
    return g_test_run();
}
