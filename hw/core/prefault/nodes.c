/*
 * The host NUMA nodes that memory can come from
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/main-loop.h"
#include "host-limits.h"
#include "nodes.h"

#ifdef CONFIG_NUMA
#include <numa.h>
#include <numaif.h>

/* A mask for the kernel, which has up to 1,024 nodes and refuses less */
typedef struct NodeMask {
    unsigned long bits[BITS_TO_LONGS(1024)];
} NodeMask;

/* A mode is a small number; flags, as MPOL_F_STATIC_NODES, are added to it */
#define MODE_MASK 0xff

QEMU_BUILD_BUG_ON(PREFAULT_NODES_MAX > 1024);

/* The nodes of the cpuset; false if that leaves out none */
static bool nodes_of_cpuset(NodeMask *mask)
{
    return get_mempolicy(NULL, mask->bits, sizeof(*mask) * BITS_PER_BYTE, NULL,
                         MPOL_F_MEMS_ALLOWED) == 0 &&
           bitmap_count_one(mask->bits, PREFAULT_NODES_MAX) <
           numa_num_configured_nodes();
}

static bool nodes_of_thread(NodeMask *mask)
{
    int mode;

    return get_mempolicy(&mode, mask->bits, sizeof(*mask) * BITS_PER_BYTE, NULL,
                         0) == 0 && (mode & MODE_MASK) == MPOL_BIND;
}

bool prefault_nodes_of(const HostMemoryBackend *backend, unsigned long *nodes)
{
    NodeMask policy = {}, cpuset = {};
    bool bound, restricted;

    assert(bql_locked());
    bitmap_zero(nodes, PREFAULT_NODES_MAX);
    if (numa_available() < 0) {
        return false;
    }
    bound = backend && backend->policy == HOST_MEM_POLICY_BIND;
    if (bound) {
        bitmap_copy(policy.bits, backend->host_nodes, MAX_NODES);
    } else if (!backend || backend->policy == HOST_MEM_POLICY_DEFAULT) {
        bound = nodes_of_thread(&policy);
    }
    restricted = nodes_of_cpuset(&cpuset);
    if (bound && restricted) {
        bitmap_and(nodes, policy.bits, cpuset.bits, PREFAULT_NODES_MAX);
    } else if (bound || restricted) {
        bitmap_copy(nodes, bound ? policy.bits : cpuset.bits,
                    PREFAULT_NODES_MAX);
    }
    return !bitmap_empty(nodes, PREFAULT_NODES_MAX);
}
#else
bool prefault_nodes_of(const HostMemoryBackend *backend, unsigned long *nodes)
{
    assert(bql_locked());
    bitmap_zero(nodes, PREFAULT_NODES_MAX);
    return false;
}
#endif
