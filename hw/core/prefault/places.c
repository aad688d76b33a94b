/*
 * Where workers run: near the memory they populate
 *
 * Without a memory policy the CPU that touches a page first decides which NUMA
 * node it comes from; with one, a worker on the right node writes faster.  The
 * CPUs are those that a user has chosen already, by pinning vCPUs or by naming
 * host nodes: a worker never runs on others, unless QEMU itself does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sched.h>
#include "qemu/main-loop.h"
#include "qemu/bitops.h"
#include "hw/core/prefault-compat.h"
#include "hw/core/cpu.h"
#include "hw/mem/pc-dimm.h"
#include "plan.h"
#include "system/hostmem.h"
#include "places.h"

#ifdef CONFIG_NUMA
#include <numa.h>
#include <numaif.h>
#endif

/* The kernel's NR_CPUS is 8192 at most on x86 */
#define CPUS_MAX 8192

typedef struct CpuSet {
    unsigned long bits[BITS_TO_LONGS(CPUS_MAX)];
} CpuSet;

typedef struct Place {
    CpuSet cpus;            /* empty: those of PrefaultPlaces.own */
    int node;               /* the one node of @cpus, or -1 */
} Place;

struct PrefaultPlaces {
    GHashTable *nodes;      /* backend to 1 + its guest node */
    CpuSet own;             /* CPUs that workers inherit; empty: not known */
    bool no_policy;         /* workers inherit none: a CPU's own node decides */
    GArray *all;            /* of Place */
    GHashTable *found;      /* backend to 1 + its place */
    GHashTable *of_vcpus;   /* guest node, or -1, to 1 + its vCPUs' place */
};

/* The CPUs of thread @tid; false, and none, if they cannot be known */
static bool places_cpus_of_thread(int tid, CpuSet *set)
{
    memset(set, 0, sizeof(*set));
    return sched_getaffinity(tid, sizeof(*set), (cpu_set_t *)set) == 0;
}

#ifdef CONFIG_NUMA
static bool places_thread_has_no_policy(void)
{
    int mode;

    return numa_available() >= 0 &&
           get_mempolicy(&mode, NULL, 0, NULL, 0) == 0 && mode == MPOL_DEFAULT;
}

/* The node of all these CPUs, or -1 if there is no such node */
static int places_node_of_cpus(const CpuSet *set)
{
    int node = -1;

    if (numa_available() < 0) {
        return -1;
    }
    for (unsigned long cpu = find_first_bit(set->bits, CPUS_MAX);
         cpu < CPUS_MAX; cpu = find_next_bit(set->bits, CPUS_MAX, cpu + 1)) {
        int its = numa_node_of_cpu(cpu);

        if (its < 0 || (node >= 0 && its != node)) {
            return -1;
        }
        node = its;
    }
    return node;
}

/*
 * The next best to running there: let the calling thread take memory from this
 * node.  A sandbox that forbids sched_setaffinity() may allow set_mempolicy().
 */
static bool places_prefer_node(int node)
{
    /* One bit more, because the kernel ignores the last one */
    unsigned long nodes[BITS_TO_LONGS(MAX_NODES + 1)] = { 0 };

    if (node < 0 || node >= MAX_NODES) {
        return false;
    }
    set_bit(node, nodes);
    return set_mempolicy(MPOL_PREFERRED, nodes, MAX_NODES + 1) == 0;
}

/* Undoes places_prefer_node(): if this is refused, that was refused as well */
static void places_prefer_own_node(const PrefaultPlaces *places)
{
    if (places->no_policy) {
        set_mempolicy(MPOL_DEFAULT, NULL, 0);
    }
}
#else
static bool places_thread_has_no_policy(void)
{
    return false;
}

static int places_node_of_cpus(const CpuSet *set)
{
    return -1;
}

static bool places_prefer_node(int node)
{
    return false;
}

static void places_prefer_own_node(const PrefaultPlaces *places)
{
}
#endif

static void places_note_node(PrefaultPlaces *places,
                             HostMemoryBackend *backend, unsigned node)
{
    if (backend) {
        g_hash_table_insert(places->nodes, backend, GUINT_TO_POINTER(1 + node));
    }
}

/* NVDIMMs are DIMMs, too */
static int places_note_dimm(Object *object, void *opaque)
{
    PCDIMMDevice *dimm = (PCDIMMDevice *)
        object_dynamic_cast(object, TYPE_PC_DIMM);

    if (dimm) {
        places_note_node(opaque, dimm->hostmem, dimm->node);
    }
    return 0;
}

/* A backend is of a guest node by -numa, or by the device that it is behind */
static void places_note_nodes(PrefaultPlaces *places)
{
    const NumaState *numa = current_machine->numa_state;

    for (int i = 0; numa && i < numa->num_nodes; i++) {
        places_note_node(places, numa->nodes[i].node_memdev, i);
    }
    object_child_foreach_recursive(OBJECT(current_machine), places_note_dimm,
                                   places);
}

PrefaultPlaces *prefault_places_new(void)
{
    PrefaultPlaces *places = g_new0(PrefaultPlaces, 1);

    assert(bql_locked());
    places->all = g_array_new(false, false, sizeof(Place));
    places->no_policy = places_thread_has_no_policy();
    places_cpus_of_thread(0, &places->own);
    places->nodes = g_hash_table_new(NULL, NULL);
    places->found = g_hash_table_new(NULL, NULL);
    places->of_vcpus = g_hash_table_new(NULL, NULL);
    places_note_nodes(places);
    return places;
}

void prefault_places_free(PrefaultPlaces *places)
{
    if (places) {
        g_array_unref(places->all);
        g_hash_table_unref(places->nodes);
        g_hash_table_unref(places->found);
        g_hash_table_unref(places->of_vcpus);
        g_free(places);
    }
}

#ifdef CONFIG_NUMA
/* The CPUs of the nodes that a backend names; false if it names none */
static bool places_cpus_of_backend(const PrefaultPlaces *places,
                                   const HostMemoryBackend *backend,
                                   CpuSet *set)
{
    struct bitmask *cpus;
    unsigned long node;

    if (!backend || backend->policy == HOST_MEM_POLICY_DEFAULT ||
        numa_available() < 0) {
        return false;
    }
    memset(set, 0, sizeof(*set));
    cpus = numa_allocate_cpumask();
    for (node = find_first_bit(backend->host_nodes, MAX_NODES);
         node < MAX_NODES;
         node = find_next_bit(backend->host_nodes, MAX_NODES, node + 1)) {
        if (numa_node_to_cpus(node, cpus) < 0) {
            /* A node whose CPUs are not known: go by the other nodes */
            continue;
        }
        for (unsigned cpu = 0; cpu < MIN(cpus->size, CPUS_MAX); cpu++) {
            if (numa_bitmask_isbitset(cpus, cpu)) {
                set_bit(cpu, set->bits);
            }
        }
    }
    numa_free_cpumask(cpus);
    bitmap_and(set->bits, set->bits, places->own.bits, CPUS_MAX);
    /* Even if no CPU is left: the policy places the memory all the same */
    return true;
}
#else
static bool places_cpus_of_backend(const PrefaultPlaces *places,
                                   const HostMemoryBackend *backend,
                                   CpuSet *set)
{
    return false;
}
#endif

/* The guest NUMA node whose memory a backend is, or -1 */
static int places_guest_node_of_backend(const PrefaultPlaces *places,
                                        const HostMemoryBackend *backend)
{
    return (int)GPOINTER_TO_UINT(g_hash_table_lookup(places->nodes, backend)) -
           1;
}

static void places_add_vcpu(const CPUState *cpu, CpuSet *set)
{
    CpuSet one;

    if (places_cpus_of_thread(cpu->thread_id, &one)) {
        bitmap_or(set->bits, set->bits, one.bits, CPUS_MAX);
    }
}

/* The CPUs of the vCPUs of a guest node, or of all if @node is -1 */
static bool places_cpus_of_vcpus(int node, CpuSet *set)
{
    const CPUArchIdList *slots = current_machine->possible_cpus;
    CPUState *cpu;

    memset(set, 0, sizeof(*set));
    if (node < 0) {
        CPU_FOREACH(cpu) {
            places_add_vcpu(cpu, set);
        }
    }
    for (int i = 0; node >= 0 && slots && i < slots->len; i++) {
        const CPUArchId *slot = &slots->cpus[i];

        if (slot->cpu && slot->props.has_node_id &&
            slot->props.node_id == node) {
            places_add_vcpu(slot->cpu, set);
        }
    }
    return !bitmap_empty(set->bits, CPUS_MAX);
}

static unsigned places_of_set(PrefaultPlaces *places, const CpuSet *set)
{
    Place place = { .cpus = *set };

    for (unsigned i = 0; i < places->all->len; i++) {
        if (!memcmp(&g_array_index(places->all, Place, i).cpus, set,
                    sizeof(*set))) {
            return i;
        }
    }
    if (places->all->len == PREFAULT_PLACES_MAX) {
        /* Workers may run far from memory: slower, but a policy still holds */
        return 0;
    }
    /* libnuma is not thread safe: ask it here, under the BQL */
    place.node = places_node_of_cpus(set);
    g_array_append_vals(places->all, &place, 1);
    return places->all->len - 1;
}

/* The place of a guest node's vCPUs, or of all if it has none, or is -1 */
static unsigned places_of_vcpus(PrefaultPlaces *places, int node)
{
    gpointer key = GINT_TO_POINTER(node);
    unsigned place = GPOINTER_TO_UINT(g_hash_table_lookup(places->of_vcpus,
                                                          key));
    CpuSet set;

    if (!place) {
        if (!places_cpus_of_vcpus(node, &set)) {
            places_cpus_of_vcpus(-1, &set);
        }
        place = 1 + places_of_set(places, &set);
        g_hash_table_insert(places->of_vcpus, key, GUINT_TO_POINTER(place));
    }
    return place - 1;
}

/*
 * Each piece of memory asks, and there may be very many of one backend: each
 * backend is looked at once, and each thread
 */
unsigned prefault_places_find(PrefaultPlaces *places, const MemoryRegion *mr)
{
    HostMemoryBackend *backend = (HostMemoryBackend *)
        object_dynamic_cast(mr->owner, TYPE_MEMORY_BACKEND);
    unsigned place;
    CpuSet set;

    assert(bql_locked());
    place = GPOINTER_TO_UINT(g_hash_table_lookup(places->found, backend));
    if (!place) {
        place = 1 + (places_cpus_of_backend(places, backend, &set)
                     ? places_of_set(places, &set)
                     : places_of_vcpus(places, places_guest_node_of_backend(
                                           places, backend)));
        g_hash_table_insert(places->found, backend, GUINT_TO_POINTER(place));
    }
    return place - 1;
}

/*
 * May a thread move itself?  An empty set is no place to go, but the kernel
 * says so (EINVAL) only to those who may.  Our own set would tell as well, and
 * would not be without effect: a cpuset that grows later leaves out a thread
 * that has asked for a set.
 */
static bool places_may_move(void)
{
    const CpuSet nowhere = { 0 };

    return sched_setaffinity(0, sizeof(nowhere), (const cpu_set_t *)&nowhere) &&
           errno == EINVAL;
}

unsigned prefault_places_cpus(const PrefaultPlaces *places)
{
    CpuSet all = { 0 };

    assert(bql_locked());
    if (!places) {
        places_cpus_of_vcpus(-1, &all);
    } else if (places_may_move()) {
        for (unsigned i = 0; i < places->all->len; i++) {
            const Place *place = &g_array_index(places->all, Place, i);
            const CpuSet *set = bitmap_empty(place->cpus.bits, CPUS_MAX)
                                ? &places->own : &place->cpus;

            bitmap_or(all.bits, all.bits, set->bits, CPUS_MAX);
        }
    } else {
        all = places->own;
    }
    return MAX(1, bitmap_count_one(all.bits, CPUS_MAX));
}

int prefault_places_node(const PrefaultPlaces *places, unsigned number)
{
    return g_array_index(places->all, Place, number).node;
}

int prefault_places_enter(const PrefaultPlaces *places, unsigned number)
{
    const Place *place = &g_array_index(places->all, Place, number);
    const CpuSet *set = &place->cpus;
    CpuSet now;
    int ret;

    places_prefer_own_node(places);
    if (bitmap_empty(set->bits, CPUS_MAX)) {
        set = &places->own;
    }
    if (!places_cpus_of_thread(0, &now) || bitmap_empty(set->bits, CPUS_MAX) ||
        bitmap_equal(now.bits, set->bits, CPUS_MAX) ||
        sched_setaffinity(0, sizeof(*set), (cpu_set_t *)set) == 0) {
        return 0;
    }
    ret = -errno;
    return places->no_policy && places_prefer_node(place->node) ? 0 : ret;
}
