/*
 * KVM_PRE_FAULT_MEMORY: its contract, and the meaning of its errors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_PREFAULT_PRE_FAULT_H
#define ACCEL_KVM_PREFAULT_PRE_FAULT_H

#include "exec/hwaddr.h"
#include "hw/core/cpu.h"

/**
 * kvm_pre_fault_is_supported: has this KVM the call, for this guest?
 *
 * KVM_CAP_PRE_FAULT_MEMORY, asked of the VM (Linux,
 * Documentation/virt/kvm/api.rst, 8.47).
 *
 * Context: any thread, once the VM was created.
 */
bool kvm_pre_fault_is_supported(void);

/**
 * kvm_pre_fault_map: map guest memory in the page tables that a vCPU uses
 * @cpu: a vCPU that does not run
 * @generation: of the memory map, see prefault_gate_enter()
 * @gpa: guest address, a multiple of the host's page size
 * @size: bytes, likewise
 * @mapped: filled with the bytes from @gpa on that are mapped now, also if the
 *          call fails
 *
 * One call of KVM_PRE_FAULT_MEMORY (Linux, Documentation/virt/kvm/api.rst), the
 * only one, inside the gate.
 *
 * KVM maps as a read fault does: a page that the host has not populated for
 * write would become the shared zero page, so the caller populates first.  The
 * call returns 0 as soon as one page was mapped; the caller goes on from there.
 * It works on the page table root that this vCPU uses now: see
 * kvm_pre_fault_can_use().  KVM holds the vCPU's mutex and its SRCU read lock
 * throughout.
 *
 * It takes some milliseconds at most: a timer of this thread interrupts it,
 * again and again, so that it ends wherever KVM looks for signals.
 *
 * Context: any thread, without BQL.
 *
 * Returns: 0, or
 * -ECANCELED: the memory map has changed: nothing was done
 * -EINTR: a signal is pending
 * -ETIME: no page was mapped in that time.  Either the root is retired, see
 *         kvm_pre_fault_drop_root(), or the page is poisoned, and KVM raises
 *         SIGBUS and tries again, or this thread had to wait
 * -EAGAIN: a memslot is being deleted (since Linux 6.18)
 * -ENOENT: no memslot there
 * -EOPNOTSUPP: shadow paging, a nested guest, or a confidential guest that is
 *              not finalized
 * -ENOEXEC: the vCPU is not initialised (arm64)
 * -EINVAL: not aligned to pages, or empty
 * -EHWPOISON: the private memory of the first page that is not mapped is
 *             poisoned
 * -ENOMEM, -EFAULT, -EIO: as for a page fault; -EFAULT also if another vCPU
 *                         converts the page at this moment
 * -errno of timer_create(): there is no timer, so there was no call
 */
int kvm_pre_fault_map(CPUState *cpu, unsigned generation, hwaddr gpa,
                      uint64_t size, uint64_t *mapped);

/**
 * kvm_pre_fault_can_use: does a vCPU use the normal page tables?
 * @cpu: a vCPU that does not run
 *
 * KVM fills the tables that the vCPU uses.  In SMM these are of another address
 * space; in a nested guest KVM cannot fill them.
 *
 * Context: BQL.
 *
 * Returns: false if it is in SMM or runs a nested guest.
 */
bool kvm_pre_fault_can_use(CPUState *cpu);

/**
 * kvm_pre_fault_drop_root: make a vCPU take a new page table root
 * @cpu: the vCPU whose thread this is, out of the guest
 *
 * KVM retires the roots of a VM that is to lose all mappings: when a memslot of
 * a default VM is deleted with KVM_X86_QUIRK_SLOT_ZAP_ALL in force, when the
 * count of memslot changes wraps around, or when the host changes
 * kvm.nx_huge_pages.  A vCPU lets go of a retired root when it enters the
 * guest.  KVM_PRE_FAULT_MEMORY does so since Linux 6.15 (commit 20a6cff3b283,
 * "Check and free obsolete roots in kvm_mmu_reload()"); older kernels try again
 * until the call is interrupted.
 *
 * The guest's registers are the same afterwards.  If they cannot be put back,
 * the guest is stopped in state internal-error, with a message, before this
 * vCPU enters it.
 *
 * Context: BQL.
 *
 * Returns: false if the root could not be dropped, because the guest's state is
 * protected or KVM refuses.
 */
bool kvm_pre_fault_drop_root(CPUState *cpu);

#endif /* ACCEL_KVM_PREFAULT_PRE_FAULT_H */
