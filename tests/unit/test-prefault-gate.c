/*
 * Tests of the gate: who may be in the accelerator while the memory map changes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "hw/core/prefault-backend.h"
#include "../../hw/core/prefault/gate.h"

/* A hang is a failure too; all tests together take a few seconds */
#define DEADLINE_SEC 30

/* Poll: no QemuEvent, whose futex ThreadSanitizer does not see */
static void wait_until(bool *flag)
{
    while (!qatomic_load_acquire(flag)) {
        g_usleep(100);
    }
}

static void test_enter_with_the_right_generation(void)
{
    unsigned generation = prefault_gate_generation();

    g_assert_false(prefault_gate_enter(generation - 1));
    g_assert_false(prefault_gate_enter(generation + 1));
    g_assert_true(prefault_gate_enter(generation));
    prefault_gate_leave();
    g_assert_cmpuint(prefault_gate_generation(), ==, generation);
}

static void test_enter_again_and_again(void)
{
    unsigned generation = prefault_gate_generation();

    for (int i = 0; i < 3; i++) {
        g_assert_true(prefault_gate_enter(generation));
    }
    for (int i = 0; i < 3; i++) {
        prefault_gate_leave();
    }
    prefault_gate_close();
}

static void test_close_begins_a_generation(void)
{
    for (int i = 0; i < 3; i++) {
        unsigned old = prefault_gate_generation();

        g_assert_true(prefault_gate_is_open(old));
        prefault_gate_close();
        g_assert_false(prefault_gate_is_open(old));
        g_assert_false(prefault_gate_enter(old));
        g_assert_true(prefault_gate_is_open(prefault_gate_generation()));
        g_assert_true(prefault_gate_enter(prefault_gate_generation()));
        prefault_gate_leave();
    }
}

/* Somebody inside, who leaves after a while, or when told to */
typedef struct Guest {
    QemuThread thread;
    unsigned generation;
    int stay_us;
    bool inside;                /* atomic, as are those below */
    bool may_leave;             /* set before the thread is made, or later */
    bool leaves;
} Guest;

static void *guest_thread(void *opaque)
{
    Guest *guest = opaque;

    g_assert_true(prefault_gate_enter(guest->generation));
    qatomic_store_release(&guest->inside, true);
    g_usleep(guest->stay_us);
    wait_until(&guest->may_leave);
    qatomic_store_release(&guest->leaves, true);
    prefault_gate_leave();
    return NULL;
}

static void guest_start(Guest *guest)
{
    guest->generation = prefault_gate_generation();
    qemu_thread_create(&guest->thread, "guest", guest_thread, guest,
                       QEMU_THREAD_JOINABLE);
    wait_until(&guest->inside);
}

static void test_close_waits_for_all_inside(void)
{
    Guest guests[] = {
        { .stay_us = 5 * 1000, .may_leave = true },
        { .stay_us = 60 * 1000, .may_leave = true },
        { .stay_us = 20 * 1000, .may_leave = true },
    };

    for (int i = 0; i < ARRAY_SIZE(guests); i++) {
        guest_start(&guests[i]);
    }
    prefault_gate_close();
    for (int i = 0; i < ARRAY_SIZE(guests); i++) {
        g_assert_true(qatomic_load_acquire(&guests[i].leaves));
    }
    for (int i = 0; i < ARRAY_SIZE(guests); i++) {
        qemu_thread_join(&guests[i].thread);
    }
}

static void *close_thread(void *opaque)
{
    bool *closed = opaque;

    prefault_gate_close();
    qatomic_store_release(closed, true);
    return NULL;
}

/* Nobody joins those whom a close waits for; then all goes on */
static void test_nobody_enters_while_close_waits(void)
{
    Guest guest = {};
    QemuThread closer;
    bool closed = false;

    guest_start(&guest);
    qemu_thread_create(&closer, "closer", close_thread, &closed,
                       QEMU_THREAD_JOINABLE);
    while (prefault_gate_is_open(guest.generation)) {
        g_usleep(100);
    }
    g_assert_false(prefault_gate_enter(guest.generation));
    g_usleep(20 * 1000);
    g_assert_false(qatomic_load_acquire(&closed));
    qatomic_store_release(&guest.may_leave, true);
    qemu_thread_join(&closer);
    qemu_thread_join(&guest.thread);
    g_assert_true(qatomic_load_acquire(&closed));
}

/* One race on purpose: some go in and out while another closes */

#define VISITORS 4
#define CLOSES 2000

/*
 * In place of the BQL: who changes the memory map has it, and who reads it.  So
 * nobody comes in anew while a close waits.
 */
static QemuMutex map_lock;

typedef struct Visitor {
    QemuThread thread;
    bool stop;                  /* atomic, as is the other */
    uint64_t inside;            /* 1 + the generation it is inside with; or 0 */
    unsigned entered, refused;  /* the thread's, until it is joined */
} Visitor;

static void *visitor_thread(void *opaque)
{
    Visitor *visitor = opaque;

    for (unsigned n = 0; !qatomic_read(&visitor->stop); n++) {
        unsigned generation;

        WITH_QEMU_LOCK_GUARD(&map_lock) {
            generation = prefault_gate_generation();
        }
        if (n % 4 == 0) {
            /* Now and then a close comes in between */
            g_usleep(1);
        }
        if (!prefault_gate_enter(generation)) {
            visitor->refused++;
            continue;
        }
        visitor->entered++;
        qatomic_set(&visitor->inside, (uint64_t)generation + 1);
        g_usleep(20);
        qatomic_set(&visitor->inside, 0);
        prefault_gate_leave();
    }
    return NULL;
}

/* Returns true if somebody was inside right before */
static bool close_and_check(Visitor *visitors)
{
    uint64_t old = prefault_gate_generation();
    bool somebody = false;

    QEMU_LOCK_GUARD(&map_lock);
    for (int i = 0; i < VISITORS; i++) {
        somebody |= qatomic_read(&visitors[i].inside) == old + 1;
    }
    prefault_gate_close();
    for (int i = 0; i < VISITORS; i++) {
        g_assert_cmpuint(qatomic_read(&visitors[i].inside), ==, 0);
    }
    return somebody;
}

static void test_race(void)
{
    Visitor visitors[VISITORS] = {};
    unsigned met = 0, entered = 0, refused = 0;

    qemu_mutex_init(&map_lock);
    for (int i = 0; i < VISITORS; i++) {
        qemu_thread_create(&visitors[i].thread, "visitor", visitor_thread,
                           &visitors[i], QEMU_THREAD_JOINABLE);
    }
    for (int n = 0; n < CLOSES; n++) {
        g_usleep(n % 50);
        met += close_and_check(visitors);
    }
    for (int i = 0; i < VISITORS; i++) {
        qatomic_set(&visitors[i].stop, true);
        qemu_thread_join(&visitors[i].thread);
        entered += visitors[i].entered;
        refused += visitors[i].refused;
    }
    qemu_mutex_destroy(&map_lock);
    g_test_message("%u closes, %u with somebody inside; %u entered, %u refused",
                   CLOSES, met, entered, refused);
    g_assert_cmpuint(met, >, 0);
    g_assert_cmpuint(refused, >, 0);
}

#define ADD(name, test) g_test_add_func("/prefault/gate/" name, test)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    alarm(DEADLINE_SEC);

    ADD("enter/generation", test_enter_with_the_right_generation);
    ADD("enter/again", test_enter_again_and_again);
    ADD("close/generation", test_close_begins_a_generation);
    ADD("close/waits", test_close_waits_for_all_inside);
    ADD("close/refuses-meanwhile", test_nobody_enters_while_close_waits);
    ADD("race", test_race);
    return g_test_run();
}
