/*
 * Tests of the watch: what is taken for a loss, and for how long
 *
 * KVM's count, what is owed and the clock are made up; a look happens when the
 * test says so.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qemu/main-loop.h"

#define bql_locked() true
#include "../../hw/core/prefault/watch.c"

unsigned int global_dirty_tracking;

static uint64_t mapped_now;
static uint64_t owed_now;
static unsigned tries;

bool prefault_counts_mapped(uint64_t *bytes)
{
    *bytes = mapped_now;
    return true;
}

uint64_t prefault_ledger_owed(PrefaultLedger *ledger, PrefaultOwedReason reason)
{
    return owed_now;
}

void qapi_event_send_prefault_lost(uint64_t lost, uint64_t remapped)
{
}

/* As background.c: all memory is owed */
static void watch_test_lost(void)
{
    tries++;
    owed_now = 8 * MiB;
}

/* A watch that has seen 8 MiB mapped, of which 1 MiB is lost: a try begins */
static void watch_test_begin(void)
{
    memset(&watch, 0, sizeof(watch));
    watch.lost = watch_test_lost;
    tries = owed_now = 0;
    mapped_now = 8 * MiB;
    watch_compare();
    mapped_now = 7 * MiB;
    watch_compare();
    g_assert_cmpuint(tries, ==, 1);
    g_assert_cmpuint(prefault_watch_losses().missing, ==, 1 * MiB);
}

/* The runs of the try are over; the count has not moved */
static void watch_test_end(const bool *complete, unsigned runs)
{
    for (unsigned i = 0; i < runs; i++) {
        prefault_watch_remapped(complete[i]);
    }
    owed_now = 0;
    watch_compare();
}

/* All of it is mapped: what is missing are ROMs and the like */
static void test_not_ours(void)
{
    const bool complete[] = { true, true };

    watch_test_begin();
    watch_test_end(complete, ARRAY_SIZE(complete));
    g_assert_cmpuint(prefault_watch_losses().missing, ==, 0);
}

/* One that was in swap is missing, whatever a later run says of the rest */
static void test_left_out(void)
{
    const bool complete[][2] = { { false, true }, { true, false } };

    for (int i = 0; i < ARRAY_SIZE(complete); i++) {
        watch_test_begin();
        watch_test_end(complete[i], ARRAY_SIZE(complete[i]));
        g_assert_cmpuint(prefault_watch_losses().missing, ==, 1 * MiB);
    }
}

/* The next try begins anew */
static void test_next_try(void)
{
    const bool left_out[] = { false }, complete[] = { true };

    watch_test_begin();
    watch_test_end(left_out, 1);
    g_usleep(2 * RETRY_MS * 1000);
    watch_compare();
    g_assert_cmpuint(tries, ==, 2);
    watch_test_end(complete, 1);
    g_assert_cmpuint(prefault_watch_losses().missing, ==, 0);
}

/* What was missing before a change of QEMU's own is missing after it */
static void test_change(void)
{
    watch_test_begin();
    watch_test_end(NULL, 0);
    prefault_watch_changing();
    mapped_now = 6 * MiB;
    watch_compare();
    g_assert_cmpuint(prefault_watch_losses().missing, ==, 1 * MiB);
    g_assert_cmpuint(watch.target, ==, 7 * MiB);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/prefault/watch/not-ours", test_not_ours);
    g_test_add_func("/prefault/watch/left-out", test_left_out);
    g_test_add_func("/prefault/watch/next-try", test_next_try);
    g_test_add_func("/prefault/watch/change", test_change);
    return g_test_run();
}
