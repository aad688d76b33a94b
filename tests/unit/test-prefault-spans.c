/*
 * Tests of sets of addresses: random ones against a model, and a large one
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "../../hw/core/prefault/spans.h"
#include "prefault-scale.h"

#define ADDRESSES 200
#define ROUNDS 2000

/* The first run of addresses from @start on that @model has not */
static bool model_gap(const bool *model, uint64_t *start, uint64_t *end)
{
    uint64_t from = *start, to;

    while (from < *end && model[from]) {
        from++;
    }
    for (to = from; to < *end && !model[to]; to++) {
        /* Look on */
    }
    *start = from < to ? from : *start;
    *end = from < to ? to : *end;
    return from < to;
}

static void assert_gap(PrefaultSpans *spans, const bool *model,
                       uint64_t start, uint64_t end)
{
    uint64_t model_start = start, model_end = end;

    g_assert_cmpint(prefault_spans_gap(spans, &start, &end), ==,
                    model_gap(model, &model_start, &model_end));
    g_assert_cmpuint(start, ==, model_start);
    g_assert_cmpuint(end, ==, model_end);
}

static void test_random(void)
{
    for (int round = 0; round < ROUNDS; round++) {
        g_autoptr(PrefaultSpans) spans = prefault_spans_new();
        bool model[ADDRESSES] = {};
        unsigned sum = 0;

        for (int i = 0; i < 20; i++) {
            uint64_t start = g_test_rand_int_range(0, ADDRESSES - 10);
            uint64_t end = start + g_test_rand_int_range(1, 10);

            prefault_spans_add(spans, start, end);
            for (uint64_t at = start; at < end; at++) {
                sum += !model[at];
                model[at] = true;
            }
            g_assert_cmpuint(prefault_spans_bytes(spans), ==, sum);
            start = g_test_rand_int_range(0, ADDRESSES);
            end = g_test_rand_int_range(start, ADDRESSES + 1);
            assert_gap(spans, model, start, end);
        }
        assert_gap(spans, model, 0, ADDRESSES);
    }
    prefault_spans_free(NULL);
}

/* Every second chunk, in an order that is not theirs: none adjoins another */
static double scattered_ms(unsigned n)
{
    g_autoptr(PrefaultSpans) spans = prefault_spans_new();
    Scale begun = scale_begin();

    for (unsigned i = 0; i < n; i++) {
        uint64_t start = i * 7919ULL % n * 2 * SCALE_CHUNK;
        uint64_t end = start + SCALE_CHUNK;

        g_assert_true(prefault_spans_gap(spans, &start, &end));
        prefault_spans_add(spans, start, end);
        g_assert_false(prefault_spans_gap(spans, &start, &end));
    }
    g_assert_cmpuint(prefault_spans_bytes(spans), ==, n * SCALE_CHUNK);
    return scale_end(begun).ms;
}

static void test_scattered(void)
{
    scale_assert_grows_evenly(scattered_ms, 8192);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/prefault/spans/random", test_random);
    g_test_add_func("/prefault/spans/large", test_scattered);
    return g_test_run();
}
