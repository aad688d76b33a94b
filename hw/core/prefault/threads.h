/*
 * How many workers there are, and how polite they are
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_THREADS_H
#define HW_CORE_PREFAULT_THREADS_H

#include "places.h"

/**
 * prefault_threads_count: how many workers a run is worth
 * @places: the places of its memory, all of them; NULL: its workers go to none
 *          and wait for vCPUs most of the time
 * @bytes: what there is to do; UINT64_MAX: not known
 * @root: prefix of /proc and /sys, "" but in tests
 *
 * As many as there are CPUs that workers can use, prefault_places_cpus(), or
 * whole CPUs in the quota of a cgroup that QEMU is in, whichever is less.  One
 * fewer if workers cannot give way to QEMU's main thread, as under a sandbox
 * that refuses setpriority(): a CPU is left to the monitor.  Then one for each
 * 64 MiB of @bytes at most.
 *
 * Context: BQL, in the thread that will start the workers.
 *
 * Returns: the number, 1 or more.
 */
unsigned prefault_threads_count(const PrefaultPlaces *places, uint64_t bytes,
                                const char *root);

/**
 * prefault_threads_leave_real_time: the calling worker is no real-time thread
 *
 * A worker inherits the policy of the thread that started it.  Under SCHED_FIFO
 * or SCHED_RR it would keep its CPU from the monitor until it is done.  It gets
 * SCHED_OTHER, or where that is refused SCHED_IDLE, which QEMU's sandbox lets
 * through.  Does nothing to a worker of another policy.
 *
 * Context: a worker, in its own thread.
 */
void prefault_threads_leave_real_time(void);

/**
 * prefault_threads_give_way: the calling worker goes behind QEMU's main thread
 *
 * As prefault_threads_leave_real_time(), and it is nicer than the main thread
 * by 10, where that is allowed.
 *
 * Context: a worker, in its own thread.
 */
void prefault_threads_give_way(void);

#endif /* HW_CORE_PREFAULT_THREADS_H */
