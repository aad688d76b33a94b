/*
 * Tests of jobs on a vCPU's own thread: who frees them
 *
 * The vCPU is made up: it works on its list when the test says so, or is
 * unplugged.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

/* kvm_int.h is for code of one target: it asks for names that are poisoned */
#define HW_POISON_H
#include "qemu/osdep.h"
#include "qemu/thread.h"
#include "qemu/units.h"

static unsigned made, freed;

#define qemu_cond_init(cond) (made++, (qemu_cond_init)(cond))
#define qemu_cond_destroy(cond) (freed++, (qemu_cond_destroy)(cond))
#include "../../accel/kvm/prefault/own-thread.c"

#define SIZE (4 * MiB)

static CPUState vcpu;
static bool gate_is_open;
static run_on_cpu_func list_func;   /* NULL: the list is empty */
static run_on_cpu_data list_data;
static void (*when_queued)(void);

static void vcpu_works(void)
{
    run_on_cpu_func func = list_func;

    list_func = NULL;
    func(&vcpu, list_data);
}

static void vcpu_is_unplugged(void)
{
    vcpu.unplug = true;
    vcpu.created = false;
}

static void gate_closes(void)
{
    gate_is_open = false;
}

void async_run_on_cpu(CPUState *cpu, run_on_cpu_func func, run_on_cpu_data data)
{
    g_assert_null(list_func);
    list_func = func;
    list_data = data;
    when_queued();
}

bool prefault_gate_is_open(unsigned generation)
{
    return gate_is_open;
}

int kvm_pre_fault_map(CPUState *cpu, unsigned generation, hwaddr gpa,
                      uint64_t size, uint64_t *mapped)
{
    *mapped = size;
    return 0;
}

bool kvm_pre_fault_drop_root(CPUState *cpu)
{
    g_assert_not_reached();
}

/* @then happens once the job is in the vCPU's list */
static int map(void (*then)(void), uint64_t *mapped)
{
    when_queued = then;
    return kvm_own_thread_map(&vcpu, 0, 0, SIZE, mapped);
}

static void set_up(void)
{
    vcpu.unplug = false;
    vcpu.created = true;
    gate_is_open = true;
    list_func = NULL;
    made = freed = 0;
}

static void test_vcpu_answers(void)
{
    uint64_t mapped;

    set_up();
    g_assert_cmpint(map(vcpu_works, &mapped), ==, 0);
    g_assert_cmpuint(mapped, >, 0);
    g_assert_cmpuint(made, ==, 1);
    g_assert_cmpuint(freed, ==, 1);
}

static void test_vcpu_answers_too_late(void)
{
    uint64_t mapped;

    set_up();
    g_assert_cmpint(map(gate_closes, &mapped), ==, -ECANCELED);
    g_assert_cmpuint(mapped, ==, 0);
    g_assert_cmpuint(freed, ==, 0);
    vcpu_works();
    g_assert_cmpuint(freed, ==, 1);
}

/* Its thread has left, and its list stays as it is */
static void test_vcpu_is_unplugged_meanwhile(void)
{
    int64_t begun = get_clock();
    uint64_t mapped;

    set_up();
    g_assert_cmpint(map(vcpu_is_unplugged, &mapped), ==, -EBUSY);
    g_assert_cmpuint(mapped, ==, 0);
    g_assert_cmpuint(made, ==, 1);
    g_assert_cmpuint(freed, ==, 1);
    g_assert_cmpint(get_clock() - begun, <, ANSWER_MS * SCALE_MS);
}

static void test_unplugged_vcpu_is_not_asked(void)
{
    uint64_t mapped;

    set_up();
    vcpu_is_unplugged();
    g_assert_cmpint(map(vcpu_is_unplugged, &mapped), ==, -EBUSY);
    g_assert_cmpuint(mapped, ==, 0);
    g_assert_cmpuint(made, ==, 0);
    g_assert_null(list_func);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func("/kvm/own-thread/" name, test)
    ADD("answers", test_vcpu_answers);
    ADD("too-late", test_vcpu_answers_too_late);
    ADD("unplugged", test_vcpu_is_unplugged_meanwhile);
    ADD("not-asked", test_unplugged_vcpu_is_not_asked);
    return g_test_run();
}
