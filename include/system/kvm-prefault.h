/*
 * KVM's side of prefault: what QEMU's KVM code and sw-protected-vm call
 *
 * What these guarantee stands in accel/kvm/prefault, in the header that has the
 * name's first words.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef SYSTEM_KVM_PREFAULT_H
#define SYSTEM_KVM_PREFAULT_H

#include "exec/hwaddr.h"
#include "hw/core/cpu.h"
#include "qom/object.h"
#include "system/kvm_int.h"
#include "system/ramblock.h"

/**
 * kvm_prefault_class_init: give the KVM accelerator its prefault property
 * @oc: class of the KVM accelerator
 *
 * Context: class initialisation.
 */
void kvm_prefault_class_init(ObjectClass *oc);

/**
 * kvm_retention_cut: how much of a range is one memslot
 * @start: guest address where the range starts, in bytes
 * @size: of the range in bytes; 0 gives 0
 *
 * A pure function of its arguments once the machine exists, so that whoever
 * walks the memslots of a section finds each.  Without prefault it cuts
 * nothing.  With it, at most 65 memslots more than without for an address
 * space.
 *
 * Context: BQL, or the lock of KVM's memslots.
 *
 * Returns: the bytes from @start to the end of the memslot, at most @size.
 */
hwaddr kvm_retention_cut(hwaddr start, hwaddr size);

/**
 * kvm_retention_commit: take memslots that stay as they are out of a change
 * @kml: a memory listener that is about to delete the memslots of the sections
 *       in its transaction_del and to create those of transaction_add
 *
 * A memslot stays if the change would create it again with the same guest
 * address, size, host address, flags, guest_memfd and offsets, as recorded in
 * it, and if its section is plain RAM: neither read-only, nor a ROM device's,
 * nor a device's.  What it covers leaves both lists; the references that the
 * caller drops and takes for each section stay balanced.  Does nothing without
 * prefault.
 *
 * Context: BQL, inside the listener's commit; the caller has not begun to
 * delete.
 */
void kvm_retention_commit(KVMMemoryListener *kml);

/**
 * kvm_attributes_slot_added: a memslot was created
 * @slot: the memslot
 * @mr: its memory region
 *
 * A page's attribute does not change for a moment if it was right before, so
 * vCPUs may run.  If KVM refuses, the guest is stopped in state internal-error,
 * as soon as it runs; while the machine is made QEMU exits.
 *
 * Context: BQL, inside the commit of KVM's memory listener.
 *
 * Returns: false if the memory has no guest_memfd.
 */
bool kvm_attributes_slot_added(const KVMSlot *slot, MemoryRegion *mr);

/**
 * kvm_convert_on_exit: was it for a memory fault that KVM_RUN returned?
 * @cpu: the vCPU whose thread this is
 * @run_ret: what KVM_RUN returned, 0 or -errno
 * @ret: filled in if this was handled: 0 to run the vCPU again,
 *       EXCP_INTERRUPT to leave the loop first, -1 to stop the guest
 *
 * The exit's data are valid only if KVM_RUN failed with EFAULT or EHWPOISON and
 * the exit reason is KVM_EXIT_MEMORY_FAULT (Linux,
 * Documentation/virt/kvm/api.rst, KVM_EXIT_MEMORY_FAULT).  With another error
 * the exit reason is stale: that is left to the caller.  KVM_RUN that succeeds
 * with this exit reason breaks that contract, and the guest is stopped.
 *
 * EHWPOISON: the private page's memory is broken.  The guest gets a machine
 * check and QMP the event MEMORY_FAILURE where it can take one; otherwise it is
 * stopped, with that event and a message.  The page is replaced when the guest
 * is reset.
 *
 * Context: the vCPU's thread, without the BQL.
 *
 * Returns: false if the caller is to go on as if this were not here.
 */
bool kvm_convert_on_exit(CPUState *cpu, int run_ret, int *ret);

/**
 * kvm_convert_on_hypercall: serve KVM_HC_MAP_GPA_RANGE
 * @cpu: the vCPU whose thread this is; its kvm_run has the hypercall
 * @ret: filled in if this was handled: 0 or -1, as above
 *
 * Arguments (Linux, Documentation/virt/kvm/x86/hypercalls.rst): guest address,
 * number of 4 KiB pages, attributes: bits 0 to 3 the size of pages, a hint; bit
 * 4 private; others are refused.  KVM has checked address and number, as guest
 * frame numbers, so that their product can still be too large for bytes.
 *
 * Context: as above.
 *
 * Returns: false if the caller is to go on: the memory is converted, and with
 * prefault off QEMU maps it as it always does.
 */
bool kvm_convert_on_hypercall(CPUState *cpu, int *ret);

/**
 * kvm_convert_for_qemu: convert for another part of QEMU
 * @start: guest address
 * @size: bytes
 * @to_private: private, or else shared
 *
 * SEV-SNP needs memory to be private before it launches the guest: counted as
 * explicit, and not prefaulted.
 *
 * Context: with or without BQL.
 *
 * Returns: 0, or -EINVAL after a message.
 */
int kvm_convert_for_qemu(hwaddr start, uint64_t size, bool to_private);

/**
 * kvm_conversion_convert_block: make a block's memory private or shared
 *
 * @rb: block with guest_memfd, mapped in the guest or not
 * @to_private: private, or else shared
 * @errp: as for kvm_conversion_begin()
 *
 * Memory of the other side is given back before it returns.
 *
 * Context: BQL, while no vCPU runs.
 *
 * Returns: true, or false on failure as kvm_conversion_begin().
 */
bool kvm_conversion_convert_block(RAMBlock *rb, bool to_private, Error **errp);

/**
 * kvm_poison_on_sigbus: the host's shared memory is poisoned, and the guest
 *                       cannot take a machine check
 * @code: BUS_MCEERR_AR if the guest touched it just now, or BUS_MCEERR_AO
 * @host: host address
 *
 * Stops the guest in state internal-error, with the event MEMORY_FAILURE and a
 * message, where QEMU would exit.
 *
 * Context: BQL.
 *
 * Returns: false if the caller is to do what QEMU does: the guest did not touch
 * it, or has no private memory.
 */
bool kvm_poison_on_sigbus(int code, void *host);

/**
 * kvm_prefault_stop_guest: KVM's attributes and the blocks' records differ
 *
 * The guest would see other memory than it believes: it goes to state
 * internal-error, at once or when it is started.  While the machine is made
 * there is nothing to stop yet, and QEMU exits, as it does there itself
 * (kvm_set_phys_mem()).  The caller has said why.
 *
 * Context: BQL.
 */
void kvm_prefault_stop_guest(void);

#endif /* SYSTEM_KVM_PREFAULT_H */
