/*
 * The host is told to leave guest memory where it is
 *
 * NUMA balancing skips memory whose policy lacks MPOL_F_MOF, which a policy has
 * only if it is asked for (Linux, kernel/sched/fair.c, task_numa_work(), and
 * mm/mempolicy.c, vma_policy_mof()).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/madvise.h"
#include "qemu/main-loop.h"
#include "cgroup.h"
#include "keep.h"

#ifdef CONFIG_NUMA
#include <numa.h>
#include <numaif.h>

bool prefault_keep_is_balanced(const HostMemoryBackend *backend)
{
    int mode;

    assert(bql_locked());
    return numa_available() >= 0 && numa_num_configured_nodes() > 1 &&
           !(backend && backend->policy != HOST_MEM_POLICY_DEFAULT) &&
           get_mempolicy(&mode, NULL, 0, NULL, 0) == 0 && mode == MPOL_DEFAULT;
}

int prefault_keep_place(void *host, uint64_t size, bool keep, int node)
{
    /* One bit more, because the kernel ignores the last one */
    unsigned long nodes[BITS_TO_LONGS(MAX_NODES + 1)] = { 0 };
    bool named = keep && node >= 0 && node < MAX_NODES;
    int mode = !keep ? MPOL_DEFAULT : named ? MPOL_PREFERRED : MPOL_LOCAL;

    assert(bql_locked());
    if (named) {
        set_bit(node, nodes);
    }
    return mbind(host, size, mode, named ? nodes : NULL,
                 named ? MAX_NODES + 1 : 0, 0) ? -errno : 0;
}
#else
bool prefault_keep_is_balanced(const HostMemoryBackend *backend)
{
    assert(bql_locked());
    return false;
}

int prefault_keep_place(void *host, uint64_t size, bool keep, int node)
{
    assert(bql_locked());
    return -ENOSYS;
}
#endif

/* A kernel without KSM knows no such advice, and needs none */
void prefault_keep_unmerged(void *host, uint64_t size)
{
    qemu_madvise(host, size, QEMU_MADV_UNMERGEABLE);
}

bool prefault_keep_balancing(const char *root)
{
    g_autofree char *text =
        prefault_cgroup_read("%s/proc/sys/kernel/numa_balancing", root);
    uint64_t value;

    return prefault_cgroup_number(text, &value) && value;
}
