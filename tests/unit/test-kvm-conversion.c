/*
 * Tests of conversion between private and shared memory
 *
 * Random ranges over a small guest with several regions and holes, against a
 * model of what each page must be, with each step failing now and then: see
 * kvm-conversion-model.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

/* kvm_int.h is for code of one target: it asks for names that are poisoned */
#define HW_POISON_H
#include "qemu/osdep.h"
#include "kvm-conversion-model.h"

#define CONVERSIONS 20000

static bool convert(hwaddr start, uint64_t size, bool to_private, Error **errp)
{
    KvmConversion *c = kvm_conversion_begin(start, size, to_private, errp);
    KvmConversionResult result;

    g_assert_cmpint(!c, ==, !!*errp);
    if (c) {
        while (kvm_conversion_give_back(c)) {
            /* Another piece */
        }
        kvm_conversion_end(c, &result);
    }
    return c;
}

static void random_conversion(bool model[PAGES], bool *to_private)
{
    unsigned start = g_test_rand_int_range(0, PAGES);
    unsigned end = g_test_rand_int_range(start, PAGES) + 1;
    bool none = true, ok;
    Error *err = NULL;

    *to_private = g_test_rand_bit();
    ok = convert(start * page, (end - start) * page, *to_private, &err);
    error_free(err);
    for (unsigned gfn = start; gfn < end; gfn++) {
        bool *record = record_of(model, gfn);

        none &= !record;
        if (record && ok) {
            *record = *to_private;
        }
    }
    g_assert(!(none && *to_private && ok));
}

static void test_random(void)
{
    bool model[PAGES] = {}, before[PAGES], to_private;

    setup(model);
    for (int i = 0; i < CONVERSIONS; i++) {
        fail_attributes = g_test_rand_int_range(0, 8);
        fail_populate = g_test_rand_int_range(0, 8);
        memcpy(before, model, sizeof(model));
        random_conversion(model, &to_private);
        check(model);
        check_given_back(before, model, to_private);
    }
    g_test_message("failed on purpose: %u times KVM, %u times a listener",
                   failed_attributes, failed_populate);
    g_assert_cmpuint(failed_attributes, >, 100);
    g_assert_cmpuint(failed_populate, >, 100);
    g_assert_cmpuint(stopped, ==, 0);
    fail_attributes = fail_populate = 0;
    teardown();
}

/* An undoing that fails is told apart: the guest must not go on */
static void test_cannot_undo(void)
{
    bool model[PAGES] = {};
    Error *err = NULL;

    setup(model);
    fail_attributes = 2;
    fail_for_ever = true;
    g_assert(!convert(0, 40 * page, false, &err));
    g_assert(strstr(error_get_pretty(err), "cannot be undone"));
    error_free(err);
    fail_attributes = 0;
    fail_for_ever = false;
    teardown();
}

static void test_bad_ranges(void)
{
    const struct {
        hwaddr start;
        uint64_t size;
        bool to_private;
        bool ok;
    } cases[] = {
        { 0, 0, true, false },
        { 1, page, true, false },
        { 0, page + 1, false, false },
        { page, -page, true, false },             /* wraps around to 0 */
        { -page, 2 * page, false, false },
        { 20 * page, 4 * page, true, false },     /* a hole */
        { 20 * page, 4 * page, false, true },
        { 24 * page, 4 * page, true, false },     /* a device */
        { 24 * page, 4 * page, false, true },
        { 20 * page, 20 * page, true, true },     /* all of that, and memory */
        { PAGES * page, -(PAGES + 1) * page, false, true },
    };
    bool model[PAGES] = {};

    setup(model);
    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        Error *err = NULL;

        g_assert_cmpint(convert(cases[i].start, cases[i].size,
                                cases[i].to_private, &err), ==, cases[i].ok);
        error_free(err);
        check(model);
    }
    teardown();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    page = qemu_real_host_page_size();
    g_test_add_func("/kvm-conversion/random", test_random);
    g_test_add_func("/kvm-conversion/cannot-undo", test_cannot_undo);
    g_test_add_func("/kvm-conversion/bad-ranges", test_bad_ranges);
    return g_test_run();
}
