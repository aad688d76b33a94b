/*
 * Tests of the file descriptors that pinning takes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/resource.h>
#include "qemu/units.h"
#include "../../hw/core/prefault/ring.h"

static void test_limit_of_files(void)
{
    /* In an order in which hard limits only get lower, which anybody may do */
    static const struct {
        rlim_t soft, hard;
        uint64_t bytes, files;
        bool suffices;
        rlim_t soft_then;
    } cases[] = {
        { 1024, 16384, 1 * GiB, 1, true, 1024 },
        { 1024, 16384, 8 * TiB, 512, true, 1024 },
        { 1024, 16384, 8 * TiB + 1, 513, true, 4096 + 513 },
        { 1024, 16384, 64 * TiB, 4096, true, 8192 },
        { 1024, 6000, 64 * TiB, 4096, true, 6000 },
        { 1024, 4096, 64 * TiB, 4096, false, 1024 },
        { 1024, 1024, 15 * TiB, 960, true, 1024 },
        { 1024, 1024, 16 * TiB, 1024, false, 1024 },
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        struct rlimit limit = { cases[i].soft, cases[i].hard };
        uint64_t files;

        if (setrlimit(RLIMIT_NOFILE, &limit)) {
            g_test_skip("the hard limit of file descriptors is less");
            return;
        }
        g_assert_cmpint(prefault_ring_may_open(cases[i].bytes, &files), ==,
                        cases[i].suffices);
        g_assert_cmpuint(files, ==, cases[i].files);
        g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
        g_assert_cmpuint(limit.rlim_cur, ==, cases[i].soft_then);
        g_assert_cmpuint(limit.rlim_max, ==, cases[i].hard);
    }
}

/* More threads pin than was thought: up to the hard limit there is one more */
static void test_rings_up_to_the_hard_limit(void)
{
    const struct rlimit limit = { 32, 256 };
    PrefaultRing *rings[256];
    unsigned nr = 0;

    if (setrlimit(RLIMIT_NOFILE, &limit)) {
        g_test_skip("the hard limit of file descriptors is less");
        return;
    }
    while (nr < ARRAY_SIZE(rings) &&
           (rings[nr] = prefault_ring_new(1, NULL)) != NULL) {
        nr++;
    }
    g_test_message("%u rings", nr);
    for (unsigned i = 0; i < nr; i++) {
        prefault_ring_free(rings[i]);
    }
    if (!nr) {
        g_test_skip("no io_uring");
        return;
    }
    g_assert_cmpuint(nr, >, 128);
    g_assert_cmpuint(nr, <, 256);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/prefault/ring/files", test_limit_of_files);
    g_test_add_func("/prefault/ring/many", test_rings_up_to_the_hard_limit);
    return g_test_run();
}
