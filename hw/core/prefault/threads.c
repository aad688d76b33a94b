/*
 * How many workers there are, and how polite they are
 *
 * Guarantees: a run has a worker, whatever cannot be known or is refused.
 * Formats are those of Linux, Documentation/admin-guide/cgroup-v2.rst (cpu.max)
 * and Documentation/scheduler/sched-bwc.rst (cgroup v1).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sched.h>
#include <sys/resource.h>
#include "qemu/units.h"
#include "cgroup.h"
#include "threads.h"
#include "trace.h"

/* Less is not worth a thread: zeroing this much takes some 10 ms */
#define PREFAULT_BYTES_PER_THREAD (64 * MiB)

/* How much nicer than QEMU's main thread a worker is */
#define PREFAULT_WORKER_NICE 10

/* Lower @most to the whole CPUs that a quota is worth, but not below one */
static void threads_note_quota(char *quota, char *period, unsigned *most)
{
    uint64_t time, each;

    /* "max" is no number; -1, the same of cgroup v1, is read as a large one */
    if (prefault_cgroup_number(quota, &time) &&
        prefault_cgroup_number(period, &each) && each) {
        *most = MAX(1, MIN(time / each, *most));
    }
}

static void threads_look_v1(const char *dir, const char *name, void *opaque)
{
    g_autofree char *quota = prefault_cgroup_read("%s/cpu.cfs_quota_us", dir);
    g_autofree char *period = prefault_cgroup_read("%s/cpu.cfs_period_us", dir);

    threads_note_quota(quota, period, opaque);
}

/* A line "QUOTA PERIOD" */
static void threads_look_v2(const char *dir, const char *name, void *opaque)
{
    g_autofree char *text = prefault_cgroup_read("%s/cpu.max", dir);
    g_auto(GStrv) words = g_strsplit(text ?: "", " ", 2);

    if (g_strv_length(words) == 2) {
        threads_note_quota(words[0], words[1], opaque);
    }
}

/*
 * More workers than that would use up the quota early in each period, and the
 * kernel would stop all of QEMU, the main thread too, until the next one
 */
static unsigned threads_of_quota(const char *root)
{
    unsigned most = UINT_MAX;

    prefault_cgroup_climb(root, "cpu", threads_look_v1, &most);
    prefault_cgroup_climb(root, NULL, threads_look_v2, &most);
    return most;
}

/* May a thread change its niceness?  Giving it what it has changes nothing */
static bool threads_may_give_way(void)
{
    return !setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0));
}

unsigned prefault_threads_count(const PrefaultPlaces *places, uint64_t bytes,
                                const char *root)
{
    unsigned cpus = prefault_places_cpus(places);
    unsigned quota = threads_of_quota(root);
    uint64_t worth = bytes / PREFAULT_BYTES_PER_THREAD;
    bool compete = places && !threads_may_give_way();
    unsigned threads = MIN(cpus, quota) - compete;

    threads = MAX(1, MIN(threads, worth));
    trace_prefault_threads_count(cpus, quota, compete, worth, threads);
    return threads;
}

/* If even SCHED_IDLE is refused the error is dropped: the run is as good */
void prefault_threads_leave_real_time(void)
{
    static const struct sched_param none;
    int policy = sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;

    if ((policy == SCHED_FIFO || policy == SCHED_RR) &&
        sched_setscheduler(0, SCHED_OTHER, &none)) {
        sched_setscheduler(0, SCHED_IDLE, &none);
    }
}

/*
 * There may be a worker on each CPU that QEMU may use.  Workers that are nicer
 * than the main thread have all the time that nobody else wants, and the
 * monitor answers sooner.  Linux's niceness is a thread's own.  If a sandbox
 * forbids it the error is dropped: prefault_threads_count() left a CPU free.
 */
void prefault_threads_give_way(void)
{
    prefault_threads_leave_real_time();
    setpriority(PRIO_PROCESS, 0,
                getpriority(PRIO_PROCESS, getpid()) + PREFAULT_WORKER_NICE);
}
