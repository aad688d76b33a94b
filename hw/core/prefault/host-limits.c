/*
 * How much memory the host has left
 *
 * Guarantees: a file that is missing, or holds something unexpected, is no
 * limit.  Formats are those of Linux, Documentation/admin-guide/cgroup-v2.rst,
 * cgroup-v1/memory.rst, mm/hugetlbpage.rst and filesystems/proc.rst.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "cgroup.h"
#include "host-limits.h"

/* Cgroup v1 says "no limit" with a number that is about this large */
#define NO_LIMIT (INT64_MAX - GiB)

void prefault_limit_clear(PrefaultLimit *limit)
{
    g_free(limit->of);
    *limit = (PrefaultLimit) { .bytes = UINT64_MAX };
}

/*
 * The number after a word: "inactive_file 4096", "MemFree:  12 kB".  0 if the
 * word is not there.
 */
static uint64_t limits_number_after(const char *text, const char *word)
{
    g_auto(GStrv) lines = g_strsplit(text ?: "", "\n", -1);

    for (char **line = lines; *line; line++) {
        const char *end, *at = strstr(*line, word);
        uint64_t value;

        if (at && (at == *line || at[-1] == ' ') &&
            !qemu_strtou64(at + strlen(word), &end, 10, &value)) {
            return strstr(end, "kB") ? value * KiB : value;
        }
    }
    return 0;
}

/* Files of a limit and of what is used; @reclaimable: words of memory.stat */
typedef struct CgroupFiles {
    const char *controller;     /* whose hierarchy of v1; NULL: v2 */
    const char *max, *current;
    const char *reclaimable[3];
} CgroupFiles;

/* Above memory.max the kernel kills, above memory.high threads sleep */
static const CgroupFiles limits_memory_v2[] = {
    { NULL, "memory.max", "memory.current",
      { "inactive_file ", "active_file ", "slab_reclaimable " } },
    { NULL, "memory.high", "memory.current",
      { "inactive_file ", "active_file ", "slab_reclaimable " } },
};
static const CgroupFiles limits_memory_v1 = {
    "memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
    { "total_inactive_file ", "total_active_file " },
};
static const CgroupFiles limits_swap = {
    NULL, "memory.swap.max", "memory.swap.current"
};

typedef struct CgroupSearch {
    const CgroupFiles *files;
    uint64_t want;              /* no need to look closer if so much is left */
    PrefaultLimit *limit;
} CgroupSearch;

static uint64_t limits_reclaimable(const char *dir, const CgroupFiles *files)
{
    g_autofree char *stat = prefault_cgroup_read("%s/memory.stat", dir);
    uint64_t sum = 0;

    for (int i = 0; i < ARRAY_SIZE(files->reclaimable); i++) {
        sum += files->reclaimable[i]
               ? limits_number_after(stat, files->reclaimable[i]) : 0;
    }
    return sum;
}

/* Lower the limit to the memory that one cgroup has left, if that is less */
static void limits_cgroup_look(const char *dir, const char *name, void *opaque)
{
    const CgroupSearch *search = opaque;
    const CgroupFiles *files = search->files;
    PrefaultLimit *limit = search->limit;
    g_autofree char *max_text = prefault_cgroup_read("%s/%s", dir, files->max);
    g_autofree char *current_text =
        prefault_cgroup_read("%s/%s", dir, files->current);
    g_autofree char *give = NULL;
    uint64_t max, current, left;

    if (!prefault_cgroup_number(max_text, &max) || max >= NO_LIMIT ||
        !prefault_cgroup_number(current_text, &current) ||
        max - MIN(current, max) >= search->want) {
        return;
    }
    left = max - MIN(current, max);
    if (files->reclaimable[0]) {
        uint64_t reclaimable = limits_reclaimable(dir, files);

        left = max - MIN(current - MIN(reclaimable, current), max);
        give = g_strdup_printf(", of which %" PRIu64 " can be reclaimed",
                               reclaimable);
    }
    if (left < limit->bytes) {
        prefault_limit_clear(limit);
        limit->bytes = left;
        limit->of = g_strdup_printf(
            "cgroup %s leaves %" PRIu64 " (%s %" PRIu64 ", %s %" PRIu64 "%s)",
            *name ? name : "/", left, files->max, max, files->current, current,
            give ?: "");
    }
}

static void limits_cgroup(const char *root, const CgroupFiles *files,
                          uint64_t want, PrefaultLimit *limit)
{
    CgroupSearch search = { files, want, limit };

    prefault_cgroup_climb(root, files->controller, limits_cgroup_look, &search);
}

/* Free swap that our cgroup may use */
static uint64_t limits_swap_left(const char *root)
{
    g_autofree char *text = prefault_cgroup_read("%s/proc/meminfo", root);
    uint64_t nr_free = limits_number_after(text, "SwapFree:");
    g_auto(PrefaultLimit) limit = { .bytes = UINT64_MAX };

    if (nr_free) {
        limits_cgroup(root, &limits_swap, UINT64_MAX, &limit);
    }
    return MIN(limit.bytes, nr_free);
}

void prefault_limit_memory_cgroup(const char *root, uint64_t want, bool swaps,
                                  PrefaultLimit *limit)
{
    uint64_t swap;

    *limit = (PrefaultLimit) { .bytes = UINT64_MAX };
    for (int i = 0; i < ARRAY_SIZE(limits_memory_v2); i++) {
        limits_cgroup(root, &limits_memory_v2[i], want, limit);
    }
    swap = swaps && limit->of ? limits_swap_left(root) : 0;
    if (swap) {
        g_autofree char *of = g_steal_pointer(&limit->of);

        limit->bytes += swap;
        limit->of = g_strdup_printf("%s and %" PRIu64 " of swap", of, swap);
    }
    /* How much swap a cgroup of v1 grants is not looked at */
    limits_cgroup(root, &limits_memory_v1, want, limit);
}

/* The kernel's name for a file of one page size */
static char *limits_hugetlb_file(size_t page_size, const char *what)
{
    return page_size >= GiB
           ? g_strdup_printf("hugetlb.%zuGB.%s", (size_t)(page_size / GiB),
                             what)
           : page_size >= MiB
           ? g_strdup_printf("hugetlb.%zuMB.%s", (size_t)(page_size / MiB),
                             what)
           : g_strdup_printf("hugetlb.%zuKB.%s", (size_t)(page_size / KiB),
                             what);
}

void prefault_limit_hugetlb_cgroup(const char *root, size_t page_size,
                                   PrefaultLimit *limit)
{
    *limit = (PrefaultLimit) { .bytes = UINT64_MAX };
    for (int v2 = 0; v2 <= 1; v2++) {
        g_autofree char *max =
            limits_hugetlb_file(page_size, v2 ? "max" : "limit_in_bytes");
        g_autofree char *current =
            limits_hugetlb_file(page_size, v2 ? "current" : "usage_in_bytes");
        CgroupFiles files = { v2 ? NULL : "hugetlb", max, current };

        limits_cgroup(root, &files, UINT64_MAX, limit);
    }
}

/* A line of arcstats is a name, a type and a number */
static uint64_t limits_arc_number(const char *text, const char *name)
{
    g_auto(GStrv) lines = g_strsplit(text ?: "", "\n", -1);
    g_autofree char *format = g_strdup_printf("%s %%*u %%" SCNu64, name);
    uint64_t value;

    for (char **line = lines; *line; line++) {
        if (sscanf(*line, format, &value) == 1) {
            return value;
        }
    }
    return 0;
}

/* What ZFS gives back: the kernel does not count its cache as available */
static uint64_t limits_arc(const char *root)
{
    g_autofree char *text =
        prefault_cgroup_read("%s/proc/spl/kstat/zfs/arcstats", root);
    uint64_t size = limits_arc_number(text, "size");

    return size - MIN(limits_arc_number(text, "c_min"), size);
}

void prefault_limit_host(const char *root, bool swaps, PrefaultLimit *limit)
{
    g_autofree char *text = prefault_cgroup_read("%s/proc/meminfo", root);
    uint64_t available = limits_number_after(text, "MemAvailable:");
    uint64_t swap = swaps ? limits_swap_left(root) : 0, arc = limits_arc(root);
    g_autofree char *of_swap = g_strdup_printf(", SwapFree %" PRIu64, swap);
    g_autofree char *of_arc =
        g_strdup_printf(", ZFS's ARC gives back %" PRIu64, arc);

    *limit = (PrefaultLimit) { .bytes = UINT64_MAX };
    /* 0 is the figure of a host that has nothing left */
    if (text && strstr(text, "MemAvailable:")) {
        limit->bytes = available + swap + arc;
        limit->of = g_strdup_printf(
            "the host has %" PRIu64 " (MemAvailable %" PRIu64 "%s%s)",
            limit->bytes, available, swaps ? of_swap : "", arc ? of_arc : "");
    }
}

uint64_t prefault_limits_resident(const char *root)
{
    g_autofree char *text = prefault_cgroup_read("%s/proc/self/statm", root);
    uint64_t resident;

    return text && sscanf(text, "%*u %" SCNu64, &resident) == 1 ? resident : 0;
}

uint64_t prefault_limits_swapped(const char *root)
{
    g_autofree char *text = prefault_cgroup_read("%s/proc/self/status", root);

    return limits_number_after(text, "VmSwap:");
}

/* "0", "0 and 2": for a message */
static char *limits_node_names(const unsigned long *nodes)
{
    GString *names = g_string_new(NULL);

    for (unsigned node = find_first_bit(nodes, PREFAULT_NODES_MAX);
         node < PREFAULT_NODES_MAX;
         node = find_next_bit(nodes, PREFAULT_NODES_MAX, node + 1)) {
        g_string_append_printf(names, "%s%u", names->len ? " and " : "", node);
    }
    return g_string_free(names, false);
}

/* The part of a node's memory that the kernel keeps for itself */
static uint64_t limits_node_kept(const char *root, uint64_t node_total)
{
    g_autofree char *text = prefault_cgroup_read("%s/proc/meminfo", root);
    g_autofree char *kept =
        prefault_cgroup_read("%s/proc/sys/vm/min_free_kbytes", root);
    uint64_t total = limits_number_after(text, "MemTotal:"), kib;
    double part = prefault_cgroup_number(kept, &kib) && total
                  ? (double)kib * KiB / total : 0;

    /* A larger number could not be made an integer */
    return part < 1 ? part * node_total : node_total;
}

/* Returns UINT64_MAX if it cannot be known */
static uint64_t limits_node_left(const char *root, unsigned node)
{
    static const char *const words[] = {
        "MemFree:", "Active(file):", "Inactive(file):", "SReclaimable:",
    };
    g_autofree char *text = prefault_cgroup_read(
        "%s/sys/devices/system/node/node%u/meminfo", root, node);
    uint64_t total = limits_number_after(text, "MemTotal:"), sum = 0;

    for (int i = 0; i < ARRAY_SIZE(words); i++) {
        sum += limits_number_after(text, words[i]);
    }
    return total ? sum - MIN(limits_node_kept(root, total), sum) : UINT64_MAX;
}

void prefault_limit_nodes(const char *root, const unsigned long *nodes,
                          bool swaps, PrefaultLimit *limit)
{
    g_autofree char *names = limits_node_names(nodes);
    uint64_t sum = swaps ? limits_swap_left(root) : 0;

    *limit = (PrefaultLimit) { .bytes = UINT64_MAX };
    for (unsigned node = find_first_bit(nodes, PREFAULT_NODES_MAX);
         node < PREFAULT_NODES_MAX;
         node = find_next_bit(nodes, PREFAULT_NODES_MAX, node + 1)) {
        uint64_t one = limits_node_left(root, node);

        if (one == UINT64_MAX) {
            return;
        }
        sum += one;
    }
    limit->bytes = sum;
    limit->of = g_strdup_printf("host node %s has %" PRIu64 " free or easy to "
                                "reclaim", names, sum);
}

/* A file of a pool, host-wide or of a node; false if it is not there */
static bool limits_pool_number(const char *dir, size_t page_size,
                               const char *file, uint64_t *value)
{
    g_autofree char *text = prefault_cgroup_read("%s/hugepages-%zukB/%s", dir,
                                                 (size_t)(page_size / KiB),
                                                 file);

    *value = 0;
    return prefault_cgroup_number(text, value);
}

/* Pages that may be added to a pool while it is empty */
static uint64_t limits_pool_surplus(const char *root, size_t page_size)
{
    g_autofree char *dir = g_strdup_printf("%s/sys/kernel/mm/hugepages", root);
    uint64_t most, now;

    limits_pool_number(dir, page_size, "nr_overcommit_hugepages", &most);
    limits_pool_number(dir, page_size, "surplus_hugepages", &now);
    return most - MIN(now, most);
}

void prefault_limit_hugetlb(const char *root, size_t page_size,
                            PrefaultLimit *limit)
{
    g_autofree char *dir = g_strdup_printf("%s/sys/kernel/mm/hugepages", root);
    uint64_t nr_free, reserved;

    *limit = (PrefaultLimit) { .bytes = UINT64_MAX };
    if (limits_pool_number(dir, page_size, "free_hugepages", &nr_free)) {
        limits_pool_number(dir, page_size, "resv_hugepages", &reserved);
        limit->bytes = page_size * (nr_free - MIN(reserved, nr_free) +
                                    limits_pool_surplus(root, page_size));
        limit->of = g_strdup_printf(
            "the host has %" PRIu64 " free in pages of %zu KiB "
            "(free_hugepages %" PRIu64 ", resv_hugepages %" PRIu64 ")",
            limit->bytes, (size_t)(page_size / KiB), nr_free, reserved);
    }
}

void prefault_limit_hugetlb_nodes(const char *root, size_t page_size,
                                  const unsigned long *nodes,
                                  PrefaultLimit *limit)
{
    g_autofree char *names = limits_node_names(nodes);
    uint64_t sum = limits_pool_surplus(root, page_size);

    *limit = (PrefaultLimit) { .bytes = UINT64_MAX };
    for (unsigned node = find_first_bit(nodes, PREFAULT_NODES_MAX);
         node < PREFAULT_NODES_MAX;
         node = find_next_bit(nodes, PREFAULT_NODES_MAX, node + 1)) {
        g_autofree char *dir = g_strdup_printf(
            "%s/sys/devices/system/node/node%u/hugepages", root, node);
        uint64_t nr_free;

        if (!limits_pool_number(dir, page_size, "free_hugepages", &nr_free)) {
            return;
        }
        sum += nr_free;
    }
    limit->bytes = sum * page_size;
    limit->of = g_strdup_printf("host node %s has %" PRIu64 " free in pages of "
                                "%zu KiB",
                                names, limit->bytes, (size_t)(page_size / KiB));
}
