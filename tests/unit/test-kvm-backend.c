/*
 * Tests of the vCPUs that memory is mapped on
 *
 * vCPUs are made up: each answers what the test says, and counts how often it
 * was asked.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

/* kvm_int.h is for code of one target: it asks for names that are poisoned */
#define HW_POISON_H
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qemu/units.h"

static int64_t now_ns = 1;

#define bql_locked() true
#define get_clock() now_ns
#include "../../accel/kvm/prefault/backend.c"

#define VCPUS 1024
#define WORKERS 4
#define CHUNK (4 * MiB)

bool kvm_allowed;
MachineState *current_machine;
CPUTailQ cpus_queue = QTAILQ_HEAD_INITIALIZER(cpus_queue);
__thread CPUState *current_cpu;

static CPUState cpus[VCPUS];
static int answers[VCPUS];          /* 0: it maps, or -errno */
static unsigned asked[VCPUS];

/* vCPUs */

static int answer(CPUState *cpu, uint64_t size, uint64_t *mapped)
{
    unsigned i = cpu - cpus;

    asked[i]++;
    *mapped = answers[i] ? 0 : size;
    return answers[i];
}

int kvm_pre_fault_map(CPUState *cpu, unsigned generation, hwaddr gpa,
                      uint64_t size, uint64_t *mapped)
{
    return answer(cpu, size, mapped);
}

int kvm_own_thread_map(CPUState *cpu, unsigned generation, hwaddr gpa,
                       uint64_t size, uint64_t *mapped)
{
    return answer(cpu, size, mapped);
}

int kvm_own_thread_map_here(CPUState *cpu, unsigned generation, hwaddr gpa,
                            uint64_t size, uint64_t *mapped)
{
    g_assert_not_reached();
}

bool kvm_pre_fault_can_use(CPUState *cpu)
{
    return true;
}

bool cpu_is_stopped(CPUState *cpu)
{
    return true;
}

/* What else a backend is made of */

bool kvm_pre_fault_is_supported(void)
{
    return true;
}

bool kvm_slot_zap_set_up(Error **errp)
{
    return true;
}

bool kvm_slot_zap_all(void)
{
    return false;
}

void kvm_retention_counts(uint64_t *kept, uint64_t *dropped)
{
}

PrefaultConversions *kvm_convert_figures(void)
{
    return NULL;
}

PrefaultExitList *kvm_first_touch_exits(void)
{
    return NULL;
}

bool machine_require_guest_memfd(MachineState *machine)
{
    return false;
}

static const PrefaultBackend *backend;

void prefault_accel_class_init(ObjectClass *oc, const PrefaultBackend *offered)
{
    backend = offered;
}

/* The first @nr vCPUs; each maps */
static GPtrArray *begin(PrefaultVia via, unsigned nr)
{
    QTAILQ_INIT(&cpus_queue);
    for (unsigned i = 0; i < nr; i++) {
        OBJECT(&cpus[i])->ref = 1;      /* somebody else's */
        QTAILQ_INSERT_TAIL(&cpus_queue, &cpus[i], node);
    }
    memset(answers, 0, sizeof(answers));
    memset(asked, 0, sizeof(asked));
    return backend->begin(via);
}

static int map(const GPtrArray *vcpus, PrefaultVia via, unsigned worker)
{
    uint64_t mapped = 77;
    int ret = backend->map(vcpus, via, worker, 0, 0, CHUNK, &mapped);

    g_assert_cmpuint(mapped, ==, ret ? 0 : CHUNK);
    return ret;
}

static unsigned asked_all(void)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < VCPUS; i++) {
        sum += asked[i];
    }
    return sum;
}

static const PrefaultVia ways[] = {
    PREFAULT_VIA_DESCRIPTOR, PREFAULT_VIA_VCPU_THREAD,
};

/* Errors of one vCPU only */
static const int refusals[] = { -EBUSY, -EOPNOTSUPP, -ENOEXEC };

static void test_each_worker_has_its_vcpu(void)
{
    for (int w = 0; w < ARRAY_SIZE(ways); w++) {
        g_autoptr(GPtrArray) vcpus = begin(ways[w], WORKERS);

        for (unsigned worker = 0; worker < 2 * WORKERS; worker++) {
            g_assert_cmpint(map(vcpus, ways[w], worker), ==, 0);
        }
        for (unsigned i = 0; i < WORKERS; i++) {
            g_assert_cmpuint(asked[i], ==, 2);
        }
    }
}

static void test_without_a_vcpu(void)
{
    g_autoptr(GPtrArray) vcpus = begin(PREFAULT_VIA_DESCRIPTOR, 0);

    g_assert_cmpint(map(vcpus, PREFAULT_VIA_DESCRIPTOR, 0), ==, -ENODEV);
}

static void test_another_error_is_asked_of_one(void)
{
    g_autoptr(GPtrArray) vcpus = begin(PREFAULT_VIA_VCPU_THREAD, WORKERS);

    answers[1] = -ENOMEM;
    for (int i = 1; i <= 3; i++) {
        g_assert_cmpint(map(vcpus, PREFAULT_VIA_VCPU_THREAD, 1), ==, -ENOMEM);
        g_assert_cmpuint(asked[1], ==, i);
        g_assert_cmpuint(asked_all(), ==, i);
    }
}

/* Another vCPU that refused is asked again after a while, and then maps */
static void test_asked_again(void)
{
    g_autoptr(GPtrArray) vcpus = begin(PREFAULT_VIA_VCPU_THREAD, 2);

    answers[0] = answers[1] = -EBUSY;
    g_assert_cmpint(map(vcpus, PREFAULT_VIA_VCPU_THREAD, 0), ==, -EBUSY);
    answers[1] = 0;
    now_ns += LEFT_ALONE_NS - 1;
    g_assert_cmpint(map(vcpus, PREFAULT_VIA_VCPU_THREAD, 0), ==, -EBUSY);
    g_assert_cmpuint(asked[1], ==, 1);
    now_ns++;
    g_assert_cmpint(map(vcpus, PREFAULT_VIA_VCPU_THREAD, 0), ==, 0);
    g_assert_cmpuint(asked[1], ==, 2);
}

/* The others are asked once, a worker's own and the one that maps each time */
static void test_one_of_all_maps(void)
{
    for (int w = 0; w < ARRAY_SIZE(ways); w++) {
        for (int r = 0; r < ARRAY_SIZE(refusals); r++) {
            g_autoptr(GPtrArray) vcpus = begin(ways[w], VCPUS);

            for (unsigned i = 0; i < VCPUS - 1; i++) {
                answers[i] = refusals[r];
            }
            for (int chunk = 0; chunk < 100; chunk++) {
                g_assert_cmpint(map(vcpus, ways[w], chunk % WORKERS), ==, 0);
            }
            g_assert_cmpuint(asked[VCPUS - 1], ==, 100);
            g_assert_cmpuint(asked_all(), ==, VCPUS + 99 * 2);
        }
    }
}

/* All are asked once, and then a worker's own for each chunk, until it maps */
static void test_none_maps(void)
{
    for (int w = 0; w < ARRAY_SIZE(ways); w++) {
        for (int r = 0; r < ARRAY_SIZE(refusals); r++) {
            g_autoptr(GPtrArray) vcpus = begin(ways[w], VCPUS);

            for (unsigned i = 0; i < VCPUS; i++) {
                answers[i] = refusals[r];
            }
            for (int chunk = 0; chunk < 100; chunk++) {
                g_assert_cmpint(map(vcpus, ways[w], chunk % WORKERS), ==,
                                refusals[r]);
            }
            g_assert_cmpuint(asked_all(), ==, VCPUS + 99);
            answers[2] = 0;
            g_assert_cmpint(map(vcpus, ways[w], 2), ==, 0);
            g_assert_cmpint(map(vcpus, ways[w], 3), ==, 0);
            g_assert_cmpuint(asked[2], >=, 2);
            g_assert_cmpuint(asked_all(), ==, VCPUS + 99 + 3);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    kvm_prefault_class_init(NULL);
#define ADD(name, test) g_test_add_func("/kvm/backend/" name, test)
    ADD("each", test_each_worker_has_its_vcpu);
    ADD("no-vcpu", test_without_a_vcpu);
    ADD("other-error", test_another_error_is_asked_of_one);
    ADD("again", test_asked_again);
    ADD("one-maps", test_one_of_all_maps);
    ADD("none-maps", test_none_maps);
    return g_test_run();
}
