/*
 * Guest memory is mapped on the thread of a vCPU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_PREFAULT_OWN_THREAD_H
#define ACCEL_KVM_PREFAULT_OWN_THREAD_H

#include "exec/hwaddr.h"
#include "hw/core/cpu.h"

/**
 * kvm_own_thread_map: have a vCPU map guest memory on its own thread
 * @cpu: the vCPU, which may run
 * @generation: of the memory map
 * @gpa: guest address, a multiple of the host's page size
 * @size: bytes, likewise
 * @mapped: filled with the bytes from @gpa on that are mapped now
 *
 * The vCPU leaves the guest for about 0.1 ms, 0.2 ms where pages are small.  A
 * work item begins with the BQL; this one releases it while it maps, so that
 * several vCPUs map side by side.
 * If the page table root may be retired, the vCPU drops it and maps again.
 *
 * Context: any thread but a vCPU's, without BQL; waits for the vCPU.
 *
 * Returns: as kvm_pre_fault_map(); -EBUSY if this vCPU cannot do it just now:
 * it is in SMM, runs a nested guest, its state was changed, it was unplugged,
 * or it does not answer.
 */
int kvm_own_thread_map(CPUState *cpu, unsigned generation, hwaddr gpa,
                       uint64_t size, uint64_t *mapped);

/**
 * kvm_own_thread_map_here: map guest memory on this thread
 * @cpu: the vCPU whose thread this is, out of the guest
 * @generation: as above
 * @gpa: as above
 * @size: as above
 * @mapped: as above
 *
 * KVM may write an exit reason to the vCPU's kvm_run, so a caller that needs
 * the data of the last exit reads it before the call.
 *
 * Context: without BQL.
 *
 * Returns: as above.
 */
int kvm_own_thread_map_here(CPUState *cpu, unsigned generation, hwaddr gpa,
                            uint64_t size, uint64_t *mapped);

#endif /* ACCEL_KVM_PREFAULT_OWN_THREAD_H */
