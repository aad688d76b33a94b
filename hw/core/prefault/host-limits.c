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

/* Names of a controller's files; @reclaimable are words of memory.stat */
typedef struct CgroupFiles {
    const char *controller;
    const char *max, *current;
    const char *reclaimable[3];
} CgroupFiles;

static const CgroupFiles limits_memory_v2 = {
    "memory", "memory.max", "memory.current",
    { "inactive_file ", "active_file ", "slab_reclaimable " },
};
static const CgroupFiles limits_memory_v1 = {
    "memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
    { "total_inactive_file ", "total_active_file " },
};

typedef struct CgroupSearch {
    const CgroupFiles *files;
    PrefaultLimit *limit;
} CgroupSearch;

/* Lower the limit to the memory that one cgroup has left, if that is less */
static void limits_cgroup_look(const char *dir, const char *name, void *opaque)
{
    const CgroupSearch *search = opaque;
    const CgroupFiles *files = search->files;
    PrefaultLimit *limit = search->limit;
    g_autofree char *max_text = prefault_cgroup_read("%s/%s", dir, files->max);
    g_autofree char *current_text =
        prefault_cgroup_read("%s/%s", dir, files->current);
    uint64_t max, current, reclaimable = 0, used, left;

    if (!prefault_cgroup_number(max_text, &max) || max >= NO_LIMIT ||
        !prefault_cgroup_number(current_text, &current)) {
        return;
    }
    if (files->reclaimable[0]) {
        g_autofree char *stat = prefault_cgroup_read("%s/memory.stat", dir);

        for (int i = 0; i < ARRAY_SIZE(files->reclaimable); i++) {
            reclaimable +=
                files->reclaimable[i]
                    ? limits_number_after(stat, files->reclaimable[i])
                    : 0;
        }
    }
    used = current - MIN(reclaimable, current);
    left = max - MIN(used, max);
    if (left < limit->bytes) {
        g_autofree char *give = files->reclaimable[0]
            ? g_strdup_printf(", of which %" PRIu64 " can be reclaimed",
                              reclaimable) : g_strdup("");

        prefault_limit_clear(limit);
        limit->bytes = left;
        limit->of = g_strdup_printf(
            "cgroup %s leaves %" PRIu64 " (%s %" PRIu64 ", %s %" PRIu64 "%s)",
            *name ? name : "/", left, files->max, max, files->current, current,
            give);
    }
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

void prefault_limit_cgroup(const char *root, size_t huge_page,
                           PrefaultLimit *limit)
{
    *limit = (PrefaultLimit) { .bytes = UINT64_MAX };
    for (int v2 = 0; v2 <= 1; v2++) {
        g_autofree char *max = NULL, *current = NULL;
        CgroupFiles files = v2 ? limits_memory_v2 : limits_memory_v1;

        if (huge_page) {
            max = limits_hugetlb_file(huge_page, v2 ? "max" : "limit_in_bytes");
            current = limits_hugetlb_file(huge_page,
                                          v2 ? "current" : "usage_in_bytes");
            files = (CgroupFiles) { "hugetlb", max, current };
        }
        prefault_cgroup_climb(root, v2 ? NULL : files.controller,
                              limits_cgroup_look,
                              &(CgroupSearch) { &files, limit });
    }
}

void prefault_limit_host(const char *root, PrefaultLimit *limit)
{
    g_autofree char *text = prefault_cgroup_read("%s/proc/meminfo", root);
    uint64_t available = limits_number_after(text, "MemAvailable:");
    uint64_t swap = limits_number_after(text, "SwapFree:");

    *limit = (PrefaultLimit) { .bytes = UINT64_MAX };
    if (available) {
        limit->bytes = available + swap;
        limit->of = g_strdup_printf(
            "the host has %" PRIu64 " (MemAvailable %" PRIu64 ", SwapFree %"
            PRIu64 ")", limit->bytes, available, swap);
    }
}

/* "0", "0 and 2": for a message */
static char *limits_node_names(const unsigned long *nodes, unsigned max_node)
{
    GString *names = g_string_new(NULL);

    for (unsigned node = find_first_bit(nodes, max_node); node < max_node;
         node = find_next_bit(nodes, max_node, node + 1)) {
        g_string_append_printf(names, "%s%u", names->len ? " and " : "", node);
    }
    return g_string_free(names, false);
}

static uint64_t limits_node_left(const char *root, unsigned node)
{
    static const char *const words[] = {
        "MemFree:", "Active(file):", "Inactive(file):", "SReclaimable:",
    };
    g_autofree char *text =
        prefault_cgroup_read("%s/sys/devices/system/node/node%u/meminfo", root,
                             node);
    uint64_t sum = 0;

    if (!limits_number_after(text, "MemTotal:")) {
        return UINT64_MAX;
    }
    for (int i = 0; i < ARRAY_SIZE(words); i++) {
        sum += limits_number_after(text, words[i]);
    }
    return sum;
}

void prefault_limit_nodes(const char *root, const unsigned long *nodes,
                          unsigned max_node, PrefaultLimit *limit)
{
    g_autofree char *names = limits_node_names(nodes, max_node);
    uint64_t sum = 0;

    *limit = (PrefaultLimit) { .bytes = UINT64_MAX };
    for (unsigned node = find_first_bit(nodes, max_node); node < max_node;
         node = find_next_bit(nodes, max_node, node + 1)) {
        uint64_t one = limits_node_left(root, node);

        if (one == UINT64_MAX) {
            return;
        }
        sum += one;
    }
    limit->bytes = sum;
    limit->of = g_strdup_printf("host node %s has %" PRIu64 " free or easy to "
                                "reclaim",
                                names, sum);
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
                                  const unsigned long *nodes, unsigned max_node,
                                  PrefaultLimit *limit)
{
    g_autofree char *names = limits_node_names(nodes, max_node);
    uint64_t sum = limits_pool_surplus(root, page_size);

    *limit = (PrefaultLimit) { .bytes = UINT64_MAX };
    for (unsigned node = find_first_bit(nodes, max_node); node < max_node;
         node = find_next_bit(nodes, max_node, node + 1)) {
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
