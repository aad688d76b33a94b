/*
 * Tests of what populating memory takes, and whether the host has it
 *
 * The memory is real, the host is made up: see prefault-real-memory.h and
 * prefault-fake-host.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include "qemu/bitops.h"
#include "prefault-fake-host.h"
#include "prefault-real-memory.h"

/* Ask a new room for all; @refusal is what is said, NULL if it is enough */
static void assert_room(const PrefaultBacking *b, size_t nr,
                        const char *refusal)
{
    g_autoptr(PrefaultRoom) room = prefault_room_new(b, nr, true, root ?: "");
    Error *err = NULL;

    g_assert_cmpint(prefault_room_suffices(room, &err), ==, !refusal);
    g_assert_cmpstr(err ? error_get_pretty(err) : NULL, ==, refusal);
    error_free(err);
}

static void assert_room_for_all(const PrefaultBacking *b)
{
    assert_room(b, 1, NULL);
}

/* Of @bytes, those of the page tables and of the reserve among them */
static void assert_no_room(const PrefaultBacking *b, uint64_t bytes,
                           const char *limit)
{
    g_autofree char *refusal = refusal_new(bytes, limit);

    assert_room(b, 1, refusal);
}

/* What is absent, seen through a host that has nothing */
static void assert_takes(const PrefaultBacking *b, uint64_t bytes)
{
    static const char full[] =
        "cgroup /vm leaves 0 (memory.max 0, memory.current 0, of which 0 can "
        "be reclaimed)";

    new_host();
    put_full_cgroup();
    if (bytes) {
        assert_no_room(b, with_tables(bytes), full);
    } else {
        assert_room_for_all(b);
    }
    free_host();
}

static void assert_takes_if_nothing_is_present(const PrefaultBacking *b,
                                               uint64_t bytes)
{
    g_assert_cmpuint(prefault_backing_cost(b, b->host, b->size, false), ==,
                     bytes);
}

/* What is present takes nothing */

static void test_anonymous(void)
{
    PrefaultBacking b = map_anonymous();

    assert_takes(&b, SIZE);
    memset(b.host, 1, SIZE / 4);
    assert_takes(&b, SIZE / 4 * 3);
    assert_takes_if_nothing_is_present(&b, SIZE);
    memset(b.host, 1, SIZE);
    assert_takes(&b, 0);
    unmap_memory(&b);
}

/* A read leaves the zero page, which the first write replaces */
static void test_zero_page_takes_all(void)
{
    PrefaultBacking b = map_anonymous();
    g_autofree char *zeros = g_malloc0(SIZE);
    uint64_t before = prefault_limits_resident("");

    g_assert_cmpint(memcmp(b.host, zeros, SIZE), ==, 0);
    if ((prefault_limits_resident("") - before) *
        qemu_real_host_page_size() > SIZE / 2) {
        g_test_skip("this kernel gives memory to who reads");
    } else {
        assert_takes(&b, SIZE);
        memset(b.host, 1, SIZE / 2);
        assert_takes(&b, SIZE / 2);
    }
    unmap_memory(&b);
}

/* A page that is not ours alone, as one that KSM has merged, is copied */
static void test_shared_page_takes_its_copy(void)
{
    PrefaultBacking b = map_anonymous();
    int status;
    pid_t child;

    memset(b.host, 1, SIZE);
    assert_takes(&b, 0);
    child = fork();
    if (!child) {
        /* If an assertion fails nobody else would end it */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pause();
        _exit(0);
    }
    g_assert_cmpint(child, >, 0);
    assert_takes(&b, SIZE);
    memset(b.host, 1, SIZE / 2);
    assert_takes(&b, SIZE / 2);
    kill(child, SIGKILL);
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    assert_takes(&b, 0);
    unmap_memory(&b);
}

/* The shared side says nothing of the private one, which cannot be asked */
static void test_private_side(void)
{
    PrefaultBacking b = map_anonymous();

    b.is_private = true;
    memset(b.host, 1, SIZE);
    assert_takes(&b, SIZE);
    b.private_taken = SIZE / 4;
    assert_takes(&b, SIZE / 4 * 3);
    g_assert_cmpuint(prefault_backing_cost(&b, b.host, SIZE / 2, true), ==,
                     SIZE / 4);
    g_assert_cmpuint(prefault_backing_cost(&b, b.host + SIZE / 4, SIZE / 4,
                                           true), ==, SIZE / 4);
    b.private_taken = SIZE;
    assert_takes(&b, 0);
    unmap_memory(&b);
}

static void test_memfd(void)
{
    PrefaultBacking b = map_memfd(MAP_SHARED);

    assert_takes(&b, SIZE);
    memset(b.host, 1, SIZE / 2);
    assert_takes(&b, SIZE / 2);
    assert_takes_if_nothing_is_present(&b, SIZE);
    memset(b.host, 1, SIZE);
    assert_takes(&b, 0);
    unmap_memory(&b);
}

/* A write to a hole takes a page of the file, and its copy */
static void test_private_memfd_takes_holes_twice(void)
{
    PrefaultBacking b = map_memfd(MAP_PRIVATE);
    g_autofree char *data = g_malloc0(SIZE);

    assert_takes_if_nothing_is_present(&b, 2 * SIZE);
    assert_takes(&b, 2 * SIZE);
    g_assert_cmpint(pwrite(b.fd, data, SIZE / 2, 0), ==, SIZE / 2);
    assert_takes(&b, SIZE + SIZE / 2);
    memset(b.host + SIZE / 2, 1, SIZE / 2);
    assert_takes(&b, SIZE / 2);
    memset(b.host, 1, SIZE / 4);
    assert_takes(&b, SIZE / 4);
    unmap_memory(&b);
}

/* What was read is still the file's; what was written is a copy */
static void test_private_memfd_takes_copies_once(void)
{
    PrefaultBacking b = map_memfd(MAP_PRIVATE);
    g_autofree char *data = g_malloc0(SIZE);

    g_assert_cmpint(pwrite(b.fd, data, SIZE, 0), ==, SIZE);
    assert_takes(&b, SIZE);
    g_assert_cmpint(memcmp(b.host, data, SIZE), ==, 0);
    assert_takes(&b, SIZE);
    memset(b.host, 1, SIZE / 2);
    assert_takes(&b, SIZE / 2);
    unmap_memory(&b);
}

/* Its copies are memory, its own pages are written back */
static void test_file_on_a_disk(void)
{
    PrefaultBacking shared = map_sparse_file(MAP_SHARED);
    PrefaultBacking private = map_sparse_file(MAP_PRIVATE);
    struct statfs fs;

    g_assert_cmpint(fstatfs(shared.fd, &fs), ==, 0);
    if (fs.f_type == TMPFS_MAGIC) {
        g_test_skip("temporary files are in memory");
    } else {
        assert_takes(&shared, 0);
        assert_takes(&private, SIZE);
        assert_takes_if_nothing_is_present(&private, SIZE);
        g_assert_true(prefault_backing_takes_space(&shared));
        g_assert_false(prefault_backing_takes_space(&private));
    }
    unmap_memory(&shared);
    unmap_memory(&private);
}

static void test_device(void)
{
    PrefaultBacking b = map_device();

    g_assert_false(prefault_backing_takes_memory(&b));
    g_assert_false(prefault_backing_takes_space(&b));
    assert_takes(&b, 0);
    unmap_memory(&b);
}

/* Each limit is compared with what it applies to */

static void test_cgroup(void)
{
    PrefaultBacking b = map_anonymous();
    uint64_t need = with_tables(SIZE);
    g_autofree char *enough = g_strdup_printf("%" PRIu64, need);
    g_autofree char *short_of = g_strdup_printf("%" PRIu64, need - 1);
    g_autofree char *limit = g_strdup_printf(
        "cgroup /vm leaves %" PRIu64 " (memory.max %" PRIu64 ", memory.current "
        "0, of which 0 can be reclaimed)", need - 1, need - 1);

    new_host();
    put("/proc/self/cgroup", "0::/vm\n");
    put_cgroup("/vm", enough, "0", "");
    assert_room_for_all(&b);
    put_cgroup("/vm", short_of, "0", "");
    assert_no_room(&b, need, limit);
    free_host();
    unmap_memory(&b);
}

static void test_host(void)
{
    PrefaultBacking b = map_anonymous();
    uint64_t need = with_tables(SIZE), less = need - KiB;
    g_autofree char *limit = g_strdup_printf(
        "the host has %" PRIu64 " (MemAvailable %" PRIu64 ", SwapFree 0)",
        less, less);

    new_host();
    assert_room_for_all(&b);
    put_available(need);
    assert_room_for_all(&b);
    put_available(less);
    assert_no_room(&b, need, limit);
    free_host();
    unmap_memory(&b);
}

/* Swap is room for what can go there, in a cgroup and on the host */
static void test_pinned(void)
{
    PrefaultBacking b[] = { map_anonymous(), map_anonymous() };
    uint64_t need = with_tables(SIZE), less = need - KiB;
    g_autofree char *text = g_strdup_printf(
        "MemAvailable: %" PRIu64 " kB\nSwapFree: 99999 kB\n", less / KiB);
    g_autofree char *limit = g_strdup_printf(
        "the host has %" PRIu64 " (MemAvailable %" PRIu64 ")", less, less);
    g_autofree char *refusal = refusal_new(need, limit);

    new_host();
    put("/proc/meminfo", text);
    assert_room(b, 2, NULL);
    b[1].is_pinned = true;
    assert_room(b, 2, refusal);
    assert_room(&b[1], 1, refusal);
    put("/proc/meminfo", "SwapFree: 99999 kB\n");
    put("/proc/self/cgroup", "0::/vm\n");
    put_cgroup("/vm", "4096", "0", "");
    assert_room(b, 1, NULL);
    assert_room(b, 2, "guest memory takes 10502144 bytes more, cgroup /vm "
                "leaves 4096 (memory.max 4096, memory.current 0, of which 0 "
                "can be reclaimed)");
    free_host();
    unmap_memory(&b[0]);
    unmap_memory(&b[1]);
}

/* What is bound to node 1 only takes room of what may come from 0 or 1 */
static void test_nodes_overlap(void)
{
    PrefaultBacking b[] = { map_anonymous(), map_anonymous() };
    uint64_t need = with_tables(2 * SIZE);
    g_autofree char *node_1 = g_strdup_printf(
        "Node 1 MemTotal: 9 kB\nNode 1 MemFree: %" PRIu64 " kB\n",
        need / KiB - 1);
    g_autofree char *limit = g_strdup_printf(
        "host node 0 and 1 has %" PRIu64 " free or easy to reclaim",
        need - KiB);
    g_autofree char *refusal = refusal_new(need, limit);

    for (int i = 0; i < 2; i++) {
        b[i].is_bound = true;
        b[i].nodes[0] = BIT(1) | i;
    }
    new_host();
    put("/sys/devices/system/node/node0/meminfo",
        "Node 0 MemTotal: 9 kB\nNode 0 MemFree: 1 kB\n");
    put("/sys/devices/system/node/node1/meminfo", node_1);
    assert_room(b, 2, NULL);
    put("/sys/devices/system/node/node0/meminfo",
        "Node 0 MemTotal: 9 kB\nNode 0 MemFree: 0 kB\n");
    assert_room(b, 1, NULL);
    assert_room(&b[1], 1, NULL);
    assert_room(b, 2, refusal);
    free_host();
    unmap_memory(&b[0]);
    unmap_memory(&b[1]);
}

/* Node 1 has 15 KiB, node 0 more than is needed */
static void test_nodes(void)
{
    PrefaultBacking b = map_anonymous();

    b.nodes[0] = BIT(1);
    new_host();
    put("/sys/devices/system/node/node0/meminfo",
        "Node 0 MemTotal: 99 kB\nNode 0 MemFree: 16384 kB\n");
    put("/sys/devices/system/node/node1/meminfo",
        "Node 1 MemTotal: 99 kB\nNode 1 MemFree: 15 kB\n");
    assert_room_for_all(&b);
    b.is_bound = true;
    assert_no_room(&b, with_tables(SIZE), "host node 1 has 15360 free or easy "
                   "to reclaim");
    b.nodes[0] = BIT(0) | BIT(1);
    assert_room_for_all(&b);
    free_host();
    unmap_memory(&b);
}

/* Hugetlb: 4 pages of 2 MiB.  The memory is ordinary, the arithmetic is not */

#define POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/"
#define NODE_POOL(node) "/sys/devices/system/node/node" node \
                        "/hugepages/hugepages-2048kB/free_hugepages"

static PrefaultBacking map_huge(bool reserved)
{
    PrefaultBacking b = map_anonymous();

    b.page_size = HUGE_PAGE;
    b.reserved = reserved;
    return b;
}

static void test_hugetlb(void)
{
    PrefaultBacking b = map_huge(false);

    new_host();
    put_full_cgroup();
    put_available(KiB);
    assert_room_for_all(&b);
    put(POOL "free_hugepages", "4");
    assert_room_for_all(&b);
    put(POOL "resv_hugepages", "1");
    assert_no_room(&b, SIZE, "the host has 6291456 free in pages of 2048 KiB "
                   "(free_hugepages 4, resv_hugepages 1)");
    /* Its own reservation is among those that make the pool look empty */
    put(POOL "resv_hugepages", "4");
    b.reserved = true;
    assert_room_for_all(&b);
    free_host();
    unmap_memory(&b);
}

/* In any order */
static void test_hugetlb_page_of_two_backings_counts_once(void)
{
    PrefaultBacking b = map_huge(false);
    PrefaultBacking parts[] = { b, b, b };

    parts[0].host = (uint8_t *)b.host + HUGE_PAGE;
    parts[0].size = SIZE - HUGE_PAGE;
    parts[1].size = 2 * HUGE_PAGE;
    parts[2].size = HUGE_PAGE;
    new_host();
    put(POOL "free_hugepages", "4");
    assert_room(parts, ARRAY_SIZE(parts), NULL);
    free_host();
    unmap_memory(&b);
}

static void test_hugetlb_nodes(void)
{
    PrefaultBacking b = map_huge(true);

    b.is_bound = true;
    b.nodes[0] = BIT(1);
    new_host();
    put(NODE_POOL("0"), "1");
    put(NODE_POOL("1"), "3");
    assert_no_room(&b, SIZE, "host node 1 has 6291456 free in pages of 2048 "
                   "KiB");
    b.nodes[0] = BIT(0) | BIT(1);
    assert_room_for_all(&b);
    free_host();
    unmap_memory(&b);
}

static void test_hugetlb_cgroup(void)
{
    PrefaultBacking b = map_huge(true);

    new_host();
    put("/proc/self/cgroup", "0::/vm\n");
    put("/proc/self/mountinfo", V2);
    put_cgroup_file("/vm", "hugetlb.2MB.max", "8388608");
    put_cgroup_file("/vm", "hugetlb.2MB.current", "2097152");
    assert_no_room(&b, SIZE, "cgroup /vm leaves 6291456 (hugetlb.2MB.max "
                   "8388608, hugetlb.2MB.current 2097152)");
    put_cgroup_file("/vm", "hugetlb.2MB.current", "0");
    assert_room_for_all(&b);
    free_host();
    unmap_memory(&b);
}

/* Several backings share what they are taken from, and one reserve */
static void test_sums(void)
{
    PrefaultBacking b[] = {
        map_anonymous(), map_anonymous(), map_huge(false), map_huge(true),
    };
    uint64_t need = with_tables(2 * SIZE), less = need - KiB;
    g_autofree char *limit = g_strdup_printf(
        "the host has %" PRIu64 " (MemAvailable %" PRIu64 ", SwapFree 0)",
        less, less);
    g_autofree char *refusal = refusal_new(need, limit);

    b[1].is_bound = true;
    b[1].nodes[0] = BIT(1);
    new_host();
    put_available(need);
    put(POOL "free_hugepages", "4");
    assert_room(b, ARRAY_SIZE(b), NULL);
    put_available(less);
    assert_room(b, ARRAY_SIZE(b), refusal);
    /* Each page of what is reserved counts for the cgroup only */
    put_available(need);
    put("/proc/self/cgroup", "0::/vm\n");
    put("/proc/self/mountinfo", V2);
    put_cgroup_file("/vm", "hugetlb.2MB.max", "16777215");
    put_cgroup_file("/vm", "hugetlb.2MB.current", "0");
    assert_room(b, ARRAY_SIZE(b), "guest memory takes 16777216 bytes more, "
                "cgroup /vm leaves 16777215 (hugetlb.2MB.max 16777215, "
                "hugetlb.2MB.current 0)");
    free_host();
    for (int i = 0; i < ARRAY_SIZE(b); i++) {
        unmap_memory(&b[i]);
    }
}

static void test_this_host_has_room_for_little(void)
{
    PrefaultBacking b = map_anonymous();

    assert_room_for_all(&b);
    assert_room(NULL, 0, NULL);
    unmap_memory(&b);
}

/* More than the file system has, in a file that is mapped in two parts */
static void assert_no_space(const PrefaultBacking *part)
{
    PrefaultBacking parts[] = { *part, *part };
    g_autoptr(PrefaultRoom) room = NULL;
    g_autofree char *refusal = g_strdup_printf(
        "the file of memory 'ram' takes %" PRIu64 " bytes more, its file "
        "system has ", 2 * part->size);
    Error *err = NULL;

    parts[1].host += part->size;
    room = prefault_room_new(parts, 2, true, root);
    g_assert_false(prefault_room_suffices(room, &err));
    g_assert_true(g_str_has_prefix(error_get_pretty(err), refusal));
    error_free(err);
}

static void test_sparse_file(void)
{
    PrefaultBacking b = map_sparse_file(MAP_SHARED);
    struct statvfs fs;

    new_host();
    assert_room_for_all(&b);
    if (fstatvfs(b.fd, &fs) || !fs.f_blocks) {
        g_test_skip("the file system of temporary files does not say");
    } else {
        b.size = ROUND_UP((uint64_t)fs.f_bavail * fs.f_frsize, GiB) / 4 * 3;
        assert_no_space(&b);
    }
    free_host();
    unmap_memory(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func("/prefault/room/" name, test)
    ADD("present/anonymous", test_anonymous);
    ADD("present/zero-page", test_zero_page_takes_all);
    ADD("present/shared-page", test_shared_page_takes_its_copy);
    ADD("present/private-side", test_private_side);
    ADD("present/memfd", test_memfd);
    ADD("present/private-holes", test_private_memfd_takes_holes_twice);
    ADD("present/private-copies", test_private_memfd_takes_copies_once);
    ADD("present/disk", test_file_on_a_disk);
    ADD("present/device", test_device);
    ADD("cgroup", test_cgroup);
    ADD("host", test_host);
    ADD("pinned", test_pinned);
    ADD("nodes", test_nodes);
    ADD("nodes/overlap", test_nodes_overlap);
    ADD("hugetlb/pool", test_hugetlb);
    ADD("hugetlb/once", test_hugetlb_page_of_two_backings_counts_once);
    ADD("hugetlb/nodes", test_hugetlb_nodes);
    ADD("hugetlb/cgroup", test_hugetlb_cgroup);
    ADD("sum", test_sums);
    ADD("file/sparse", test_sparse_file);
    ADD("real", test_this_host_has_room_for_little);
    return g_test_run();
}
