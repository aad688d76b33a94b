/*
 * The host NUMA nodes that memory can come from
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_NODES_H
#define HW_CORE_PREFAULT_NODES_H

#include "system/hostmem.h"

/**
 * prefault_nodes_of: the nodes that memory has to come from
 * @backend: its backend, or NULL
 * @nodes: PREFAULT_NODES_MAX bits, filled in; none if any node will do
 *
 * In force are the backend's policy, or, without one, the policy of the calling
 * thread (numactl), which workers inherit; and the cpuset that this thread is
 * in.  A policy that prefers nodes does not bind memory to them.
 *
 * Context: BQL: libnuma is not thread safe.
 *
 * Returns: false if any node will do.
 */
bool prefault_nodes_of(const HostMemoryBackend *backend, unsigned long *nodes);

#endif /* HW_CORE_PREFAULT_NODES_H */
