/*
 * Tests of what finding places takes in a large guest
 *
 * 1,024 vCPUs in eight guest nodes, and memory of many backends in many pieces.
 * QEMU's objects and the kernel's answers are made up.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#undef CONFIG_NUMA
#include <sched.h>
#include "qemu/main-loop.h"
#include "qom/object.h"

/* In places.c; what it includes has been declared already */
#define sched_getaffinity(tid, size, set) fake_getaffinity(tid, set)
#define bql_locked() true
#define object_dynamic_cast fake_dynamic_cast
#define object_child_foreach_recursive fake_foreach
static int fake_getaffinity(int tid, cpu_set_t *set);
static Object *fake_dynamic_cast(Object *object, const char *type);
static int fake_foreach(Object *object,
                        int (*visit)(Object *child, void *opaque),
                        void *opaque);
#include "../../hw/core/prefault/places.c"

#define VCPUS 1024
#define NODES 8
#define BACKENDS 256
#define PIECES 4096

static CPUState vcpus[VCPUS];
static HostMemoryBackend backends[BACKENDS];
static MachineState machine;
static unsigned questions;      /* to the kernel, about a thread */

MachineState *current_machine = &machine;
CPUTailQ cpus_queue = QTAILQ_HEAD_INITIALIZER(cpus_queue);

/* A vCPU may use the CPU of its number; so may the thread of no vCPU, any */
static int fake_getaffinity(int tid, cpu_set_t *set)
{
    questions++;
    if (tid) {
        set_bit(tid - 1, (unsigned long *)set);
    } else {
        bitmap_set((unsigned long *)set, 0, VCPUS);
    }
    return 0;
}

static Object *fake_dynamic_cast(Object *object, const char *type)
{
    return object && g_str_equal(type, TYPE_MEMORY_BACKEND) ? object : NULL;
}

/* There are no DIMMs */
static int fake_foreach(Object *object,
                        int (*visit)(Object *child, void *opaque),
                        void *opaque)
{
    return 0;
}

static void set_up(void)
{
    NumaState *numa = g_new0(NumaState, 1);

    numa->num_nodes = NODES;
    machine.numa_state = numa;
    machine.possible_cpus =
        g_malloc0(sizeof(CPUArchIdList) + VCPUS * sizeof(CPUArchId));
    machine.possible_cpus->len = VCPUS;
    for (int i = 0; i < VCPUS; i++) {
        CPUArchId *slot = &machine.possible_cpus->cpus[i];

        vcpus[i].thread_id = i + 1;
        QTAILQ_INSERT_TAIL(&cpus_queue, &vcpus[i], node);
        slot->cpu = &vcpus[i];
        slot->props.has_node_id = true;
        slot->props.node_id = i / (VCPUS / NODES);
    }
    for (int i = 0; i < NODES; i++) {
        numa->nodes[i].node_memdev = &backends[i];
    }
}

static unsigned find(PrefaultPlaces *places, int backend)
{
    MemoryRegion mr = { .owner = (Object *)&backends[backend] };

    return prefault_places_find(places, &mr);
}

static void test_each_node_has_its_vcpus(void)
{
    PrefaultPlaces *places = prefault_places_new();

    for (int i = 0; i < NODES; i++) {
        const Place *place;

        g_assert_cmpuint(find(places, i), ==, i);
        place = &g_array_index(places->all, Place, i);
        g_assert_cmpuint(bitmap_count_one(place->cpus.bits, CPUS_MAX), ==,
                         VCPUS / NODES);
        g_assert_true(test_bit(i * (VCPUS / NODES), place->cpus.bits));
    }
    /* That of no guest node */
    g_assert_cmpuint(find(places, NODES), ==, NODES);
    g_assert_true(bitmap_full(g_array_index(places->all, Place,
                                            NODES).cpus.bits, VCPUS));
    prefault_places_free(places);
}

/* Each vCPU for its node, and once more for memory of no node */
static void test_each_thread_is_asked_twice_at_most(void)
{
    PrefaultPlaces *places = prefault_places_new();

    questions = 0;
    for (int i = 0; i < PIECES; i++) {
        unsigned place = find(places, i % BACKENDS);

        g_assert_cmpuint(place, ==, MIN(i % BACKENDS, NODES));
    }
    g_test_message("%d pieces of %d backends: %u questions", PIECES, BACKENDS,
                   questions);
    g_assert_cmpuint(questions, <=, 2 * VCPUS);
    prefault_places_free(places);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    set_up();
    g_test_add_func("/prefault/places/nodes", test_each_node_has_its_vcpus);
    g_test_add_func("/prefault/places/large",
                    test_each_thread_is_asked_twice_at_most);
    return g_test_run();
}
