/*
 * Tests of what populating memory takes, and whether the host has it
 *
 * The memory is real; the host's figures are files of a directory that stands
 * for /proc and /sys.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <glib/gstdio.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include "qapi/error.h"
#include "qemu/memfd.h"
#include "qemu/units.h"
#include "../../hw/core/prefault/host-check.h"

#define SIZE (8 * MiB)
#define HUGE_PAGE (2 * MiB)

static char *root;

static const unsigned long node_1[] = { 2 }, nodes_0_1[] = { 3 };

/* A file below the root; also the folders that it is in */
static void put(const char *name, const char *text)
{
    g_autofree char *path = g_strconcat(root, name, NULL);
    g_autofree char *dir = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void remove_tree(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    g_clear_pointer(&dir, g_dir_close);
    g_remove(path);
}

static void new_host(void)
{
    root = g_dir_make_tmp("prefault-needs-XXXXXX", NULL);
    g_assert_nonnull(root);
}

static void free_host(void)
{
    remove_tree(root);
    g_clear_pointer(&root, g_free);
}

#define V2 "31 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
#define V1 "40 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"

/* A cgroup v2 with its limit and use */
static void put_cgroup(const char *path, const char *max, const char *current,
                       const char *stat)
{
    static const char *const names[] = {
        "memory.max", "memory.current", "memory.stat"
    };
    const char *const texts[] = { max, current, stat };

    put("/proc/self/mountinfo", V2);
    for (int i = 0; i < ARRAY_SIZE(names); i++) {
        g_autofree char *name = g_strdup_printf("/sys/fs/cgroup%s/%s", path,
                                                names[i]);

        put(name, texts[i]);
    }
}

static PrefaultBacking map_memory(int fd, int flags)
{
    void *host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);

    g_assert_true(host != MAP_FAILED);
    /* A huge page would be present as a whole */
    madvise(host, SIZE, MADV_NOHUGEPAGE);
    return (PrefaultBacking) {
        .name = "ram",
        .host = host,
        .size = SIZE,
        .page_size = qemu_real_host_page_size(),
        .fd = fd,
        .shared = flags & MAP_SHARED,
    };
}

static PrefaultBacking map_anonymous(void)
{
    return map_memory(-1, MAP_PRIVATE | MAP_ANONYMOUS);
}

static void unmap_memory(PrefaultBacking *b)
{
    munmap(b->host, SIZE);
    if (b->fd >= 0) {
        close(b->fd);
    }
}

/* Check one backing; @refusal is what is said, NULL if it is enough */
static void assert_check(const PrefaultBacking *b, const char *refusal)
{
    Error *err = NULL;

    if (!prefault_host_check(b, 1, root ?: "", &err)) {
        g_assert_cmpstr(error_get_pretty(err), ==, refusal);
        error_free(err);
    } else {
        g_assert_null(refusal);
    }
}

/* The need, seen through a host that has nothing */
static void assert_needs(const PrefaultBacking *b, uint64_t bytes)
{
    g_autofree char *said = g_strdup_printf(
        "guest memory takes %" PRIu64 " bytes more, the host has 1024 "
        "(MemAvailable 1024, SwapFree 0)", bytes);

    new_host();
    put("/proc/meminfo", "MemTotal: 5 kB\nMemAvailable:  1 kB\n");
    assert_check(b, bytes ? said : NULL);
    free_host();
}

/* What is present needs nothing */

static void test_anonymous(void)
{
    PrefaultBacking b = map_anonymous();

    assert_needs(&b, SIZE);
    memset(b.host, 1, SIZE / 4);
    assert_needs(&b, SIZE / 4 * 3);
    memset(b.host, 1, SIZE);
    assert_needs(&b, 0);
    unmap_memory(&b);
}

static void test_memfd(void)
{
    int fd = qemu_memfd_create("prefault-test", SIZE, false, 0, 0,
                               &error_abort);
    PrefaultBacking b = map_memory(fd, MAP_SHARED);

    assert_needs(&b, SIZE);
    memset(b.host, 1, SIZE / 2);
    assert_needs(&b, SIZE / 2);
    unmap_memory(&b);
}

/* Page cache of the file does not count, copies of it do */
static void test_private_file(void)
{
    int fd = qemu_memfd_create("prefault-test", SIZE, false, 0, 0,
                               &error_abort);
    PrefaultBacking b = map_memory(fd, MAP_PRIVATE);
    g_autofree char *data = g_malloc0(SIZE);

    g_assert_cmpint(pwrite(fd, data, SIZE, 0), ==, SIZE);
    assert_needs(&b, SIZE);
    g_assert_cmpint(memcmp(b.host, data, SIZE), ==, 0);
    assert_needs(&b, SIZE);
    memset(b.host, 1, SIZE / 2);
    assert_needs(&b, SIZE / 2);
    unmap_memory(&b);
}

/* The memory cgroup; SIZE is 8388608 */

typedef struct CgroupCase {
    const char *max, *current, *stat;
    const char *leaves;         /* NULL: enough */
} CgroupCase;

static void test_cgroup(void)
{
    static const CgroupCase cases[] = {
        { "max\n", "99999999\n", "" },
        { "9223372036854771712\n", "4096\n", "" },
        { "8388608\n", "0\n", "" },
        { "8392704\n", "4096\n", "" },
        { "8392703\n", "4096\n", "", "8388607 (memory.max 8392703, "
          "memory.current 4096, of which 0 can be reclaimed)" },
        { "4096\n", "8192\n", "", "0 (memory.max 4096, "
          "memory.current 8192, of which 0 can be reclaimed)" },
        /* Page cache gives way */
        { "8392704\n", "16384\n", "anon 4096\ninactive_file 4096\n"
          "active_file 4096\nslab_reclaimable 4096\n" },
        { "8392704\n", "12288\n", "inactive_file 4096\n", "8384512 "
          "(memory.max 8392704, memory.current 12288, of which 4096 can be "
          "reclaimed)" },
        /* What is not understood is no limit */
        { "", "0\n", "" },
        { "12 cows\n", "0\n", "" },
        { "4096\n", "many\n", "" },
        { "-1\n", "many\n", "" },
    };
    PrefaultBacking b = map_anonymous();

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        const CgroupCase *c = &cases[i];
        g_autofree char *said = g_strdup_printf(
            "guest memory takes 8388608 bytes more, cgroup /a/vm leaves %s",
            c->leaves);

        new_host();
        put("/proc/self/cgroup", "0::/a/vm\n");
        put_cgroup("/a/vm", c->max, c->current, c->stat);
        assert_check(&b, c->leaves ? said : NULL);
        free_host();
    }
    unmap_memory(&b);
}

static void test_tightest_ancestor_counts(void)
{
    PrefaultBacking b = map_anonymous();

    new_host();
    put("/proc/self/cgroup", "0::/a/vm\n");
    put_cgroup("/a/vm", "8388607", "0", "");
    put_cgroup("/a", "8192", "4096", "");
    put_cgroup("", "8388606", "0", "");
    assert_check(&b, "guest memory takes 8388608 bytes more, cgroup /a leaves "
                 "4096 (memory.max 8192, memory.current 4096, of which 0 can "
                 "be reclaimed)");
    put_cgroup("/a", "max", "4096", "");
    assert_check(&b, "guest memory takes 8388608 bytes more, cgroup / leaves "
                 "8388606 (memory.max 8388606, memory.current 0, of which 0 "
                 "can be reclaimed)");
    free_host();
    unmap_memory(&b);
}

static void test_cgroup_v1(void)
{
    PrefaultBacking b = map_anonymous();

    new_host();
    /* A hybrid: v2 is there, without controllers */
    put("/proc/self/mountinfo", V1 "32 31 0:27 / /sys/fs/cgroup/unified rw - "
        "cgroup2 cgroup2 rw\n");
    put("/proc/self/cgroup", "9:cpu,memory:/vm\n0::/vm\n");
    put("/sys/fs/cgroup/memory/vm/memory.limit_in_bytes", "8192\n");
    put("/sys/fs/cgroup/memory/vm/memory.usage_in_bytes", "6144\n");
    put("/sys/fs/cgroup/memory/vm/memory.stat", "total_inactive_file 2048\n");
    assert_check(&b, "guest memory takes 8388608 bytes more, cgroup /vm leaves "
                 "4096 (memory.limit_in_bytes 8192, memory.usage_in_bytes "
                 "6144, of which 2048 can be reclaimed)");
    free_host();
    unmap_memory(&b);
}

/* A container sees its own part of the hierarchy at the mount point */
static void test_part_of_a_hierarchy(void)
{
    static const char refusal[] =
        "guest memory takes 8388608 bytes more, cgroup /vm leaves 4096 "
        "(memory.max 4096, memory.current 0, of which 0 can be reclaimed)";
    PrefaultBacking b = map_anonymous();

    new_host();
    put("/proc/self/cgroup", "0::/pod/box/vm\n");
    put_cgroup("/vm", "4096", "0", "");
    put("/proc/self/mountinfo",
        "31 24 0:26 /pod/box /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    assert_check(&b, refusal);
    /* Other parts are mounted elsewhere: they are not ours */
    put("/proc/self/mountinfo",
        "30 24 0:26 /pod/b /mnt/b rw - cgroup2 cgroup2 rw\n"
        "31 24 0:26 /pod/box /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    assert_check(&b, refusal);
    put("/proc/self/mountinfo",
        "31 24 0:26 /pod/b /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        "32 24 0:26 /other /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    assert_check(&b, NULL);
    /* Outside of its namespace: nothing can be known */
    put("/proc/self/cgroup", "0::/../../vm\n");
    assert_check(&b, NULL);
    free_host();
    unmap_memory(&b);
}

/* The host, and its nodes */

static void test_host(void)
{
    PrefaultBacking b = map_anonymous();

    new_host();
    assert_check(&b, NULL);
    put("/proc/meminfo", "MemAvailable: 8191 kB\nSwapFree: 1 kB\n");
    assert_check(&b, NULL);
    put("/proc/meminfo", "MemAvailable: 8190 kB\nSwapFree: 1 kB\n");
    assert_check(&b, "guest memory takes 8388608 bytes more, the host has "
                 "8387584 (MemAvailable 8386560, SwapFree 1024)");
    free_host();
    unmap_memory(&b);
}

static void test_nodes(void)
{
    PrefaultBacking b = map_anonymous();

    b.max_node = 64;
    b.nodes = node_1;
    new_host();
    put("/sys/devices/system/node/node0/meminfo",
        "Node 0 MemTotal: 99 kB\nNode 0 MemFree: 8192 kB\n");
    assert_check(&b, NULL);
    put("/sys/devices/system/node/node1/meminfo",
        "Node 1 MemTotal: 99 kB\nNode 1 MemFree: 1 kB\n"
        "Node 1 Active(file): 2 kB\nNode 1 Inactive(file): 4 kB\n"
        "Node 1 SReclaimable: 8 kB\n");
    assert_check(&b, "guest memory takes 8388608 bytes more, host node 1 has "
                 "15360 free or easy to reclaim");
    b.nodes = nodes_0_1;
    assert_check(&b, NULL);
    b.nodes = NULL;
    assert_check(&b, NULL);
    free_host();
    unmap_memory(&b);
}

/* Hugetlb: 4 pages of 2 MiB.  The memory is ordinary, the arithmetic is not */

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/"

static void put_pool(const char *nr_free, const char *reserved,
                     const char *overcommit, const char *surplus)
{
    put(POOL "free_hugepages", nr_free);
    put(POOL "resv_hugepages", reserved);
    put(POOL "nr_overcommit_hugepages", overcommit);
    put(POOL "surplus_hugepages", surplus);
}

static void test_hugetlb(void)
{
    PrefaultBacking b = map_anonymous();

    b.page_size = HUGE_PAGE;
    new_host();
    put("/proc/meminfo", "MemAvailable: 1 kB\n");
    assert_check(&b, NULL);
    put_pool("4", "0", "0", "0");
    assert_check(&b, NULL);
    put_pool("4", "1", "0", "0");
    assert_check(&b, "guest memory takes 8388608 bytes more, the host has "
                 "6291456 free in pages of 2048 KiB (free_hugepages 4, "
                 "resv_hugepages 1)");
    put_pool("4", "1", "3", "2");
    assert_check(&b, NULL);
    /* Its own reservation is among those that make the pool look empty */
    put_pool("4", "4", "0", "0");
    b.reserved = true;
    assert_check(&b, NULL);
    free_host();
    unmap_memory(&b);
}

static void test_hugetlb_nodes(void)
{
    PrefaultBacking b = map_anonymous();

    b.page_size = HUGE_PAGE;
    b.reserved = true;
    b.nodes = node_1;
    b.max_node = 64;
    new_host();
    put("/sys/devices/system/node/node0/hugepages/hugepages-2048kB/"
        "free_hugepages", "1");
    put("/sys/devices/system/node/node1/hugepages/hugepages-2048kB/"
        "free_hugepages", "3");
    assert_check(&b, "guest memory takes 8388608 bytes more, host node 1 has "
                 "6291456 free in pages of 2048 KiB");
    b.nodes = nodes_0_1;
    assert_check(&b, NULL);
    free_host();
    unmap_memory(&b);
}

static void test_hugetlb_cgroup(void)
{
    PrefaultBacking b = map_anonymous();

    b.page_size = HUGE_PAGE;
    b.reserved = true;
    new_host();
    put("/proc/self/cgroup", "0::/vm\n");
    put("/proc/self/mountinfo", V2);
    put("/sys/fs/cgroup/vm/hugetlb.2MB.max", "8388608");
    put("/sys/fs/cgroup/vm/hugetlb.2MB.current", "2097152");
    assert_check(&b, "guest memory takes 8388608 bytes more, cgroup /vm leaves "
                 "6291456 (hugetlb.2MB.max 8388608, hugetlb.2MB.current "
                 "2097152)");
    put("/sys/fs/cgroup/vm/hugetlb.2MB.current", "0");
    assert_check(&b, NULL);
    free_host();
    unmap_memory(&b);
}

/* Several backings share what they are taken from */
static void test_needs_add_up(void)
{
    PrefaultBacking b[] = {
        map_anonymous(), map_anonymous(), map_anonymous(),
    };
    Error *err = NULL;

    b[1].nodes = node_1;
    b[1].max_node = 64;
    b[2].page_size = HUGE_PAGE;
    new_host();
    put("/proc/meminfo", "MemAvailable: 16383 kB\n");
    g_assert_false(prefault_host_check(b, 3, root, &err));
    g_assert_true(g_str_has_prefix(error_get_pretty(err), "guest memory takes "
                                   "16777216 bytes more, the host has "));
    error_free(err);
    put("/proc/meminfo", "MemAvailable: 16384 kB\n");
    g_assert_true(prefault_host_check(b, 3, root, &error_abort));
    free_host();
    for (int i = 0; i < ARRAY_SIZE(b); i++) {
        unmap_memory(&b[i]);
    }
}

static void test_this_host_has_room_for_little(void)
{
    PrefaultBacking b = map_anonymous();

    assert_check(&b, NULL);
    g_assert_true(prefault_host_check(NULL, 0, "", &error_abort));
    unmap_memory(&b);
}

/* More than any file system here has free, in a sparse file */
static void test_sparse_file(void)
{
    g_autofree char *name = NULL;
    int fd = g_file_open_tmp("prefault-needs-XXXXXX", &name, NULL);
    PrefaultBacking b;
    struct statvfs fs;
    Error *err = NULL;

    unlink(name);
    g_assert_cmpint(ftruncate(fd, SIZE), ==, 0);
    b = map_memory(fd, MAP_SHARED);
    new_host();
    assert_check(&b, NULL);
    b.size = EiB;
    if (fstatvfs(fd, &fs) || !fs.f_blocks) {
        g_test_skip("the file system of temporary files does not say");
    } else {
        g_assert_false(prefault_host_check(&b, 1, root, &err));
        g_assert_true(g_str_has_prefix(
            error_get_pretty(err),
            "the file of memory 'ram' takes 1152921504606846976 bytes more, "
            "its file system has "));
        error_free(err);
    }
    free_host();
    unmap_memory(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func("/prefault/needs/" name, test)
    ADD("present/anonymous", test_anonymous);
    ADD("present/memfd", test_memfd);
    ADD("present/private-file", test_private_file);
    ADD("cgroup/v2", test_cgroup);
    ADD("cgroup/ancestor", test_tightest_ancestor_counts);
    ADD("cgroup/v1", test_cgroup_v1);
    ADD("cgroup/part", test_part_of_a_hierarchy);
    ADD("cgroup/hugetlb", test_hugetlb_cgroup);
    ADD("host/memory", test_host);
    ADD("host/nodes", test_nodes);
    ADD("hugetlb/pool", test_hugetlb);
    ADD("hugetlb/nodes", test_hugetlb_nodes);
    ADD("sum", test_needs_add_up);
    ADD("file/sparse", test_sparse_file);
    ADD("real", test_this_host_has_room_for_little);
    return g_test_run();
}
