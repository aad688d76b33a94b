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
        rlim_t limit;
        uint64_t bytes, files;
        bool suffices;
    } cases[] = {
        { 8192, 64 * TiB, 4096, true },
        { 4096, 64 * TiB, 4096, false },
        { 4096, 8 * TiB + 1, 513, true },
        { 1024, 1 * GiB, 1, true },
        { 1024, 12 * TiB, 768, false },
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        struct rlimit limit = { cases[i].limit, cases[i].limit };
        uint64_t files;

        if (setrlimit(RLIMIT_NOFILE, &limit)) {
            g_test_skip("the hard limit of file descriptors is less");
            return;
        }
        g_assert_cmpint(prefault_ring_may_open(cases[i].bytes, &files), ==,
                        cases[i].suffices);
        g_assert_cmpuint(files, ==, cases[i].files);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/prefault/ring/files", test_limit_of_files);
    return g_test_run();
}
