/*
 * Tests of how much memory the host has left
 *
 * Each test states one property of hw/core/prefault/host-limits.h, on a
 * made-up host: see prefault-fake-host.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/units.h"
#include "../../hw/core/prefault/host-limits.h"
#include "prefault-fake-host.h"

static const unsigned long node_1[BITS_TO_LONGS(PREFAULT_NODES_MAX)] = { 2 };
static const unsigned long nodes_0_1[BITS_TO_LONGS(PREFAULT_NODES_MAX)] = { 3 };

/* And forget it; @of NULL: there is no limit */
static void assert_limit(PrefaultLimit limit, uint64_t bytes, const char *of)
{
    g_assert_cmpstr(limit.of, ==, of);
    g_assert_cmpuint(limit.bytes, ==, of ? bytes : UINT64_MAX);
    prefault_limit_clear(&limit);
    g_assert_null(limit.of);
}

static void assert_memory_cgroup(uint64_t bytes, const char *of)
{
    PrefaultLimit limit;

    prefault_limit_memory_cgroup(root, UINT64_MAX, true, &limit);
    assert_limit(limit, bytes, of);
}

static void assert_host(uint64_t bytes, const char *of)
{
    PrefaultLimit limit;

    prefault_limit_host(root, true, &limit);
    assert_limit(limit, bytes, of);
}

static void assert_nodes(const unsigned long *nodes, uint64_t bytes,
                         const char *of)
{
    PrefaultLimit limit;

    prefault_limit_nodes(root, nodes, true, &limit);
    assert_limit(limit, bytes, of);
}

/* The memory cgroup */

typedef struct CgroupCase {
    const char *max, *current, *stat;
    uint64_t bytes;
    const char *leaves;         /* NULL: there is no limit */
} CgroupCase;

static const CgroupCase cgroup_cases[] = {
    { "max\n", "99999999\n", "" },
    { "9223372036854771712\n", "4096\n", "" },
    { "8192\n", "0\n", "", 8192, "8192 (%s 8192, memory.current 0, of "
      "which 0 can be reclaimed)" },
    { "8193\n", "4096\n", "", 4097, "4097 (%s 8193, memory.current "
      "4096, of which 0 can be reclaimed)" },
    { "4096\n", "8192\n", "", 0, "0 (%s 4096, memory.current 8192, of "
      "which 0 can be reclaimed)" },
    /* Page cache gives way */
    { "32768\n", "20480\n", "anon 4096\ninactive_file 4096\n"
      "active_file 2048\nslab_reclaimable 1024\n", 19456, "19456 (%s "
      "32768, memory.current 20480, of which 7168 can be reclaimed)" },
    { "4096\n", "4096\n", "inactive_file 8192\n", 4096, "4096 (%s 4096, "
      "memory.current 4096, of which 8192 can be reclaimed)" },
    /* What is not understood is no limit */
    { "", "0\n", "" },
    { "12 cows\n", "0\n", "" },
    { "4096\n", "many\n", "" },
    { "-1\n", "many\n", "" },
    { "4096\n", "-1\n", "" },
};

/* @file: the file of the limit */
static void check_cgroup(const CgroupCase *c, const char *file)
{
    g_auto(GStrv) around = g_strsplit(c->leaves ?: "", "%s", 2);
    g_autofree char *leaves = g_strjoinv(file, around);
    g_autofree char *of = g_strconcat("cgroup /a/vm leaves ", leaves, NULL);

    new_host();
    put("/proc/self/cgroup", "0::/a/vm\n");
    put_cgroup("/a/vm", "max\n", c->current, c->stat);
    put_cgroup_file("/a/vm", file, c->max);
    assert_memory_cgroup(c->bytes, c->leaves ? of : NULL);
    free_host();
}

static void test_cgroup(void)
{
    for (int i = 0; i < ARRAY_SIZE(cgroup_cases); i++) {
        check_cgroup(&cgroup_cases[i], "memory.max");
    }
}

/* Above it QEMU's threads would sleep */
static void test_cgroup_high(void)
{
    for (int i = 0; i < ARRAY_SIZE(cgroup_cases); i++) {
        check_cgroup(&cgroup_cases[i], "memory.high");
    }
}

static void test_lower_of_max_and_high_counts(void)
{
    new_host();
    put("/proc/self/cgroup", "0::/vm\n");
    put_cgroup("/vm", "8192", "0", "");
    put_cgroup_file("/vm", "memory.high", "8193");
    assert_memory_cgroup(8192, "cgroup /vm leaves 8192 (memory.max 8192, "
                         "memory.current 0, of which 0 can be reclaimed)");
    put_cgroup_file("/vm", "memory.high", "8191");
    assert_memory_cgroup(8191, "cgroup /vm leaves 8191 (memory.high 8191, "
                         "memory.current 0, of which 0 can be reclaimed)");
    free_host();
}

static void test_tightest_ancestor_counts(void)
{
    new_host();
    put("/proc/self/cgroup", "0::/a/vm\n");
    put_cgroup("/a/vm", "8387", "0", "");
    put_cgroup("/a", "8192", "4096", "");
    put_cgroup("", "8386", "0", "");
    assert_memory_cgroup(4096, "cgroup /a leaves 4096 (memory.max 8192, "
                         "memory.current 4096, of which 0 can be reclaimed)");
    put_cgroup("/a", "max", "4096", "");
    assert_memory_cgroup(8386, "cgroup / leaves 8386 (memory.max 8386, "
                         "memory.current 0, of which 0 can be reclaimed)");
    free_host();
}

static void test_cgroup_that_leaves_enough_is_no_limit(void)
{
    PrefaultLimit limit;

    new_host();
    put("/proc/self/cgroup", "0::/vm\n");
    put_cgroup("/vm", "8192", "4096", "inactive_file 4096\n");
    prefault_limit_memory_cgroup(root, 4096, true, &limit);
    assert_limit(limit, 0, NULL);
    prefault_limit_memory_cgroup(root, 4097, true, &limit);
    assert_limit(limit, 8192, "cgroup /vm leaves 8192 (memory.max 8192, "
                 "memory.current 4096, of which 4096 can be reclaimed)");
    free_host();
}

static void test_cgroup_v1(void)
{
    new_host();
    /* A hybrid: v2 is there, without controllers */
    put("/proc/self/mountinfo", V1 "32 31 0:27 / /sys/fs/cgroup/unified rw - "
        "cgroup2 cgroup2 rw\n");
    put("/proc/self/cgroup", "9:cpu,memory:/vm\n0::/vm\n");
    put("/sys/fs/cgroup/memory/vm/memory.limit_in_bytes", "8192\n");
    put("/sys/fs/cgroup/memory/vm/memory.usage_in_bytes", "6144\n");
    put("/sys/fs/cgroup/memory/vm/memory.stat", "total_inactive_file 2048\n");
    assert_memory_cgroup(4096, "cgroup /vm leaves 4096 (memory.limit_in_bytes "
                         "8192, memory.usage_in_bytes 6144, of which 2048 can "
                         "be reclaimed)");
    free_host();
}

/* A container sees its own part of the hierarchy at the mount point */
static void test_part_of_a_hierarchy(void)
{
    static const char leaves[] =
        "cgroup /vm leaves 4096 (memory.max 4096, memory.current 0, of which 0 "
        "can be reclaimed)";

    new_host();
    put("/proc/self/cgroup", "0::/pod/box/vm\n");
    put_cgroup("/vm", "4096", "0", "");
    put("/proc/self/mountinfo",
        "31 24 0:26 /pod/box /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    assert_memory_cgroup(4096, leaves);
    /* Other parts are mounted elsewhere: they are not ours */
    put("/proc/self/mountinfo",
        "30 24 0:26 /pod/b /mnt/b rw - cgroup2 cgroup2 rw\n"
        "31 24 0:26 /pod/box /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    assert_memory_cgroup(4096, leaves);
    put("/proc/self/mountinfo",
        "31 24 0:26 /pod/b /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        "32 24 0:26 /other /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    assert_memory_cgroup(0, NULL);
    /* Outside of its namespace: nothing can be known */
    put("/proc/self/cgroup", "0::/../../vm\n");
    assert_memory_cgroup(0, NULL);
    free_host();
}

static void test_hugetlb_cgroup(void)
{
    static const struct {
        const char *cgroup, *dir, *max, *current;
        size_t page_size;
    } cases[] = {
        { "0::/vm\n", "/sys/fs/cgroup/vm/", "hugetlb.2MB.max",
          "hugetlb.2MB.current", 2 * MiB },
        { "0::/vm\n", "/sys/fs/cgroup/vm/", "hugetlb.1GB.max",
          "hugetlb.1GB.current", GiB },
        { "0::/vm\n", "/sys/fs/cgroup/vm/", "hugetlb.64KB.max",
          "hugetlb.64KB.current", 64 * KiB },
        { "8:hugetlb:/vm\n", "/sys/fs/cgroup/hugetlb/vm/",
          "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.usage_in_bytes", 2 * MiB },
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *max = g_strconcat(cases[i].dir, cases[i].max, NULL);
        g_autofree char *current =
            g_strconcat(cases[i].dir, cases[i].current, NULL);
        g_autofree char *of = g_strdup_printf(
            "cgroup /vm leaves 6291456 (%s 8388608, %s 2097152)", cases[i].max,
            cases[i].current);
        PrefaultLimit limit;

        new_host();
        put("/proc/self/cgroup", cases[i].cgroup);
        put("/proc/self/mountinfo", V2 "41 31 0:34 / /sys/fs/cgroup/hugetlb rw "
            "- cgroup cgroup rw,hugetlb\n");
        put("/proc/meminfo", "SwapFree: 8 kB\n");
        put(max, "8388608");
        put(current, "2097152");
        prefault_limit_hugetlb_cgroup(root, cases[i].page_size, &limit);
        assert_limit(limit, 6 * MiB, of);
        prefault_limit_hugetlb_cgroup(root, 16 * MiB, &limit);
        assert_limit(limit, 0, NULL);
        free_host();
    }
}

/* Swap */

/* Of our cgroup and the one above it, as they say themselves */
typedef struct SwapCase {
    const char *max, *current, *parent_max, *parent_current;
    uint64_t granted;           /* of 8192 that are free */
} SwapCase;

static const SwapCase swap_cases[] = {
    { NULL, NULL, NULL, NULL, 8192 },
    { "max\n", "0\n", "max\n", "0\n", 8192 },
    { "9000\n", "0\n", "max\n", "0\n", 8192 },
    { "5000\n", "1000\n", "max\n", "1000\n", 4000 },
    { "max\n", "1000\n", "3000\n", "1000\n", 2000 },
    { "3000\n", "0\n", "4000\n", "3000\n", 1000 },
    { "0\n", "0\n", "max\n", "0\n", 0 },
    { "max\n", "0\n", "1000\n", "2000\n", 0 },
};

static void put_swap(const SwapCase *c)
{
    put("/proc/self/cgroup", "0::/a/vm\n");
    put_cgroup("/a/vm", "4096\n", "0\n", "");
    put("/proc/meminfo", "MemAvailable: 1 kB\nSwapFree: 8 kB\n");
    if (c->max) {
        put_cgroup_file("/a/vm", "memory.swap.max", c->max);
        put_cgroup_file("/a/vm", "memory.swap.current", c->current);
        put_cgroup_file("/a", "memory.swap.max", c->parent_max);
        put_cgroup_file("/a", "memory.swap.current", c->parent_current);
    }
}

static void test_swap_is_what_cgroups_grant(void)
{
    for (int i = 0; i < ARRAY_SIZE(swap_cases); i++) {
        uint64_t granted = swap_cases[i].granted;
        g_autofree char *and = g_strdup_printf(" and %" PRIu64 " of swap",
                                               granted);
        g_autofree char *cgroup = g_strdup_printf(
            "cgroup /a/vm leaves 4096 (memory.max 4096, memory.current 0, of "
            "which 0 can be reclaimed)%s", granted ? and : "");
        g_autofree char *host = g_strdup_printf(
            "the host has %" PRIu64 " (MemAvailable 1024, SwapFree %" PRIu64
            ")", 1024 + granted, granted);

        new_host();
        put_swap(&swap_cases[i]);
        assert_memory_cgroup(4096 + granted, cgroup);
        assert_host(1024 + granted, host);
        free_host();
    }
}

static void test_what_is_in_swap(void)
{
    new_host();
    g_assert_cmpuint(prefault_limits_swapped(root), ==, 0);
    put("/proc/self/status", "VmRSS:\t 9 kB\nVmSwap:\t      12 kB\n");
    g_assert_cmpuint(prefault_limits_swapped(root), ==, 12 * KiB);
    free_host();
}

/* The host, and its nodes */

static void test_host(void)
{
    new_host();
    assert_host(0, NULL);
    put("/proc/meminfo", "MemFree: 9 kB\nMemAvailable: 8191 kB\n"
        "SwapTotal: 3 kB\nSwapFree: 1 kB\n");
    assert_host(8 * MiB, "the host has 8388608 (MemAvailable 8387584, SwapFree "
                "1024)");
    free_host();
}

/* The cache of ZFS shrinks, but not below its minimum */
static void test_zfs_gives_back(void)
{
#define ARCSTATS "9 1 0x01 147 39984 6312315184 2284632482812\n" \
                 "name                            type data\n" \
                 "hits                            4    77\n" \
                 "compressed_size                 4    55\n"
    new_host();
    put_available(8 * KiB);
    put("/proc/spl/kstat/zfs/arcstats", ARCSTATS
        "c_min                           4    4096\n"
        "c_max                           4    99999\n"
        "size                            4    10240\n"
        "hdr_size                        4    33\n");
    assert_host(14 * KiB, "the host has 14336 (MemAvailable 8192, SwapFree 0, "
                "ZFS's ARC gives back 6144)");
    put("/proc/spl/kstat/zfs/arcstats", ARCSTATS
        "c_min                           4    4096\n"
        "size                            4    4095\n");
    assert_host(8 * KiB, "the host has 8192 (MemAvailable 8192, SwapFree 0)");
    free_host();
}

static void test_nodes(void)
{
    new_host();
    put("/sys/devices/system/node/node0/meminfo",
        "Node 0 MemTotal: 99 kB\nNode 0 MemFree: 50 kB\n");
    assert_nodes(node_1, 0, NULL);
    assert_nodes(nodes_0_1, 0, NULL);
    put("/sys/devices/system/node/node1/meminfo",
        "Node 1 MemTotal: 99 kB\nNode 1 MemFree: 1 kB\n"
        "Node 1 Active(anon): 64 kB\n"
        "Node 1 Active(file): 2 kB\nNode 1 Inactive(file): 4 kB\n"
        "Node 1 SReclaimable: 8 kB\n");
    assert_nodes(node_1, 15 * KiB, "host node 1 has 15360 free or easy to "
                 "reclaim");
    assert_nodes(nodes_0_1, 65 * KiB, "host node 0 and 1 has 66560 free or "
                 "easy to reclaim");
    free_host();
}

/* Each node's share of what the kernel keeps, and swap */
static void test_nodes_keep_some(void)
{
    new_host();
    put("/proc/meminfo", "MemTotal: 400 kB\nSwapFree: 3 kB\n");
    put("/proc/sys/vm/min_free_kbytes", "40\n");
    put("/sys/devices/system/node/node0/meminfo",
        "Node 0 MemTotal: 300 kB\nNode 0 MemFree: 50 kB\n");
    put("/sys/devices/system/node/node1/meminfo",
        "Node 1 MemTotal: 100 kB\nNode 1 MemFree: 18 kB\n");
    assert_nodes(node_1, 11 * KiB, "host node 1 has 11264 free or easy to "
                 "reclaim");
    assert_nodes(nodes_0_1, 31 * KiB, "host node 0 and 1 has 31744 free or "
                 "easy to reclaim");
    /* More than there is, and than an integer can say */
    put("/proc/sys/vm/min_free_kbytes", "18014398509481984\n");
    assert_nodes(node_1, 3 * KiB, "host node 1 has 3072 free or easy to "
                 "reclaim");
    put("/proc/sys/vm/min_free_kbytes", "40\n");
    /* All of it is kept */
    put("/sys/devices/system/node/node1/meminfo",
        "Node 1 MemTotal: 100 kB\nNode 1 MemFree: 9 kB\n");
    assert_nodes(node_1, 3 * KiB, "host node 1 has 3072 free or easy to "
                 "reclaim");
    free_host();
}

/* Hugetlb pools */

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define NODES "/sys/devices/system/node/node"

static void test_hugetlb(void)
{
    static const struct {
        const char *nr_free, *reserved, *overcommit, *surplus;
        uint64_t pages;
    } cases[] = {
        { "4\n", "0\n", "0\n", "0\n", 4 },
        { "4\n", "1\n", "0\n", "0\n", 3 },
        { "4\n", "5\n", "0\n", "0\n", 0 },
        { "4\n", "1\n", "3\n", "2\n", 4 },
        { "4\n", "1\n", "3\n", "4\n", 3 },
        /* What is not understood is none */
        { "4\n", "0\n", "12 cows\n", "0\n", 4 },
        { "4\n", "0\n", "-1\n", "0\n", 4 },
    };
    PrefaultLimit limit;

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *nr_free = g_strndup(cases[i].nr_free, 1);
        g_autofree char *reserved = g_strndup(cases[i].reserved, 1);
        g_autofree char *of = g_strdup_printf(
            "the host has %" PRIu64 " free in pages of 2048 KiB "
            "(free_hugepages %s, resv_hugepages %s)",
            cases[i].pages * 2 * MiB, nr_free, reserved);

        new_host();
        prefault_limit_hugetlb(root, 2 * MiB, &limit);
        assert_limit(limit, 0, NULL);
        put(POOL "free_hugepages", cases[i].nr_free);
        put(POOL "resv_hugepages", cases[i].reserved);
        put(POOL "nr_overcommit_hugepages", cases[i].overcommit);
        put(POOL "surplus_hugepages", cases[i].surplus);
        prefault_limit_hugetlb(root, 2 * MiB, &limit);
        assert_limit(limit, cases[i].pages * 2 * MiB, of);
        free_host();
    }
}

static void test_hugetlb_nodes(void)
{
    PrefaultLimit limit;

    new_host();
    put(NODES "1/hugepages/hugepages-2048kB/free_hugepages", "3");
    prefault_limit_hugetlb_nodes(root, 2 * MiB, nodes_0_1, &limit);
    assert_limit(limit, 0, NULL);
    put(NODES "0/hugepages/hugepages-2048kB/free_hugepages", "1");
    prefault_limit_hugetlb_nodes(root, 2 * MiB, node_1, &limit);
    assert_limit(limit, 6 * MiB, "host node 1 has 6291456 free in pages of "
                 "2048 KiB");
    prefault_limit_hugetlb_nodes(root, 2 * MiB, nodes_0_1, &limit);
    assert_limit(limit, 8 * MiB, "host node 0 and 1 has 8388608 free in pages "
                 "of 2048 KiB");
    free_host();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func("/prefault/limits/" name, test)
    ADD("cgroup/max", test_cgroup);
    ADD("cgroup/high", test_cgroup_high);
    ADD("cgroup/max-and-high", test_lower_of_max_and_high_counts);
    ADD("cgroup/ancestor", test_tightest_ancestor_counts);
    ADD("cgroup/enough", test_cgroup_that_leaves_enough_is_no_limit);
    ADD("cgroup/v1", test_cgroup_v1);
    ADD("cgroup/part", test_part_of_a_hierarchy);
    ADD("cgroup/hugetlb", test_hugetlb_cgroup);
    ADD("swap/granted", test_swap_is_what_cgroups_grant);
    ADD("swap/used", test_what_is_in_swap);
    ADD("host/memory", test_host);
    ADD("host/zfs", test_zfs_gives_back);
    ADD("nodes/free", test_nodes);
    ADD("nodes/kept", test_nodes_keep_some);
    ADD("hugetlb/pool", test_hugetlb);
    ADD("hugetlb/nodes", test_hugetlb_nodes);
    return g_test_run();
}
