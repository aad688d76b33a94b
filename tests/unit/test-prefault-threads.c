/*
 * Tests of how many workers a run is worth
 *
 * The number of CPUs is made up here; quotas are files of a directory that
 * stands for /proc and /sys; that setpriority() is refused is real.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "qemu/units.h"
#include "../../hw/core/prefault/threads.h"
#include "prefault-fake-host.h"

/* Enough of everything: what is left out of a test is no limit */
#define CPUS 64
#define BYTES (64 * GiB)

#define V1_CPU \
    "40 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"

static unsigned fake_cpus;

/* Never looked into here */
static PrefaultPlaces *const places = (PrefaultPlaces *)&fake_cpus;

unsigned prefault_places_cpus(const PrefaultPlaces *of)
{
    return fake_cpus;
}

static unsigned count(void)
{
    return prefault_threads_count(places, BYTES, root);
}

/* QEMU is in /upper/lower of either hierarchy */
static void new_host_with(const char *mounts)
{
    new_host();
    fake_cpus = CPUS;
    put("/proc/self/mountinfo", mounts);
    put("/proc/self/cgroup", "5:cpu,cpuacct:/upper/lower\n"
        "0::/upper/lower\n");
}

static void put_max(const char *cgroup, const char *text)
{
    g_autofree char *name = g_strdup_printf("/sys/fs/cgroup%s/cpu.max", cgroup);

    put(name, text);
}

static void put_v1(const char *cgroup, const char *quota, const char *period)
{
    g_autofree char *dir = g_strdup_printf("/sys/fs/cgroup/cpu%s", cgroup);
    g_autofree char *quota_name = g_strconcat(dir, "/cpu.cfs_quota_us", NULL);
    g_autofree char *period_name = g_strconcat(dir, "/cpu.cfs_period_us", NULL);

    put(quota_name, quota);
    put(period_name, period);
}

static void test_cpus(void)
{
    new_host_with(V2);
    for (fake_cpus = 1; fake_cpus <= CPUS; fake_cpus++) {
        g_assert_cmpuint(count(), ==, fake_cpus);
    }
    free_host();
}

static void test_bytes(void)
{
    static const struct {
        uint64_t bytes;
        unsigned threads;
    } cases[] = {
        { 0, 1 },
        { 4 * KiB, 1 },
        { 64 * MiB, 1 },
        { 128 * MiB - 1, 1 },
        { 128 * MiB, 2 },
        { CPUS * 64 * MiB, CPUS },
        { 2 * CPUS * 64 * MiB, CPUS },
        { UINT64_MAX, CPUS },
    };

    new_host_with(V2);
    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_assert_cmpuint(prefault_threads_count(places, cases[i].bytes, root),
                         ==, cases[i].threads);
    }
    free_host();
}

/* Whole CPUs, one at least; what is no quota is no limit */
static const struct {
    const char *quota, *period;
    unsigned threads;
} quotas[] = {
    { "400000", "100000", 4 },
    { "399999", "100000", 3 },
    { "50000", "100000", 1 },
    { "1000", "1000000", 1 },
    { "100000", "1000", CPUS },
    { "10000000", "100000", CPUS },
    { "100000", "0", CPUS },
    { "garbage", "100000", CPUS },
    { "100000", "garbage", CPUS },
    { "", "100000", CPUS },
    { "100000", "", CPUS },
};

static void test_v2(void)
{
    new_host_with(V2);
    for (int i = 0; i < ARRAY_SIZE(quotas); i++) {
        g_autofree char *text = g_strdup_printf("%s %s\n", quotas[i].quota,
                                                quotas[i].period);

        put_max("/upper/lower", text);
        g_assert_cmpuint(count(), ==, quotas[i].threads);
    }
    put_max("/upper/lower", "max 100000\n");
    g_assert_cmpuint(count(), ==, CPUS);
    put_max("/upper/lower", "100000\n");
    g_assert_cmpuint(count(), ==, CPUS);
    free_host();
}

static void test_v1(void)
{
    new_host_with(V1_CPU);
    for (int i = 0; i < ARRAY_SIZE(quotas); i++) {
        put_v1("/upper/lower", quotas[i].quota, quotas[i].period);
        g_assert_cmpuint(count(), ==, quotas[i].threads);
    }
    put_v1("/upper/lower", "-1\n", "100000\n");
    g_assert_cmpuint(count(), ==, CPUS);
    free_host();
}

static void test_tightest_ancestor_counts(void)
{
    new_host_with(V2 V1_CPU);
    put_max("/upper/lower", "800000 100000\n");
    put_max("/upper", "700000 100000\n");
    put_max("", "600000 100000\n");
    g_assert_cmpuint(count(), ==, 6);
    put_max("/upper", "500000 100000\n");
    g_assert_cmpuint(count(), ==, 5);
    put_max("/upper/lower", "400000 100000\n");
    g_assert_cmpuint(count(), ==, 4);
    /* Where both hierarchies are mounted both apply */
    put_v1("/upper", "300000", "100000");
    g_assert_cmpuint(count(), ==, 3);
    free_host();
}

static void test_the_least_counts(void)
{
    new_host_with(V2);
    put_max("/upper", "500000 100000\n");
    fake_cpus = 6;
    g_assert_cmpuint(count(), ==, 5);
    fake_cpus = 4;
    g_assert_cmpuint(count(), ==, 4);
    g_assert_cmpuint(prefault_threads_count(places, 192 * MiB, root), ==, 3);
    free_host();
}

/* For the calling thread, until its end */
static bool refuse_setpriority(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_setpriority, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { ARRAY_SIZE(filter), filter };

    return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
           !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void *count_without_setpriority(void *opaque)
{
    if (!refuse_setpriority()) {
        return (void *)"no filter for system calls can be set";
    }
    g_assert_cmpuint(count(), ==, CPUS - 1);
    /* A CPU is left free as it is */
    g_assert_cmpuint(prefault_threads_count(places, 128 * MiB, root), ==, 2);
    /* Workers that wait for vCPUs leave it alone */
    g_assert_cmpuint(prefault_threads_count(NULL, UINT64_MAX, root), ==, CPUS);
    put_max("/upper", "300000 100000\n");
    g_assert_cmpuint(count(), ==, 2);
    put_max("/upper", "100000 100000\n");
    g_assert_cmpuint(count(), ==, 1);
    fake_cpus = 1;
    g_assert_cmpuint(count(), ==, 1);
    return NULL;
}

static void test_setpriority_is_refused(void)
{
    const char *cannot;

    new_host_with(V2);
    cannot = g_thread_join(g_thread_new("refused", count_without_setpriority,
                                        NULL));
    if (cannot) {
        g_test_skip(cannot);
    }
    free_host();
}

static void test_this_host(void)
{
    fake_cpus = CPUS;
    g_assert_cmpuint(prefault_threads_count(places, BYTES, ""), >=, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func("/prefault/threads/" name, test)
    ADD("cpus", test_cpus);
    ADD("bytes", test_bytes);
    ADD("quota/v2", test_v2);
    ADD("quota/v1", test_v1);
    ADD("quota/ancestor", test_tightest_ancestor_counts);
    ADD("least", test_the_least_counts);
    ADD("refused", test_setpriority_is_refused);
    ADD("real", test_this_host);
    return g_test_run();
}
