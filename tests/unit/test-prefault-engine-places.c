/*
 * Tests of places: memory that is best worked on by workers on certain CPUs
 *
 * A guest whose chunks belong to places in turn; the plan keeps them apart, the
 * engine spreads its workers over them and tells a worker where it goes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "prefault-fake-ops.h"

#define PLACES 3
#define NR_CHUNKS (GUEST / CHUNK)

/* Four sections of a chunk each, mixed */
static const unsigned mixed[NR_CHUNKS] = { 2, 0, 2, 1 };

static const unsigned *place_of;    /* each chunk; of the test under way */

static Fake *fake_new_places(const unsigned *places)
{
    PrefaultSection sections[NR_CHUNKS];

    place_of = places;
    for (unsigned i = 0; i < NR_CHUNKS; i++) {
        sections[i] = (PrefaultSection) {
            .gpa = i * CHUNK,
            .size = CHUNK,
            .host = (uint8_t *)(uintptr_t)(0x700000000000ULL + i * CHUNK),
            .ram_addr = i * CHUNK,
            .page_size = PAGE,
            .place = place_of[i],
        };
    }
    return fake_new_sections(sections, NR_CHUNKS);
}

/* Which of the workers' threads is where; a thread knows its own */
static __thread unsigned here = PLACES;

static unsigned entered[PLACES];    /* how often; atomic */

static void fake_enter(void *opaque, unsigned place)
{
    g_assert_cmpuint(place, <, PLACES);
    g_assert_cmpuint(place, !=, here);
    here = place;
    qatomic_inc(&entered[place]);
}

static int populate_here(Fake *f, const PrefaultChunk *chunk)
{
    fake_wait_for_start(f);
    g_assert_cmpuint(chunk->place, ==, place_of[chunk->gpa / CHUNK]);
    g_assert_cmpuint(chunk->place, ==, here);
    return 0;
}

/* When both workers are in their first chunk, somebody is at each place */
static int populate_together(Fake *f, const PrefaultChunk *chunk)
{
    wait_until_at_least(&f->calls, 2);
    g_assert_cmpuint(qatomic_read(&entered[0]), >=, 1);
    g_assert_cmpuint(qatomic_read(&entered[1]), >=, 1);
    return populate_here(f, chunk);
}

static const PrefaultOps ops_with_places = {
    .enter = fake_enter,
    .populate = fake_populate,
    .map = fake_map,
    .settle = fake_settle,
    .done = fake_done,
};

static void run_with_places(Fake *f, unsigned threads)
{
    memset(entered, 0, sizeof(entered));
    fake_start_ops(f, &ops_with_places, threads);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_progress(f, GUEST, GUEST, 0);
}

static void test_plan_without_places_has_one(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);
    g_autoptr(PrefaultPlan) empty = prefault_plan_new(NULL, 0, PAGE);

    g_assert_cmpuint(prefault_plan_places(f->plan), ==, 1);
    g_assert_cmpuint(prefault_plan_places(empty), ==, 1);
}

static void test_each_place_has_its_chunks(void)
{
    g_autoptr(Fake) f = fake_new_places(mixed);
    uint64_t expected[PLACES] = { CHUNK, CHUNK, 2 * CHUNK };

    g_assert_cmpuint(prefault_plan_places(f->plan), ==, PLACES);
    for (unsigned place = 0; place < PLACES; place++) {
        PrefaultCursor cursor = { .place = place };
        PrefaultChunk chunk;
        uint64_t bytes = 0;

        while (prefault_plan_next(f->plan, &cursor, &chunk)) {
            g_assert_cmpuint(chunk.place, ==, place);
            bytes += chunk.size;
        }
        g_assert_cmpuint(bytes, ==, expected[place]);
    }
}

static void test_ranges_are_the_plan_at_large(void)
{
    g_autoptr(Fake) f = fake_new_places(mixed);
    g_autoptr(Fake) whole = fake_new(PAGE);
    PrefaultChunk range;

    for (unsigned i = 0; i < NR_CHUNKS; i++) {
        g_assert_true(prefault_plan_range(f->plan, i, &range));
        g_assert_cmphex(range.gpa, ==, i * CHUNK);
        g_assert_cmpuint(range.size, ==, CHUNK);
    }
    g_assert_false(prefault_plan_range(f->plan, NR_CHUNKS, &range));

    g_assert_true(prefault_plan_range(whole->plan, 0, &range));
    g_assert_cmpuint(range.size, ==, GUEST);
}

static void test_worker_enters_before_it_works(void)
{
    static const unsigned counts[] = { 1, 2, 3, 7 };

    for (int i = 0; i < ARRAY_SIZE(counts); i++) {
        g_autoptr(Fake) f = fake_new_places(mixed);

        f->populate = populate_here;
        run_with_places(f, counts[i]);
        for (unsigned place = 0; place < PLACES; place++) {
            g_assert_cmpuint(entered[place], >=, 1);
        }
    }
}

static void test_one_worker_moves_once_for_each_place(void)
{
    g_autoptr(Fake) f = fake_new_places(mixed);

    f->populate = populate_here;
    run_with_places(f, 1);
    for (unsigned place = 0; place < PLACES; place++) {
        g_assert_cmpuint(entered[place], ==, 1);
    }
}

static void test_workers_spread_over_the_places(void)
{
    static const unsigned halves[NR_CHUNKS] = { 0, 0, 1, 1 };
    g_autoptr(Fake) f = fake_new_places(halves);

    f->populate = populate_together;
    run_with_places(f, 2);
}

static void test_places_do_not_matter_without_the_operation(void)
{
    g_autoptr(Fake) f = fake_new_places(mixed);

    fake_start(f, 2);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_progress(f, GUEST, GUEST, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func("/prefault/places/" name, test)
    ADD("plan/one", test_plan_without_places_has_one);
    ADD("plan/chunks", test_each_place_has_its_chunks);
    ADD("plan/ranges", test_ranges_are_the_plan_at_large);
    ADD("engine/enter-first", test_worker_enters_before_it_works);
    ADD("engine/moves", test_one_worker_moves_once_for_each_place);
    ADD("engine/spread", test_workers_spread_over_the_places);
    ADD("engine/none", test_places_do_not_matter_without_the_operation);
    return g_test_run();
}
