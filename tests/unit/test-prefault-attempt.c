/*
 * Tests of attempts: what is in a plan, and who frees what workers use
 *
 * The engine is made up: it has as many workers at work as the test says.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qemu/main-loop.h"

#define bql_locked() true
#include "../../hw/core/prefault/attempt.c"

#define ENGINE ((PrefaultEngine *)&busy_now)

static unsigned busy_now;
static unsigned freed;
static unsigned dones;

unsigned prefault_engine_workers(PrefaultEngine *engine, unsigned *busy)
{
    *busy = busy_now;
    return 2;
}

void prefault_engine_free(PrefaultEngine *engine)
{
    freed++;
}

void prefault_room_free(PrefaultRoom *room)
{
}

void prefault_known_free(PrefaultKnown *known)
{
}

void prefault_memory_clear(PrefaultMemory *memory)
{
}

static void count_done(void)
{
    dones++;
}

/* An attempt at [4 MiB, 8 MiB) and [16 MiB, 20 MiB) */
static PrefaultAttempt *attempt_test_new(void)
{
    static const PrefaultDebt debts[] = {
        { .start = 4 * MiB, .end = 8 * MiB },
        { .start = 16 * MiB, .end = 20 * MiB },
    };
    PrefaultAttempt *attempt = prefault_attempt_new(NULL);

    attempt->engine = ENGINE;
    attempt->done = count_done;
    attempt->debts = g_array_new(false, false, sizeof(PrefaultDebt));
    g_array_append_vals(attempt->debts, debts, ARRAY_SIZE(debts));
    busy_now = freed = dones = 0;
    return attempt;
}

static void test_plans(void)
{
    PrefaultAttempt *attempt = attempt_test_new();

    g_assert_true(prefault_attempt_plans(4 * MiB, 4 * KiB));
    g_assert_true(prefault_attempt_plans(8 * MiB - 4 * KiB, 4 * KiB));
    g_assert_true(prefault_attempt_plans(0, 64 * MiB));
    g_assert_true(prefault_attempt_plans(12 * MiB, 8 * MiB));
    g_assert_false(prefault_attempt_plans(0, 4 * MiB));
    g_assert_false(prefault_attempt_plans(8 * MiB, 8 * MiB));
    g_assert_false(prefault_attempt_plans(20 * MiB, 4 * KiB));
    prefault_attempt_release(attempt);
    g_assert_false(prefault_attempt_plans(0, 64 * MiB));
}

/* The plan of a held run is of all memory */
static void test_plans_all(void)
{
    PrefaultAttempt *one = attempt_test_new(), *all = attempt_test_new();

    g_clear_pointer(&all->debts, g_array_unref);
    g_assert_true(prefault_attempt_plans(8 * MiB, 4 * KiB));
    prefault_attempt_release(all);
    g_assert_false(prefault_attempt_plans(8 * MiB, 4 * KiB));
    g_assert_true(prefault_attempt_plans(4 * MiB, 4 * KiB));
    prefault_attempt_release(one);
}

/* It was stopped, and the gate keeps its workers out: it plans nothing */
static void test_left_behind(void)
{
    PrefaultAttempt *attempt = attempt_test_new();

    busy_now = 1;
    prefault_attempt_release(attempt);
    g_assert_cmpuint(freed, ==, 0);
    g_assert_cmpuint(prefault_attempt_workers_left_behind(), ==, 1);
    g_assert_false(prefault_attempt_plans(0, 64 * MiB));

    busy_now = 0;
    attempt_done(attempt);
    g_assert_cmpuint(freed, ==, 1);
    g_assert_cmpuint(dones, ==, 0);
    g_assert_cmpuint(prefault_attempt_workers_left_behind(), ==, 0);
}

static void test_done(void)
{
    PrefaultAttempt *attempt = attempt_test_new();

    attempt_done(attempt);
    g_assert_cmpuint(dones, ==, 1);
    g_assert_cmpuint(freed, ==, 0);
    prefault_attempt_release(attempt);
    g_assert_cmpuint(freed, ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/prefault/attempt/plans", test_plans);
    g_test_add_func("/prefault/attempt/plans/all", test_plans_all);
    g_test_add_func("/prefault/attempt/left-behind", test_left_behind);
    g_test_add_func("/prefault/attempt/done", test_done);
    return g_test_run();
}
