/*
 * Requests to convert guest memory: what KVM and the guest ask QEMU for
 *
 * Implicit requests are KVM_EXIT_MEMORY_FAULT: the guest touched a page as
 * private that is shared, or the other way round.  Explicit ones are
 * KVM_HC_MAP_GPA_RANGE, of the guest itself or made by KVM of what SEV-SNP and
 * TDX guests ask for.  Both are checked here, converted (kvm-conversion.h),
 * counted, and their memory is prefaulted.  A request that cannot be fulfilled
 * is reported with the guest address, the memory region and the flags, and the
 * guest is stopped in state internal-error.
 *
 * With prefault off nothing here acts: QEMU does what it does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef SYSTEM_KVM_MEMORY_FAULT_H
#define SYSTEM_KVM_MEMORY_FAULT_H

#include "exec/hwaddr.h"
#include "hw/core/cpu.h"
#include "qapi/qapi-types-prefault.h"

/**
 * kvm_memory_fault_handle: was it for a memory fault that KVM_RUN returned?
 * @cpu: the vCPU whose thread this is
 * @run_ret: what KVM_RUN returned, 0 or -errno
 * @ret: filled in if this was handled: 0 to run the vCPU again, EXCP_INTERRUPT to
 *       leave the loop first, -1 to stop the guest
 *
 * The exit's data are valid only if KVM_RUN failed with EFAULT or EHWPOISON and
 * the exit reason is KVM_EXIT_MEMORY_FAULT (Linux, Documentation/virt/kvm/api.rst,
 * KVM_EXIT_MEMORY_FAULT).  With another error the exit reason is stale: that
 * is left to the caller.  KVM_RUN that succeeds with this exit reason breaks
 * that contract, and the guest is stopped.
 *
 * EHWPOISON: the private page's memory is broken.  The guest gets a machine
 * check and QMP the event MEMORY_FAILURE where it can take one; otherwise it is
 * stopped, with that event and a message.  The page is replaced when the guest is
 * reset.
 *
 * Context: the vCPU's thread, without the BQL.
 *
 * Returns: false if the caller is to go on as if this were not here.
 */
bool kvm_memory_fault_handle(CPUState *cpu, int run_ret, int *ret);

/**
 * kvm_memory_fault_map_gpa_range: serve KVM_HC_MAP_GPA_RANGE
 * @cpu: the vCPU whose thread this is; its kvm_run has the hypercall
 * @ret: filled in if this was handled: 0 or -1, as above
 *
 * Arguments (Linux, Documentation/virt/kvm/x86/hypercalls.rst): guest address,
 * number of 4 KiB pages, attributes: bits 0 to 3 the size of pages, a hint; bit 4
 * private; others are refused.  KVM has checked address and number, as guest
 * frame numbers, so that their product can still be too large for bytes.
 *
 * Context: as above.
 *
 * Returns: false if prefault is off.
 */
bool kvm_memory_fault_map_gpa_range(CPUState *cpu, int *ret);

/**
 * kvm_memory_fault_poisoned: the host's shared memory is poisoned, and the guest
 *                            cannot take a machine check
 * @code: BUS_MCEERR_AR if the guest touched it just now, or BUS_MCEERR_AO
 * @host: host address
 *
 * Stops the guest in state internal-error, with the event MEMORY_FAILURE and a
 * message, where QEMU would exit.
 *
 * Context: BQL.
 *
 * Returns: false if the caller is to do what QEMU does: the guest did not touch it,
 * prefault is off, or the guest has no private memory.
 */
bool kvm_memory_fault_poisoned(int code, void *host);

/**
 * kvm_memory_fault_convert: convert for another part of QEMU
 * @start: guest address
 * @size: bytes
 * @to_private: private, or else shared
 * @ret: filled in if this was handled: 0 or -errno, with a message
 *
 * SEV-SNP needs memory to be private before it launches the guest: counted as
 * explicit, and not prefaulted.
 *
 * Context: BQL.
 *
 * Returns: false if prefault is off.
 */
bool kvm_memory_fault_convert(hwaddr start, uint64_t size, bool to_private,
                              int *ret);

/**
 * kvm_memory_fault_counts: what was converted so far
 *
 * Context: BQL.
 *
 * Returns: figures for qapi_free_PrefaultConversions(); never NULL.
 */
PrefaultConversions *kvm_memory_fault_counts(void);

#endif /* SYSTEM_KVM_MEMORY_FAULT_H */
