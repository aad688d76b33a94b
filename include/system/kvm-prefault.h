/*
 * KVM's side of prefault: calls from QEMU's KVM code and sw-protected-vm
 *
 * The guarantees stand in accel/kvm/prefault: kvm_retention_cut() belongs to
 * retention.h, kvm_convert_on_exit() to convert.h, and so on.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef SYSTEM_KVM_PREFAULT_H
#define SYSTEM_KVM_PREFAULT_H

#include "exec/hwaddr.h"
#include "hw/core/cpu.h"
#include "qom/object.h"
#include "system/kvm_int.h"
#include "hw/core/prefault-compat.h"

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
 * Once the machine exists the result depends on the arguments alone, so that
 * every walk over the memslots of a section finds the same ones.  Without
 * prefault it cuts nothing; with it an address space has at most 65 memslots
 * more.
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
 * nor a device's.  Its addresses are taken out of both lists; the references
 * that the caller drops and takes for each section stay balanced.  Does nothing
 * without prefault.
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
 * Gives the memslot the attributes of its pages.  An attribute that is right
 * already does not change even for a moment, so vCPUs may run.  If KVM refuses,
 * kvm_prefault_stop_guest() stops the guest.
 *
 * Context: BQL, inside the commit of KVM's memory listener.
 *
 * Returns: false if the memory has no guest_memfd.
 */
bool kvm_attributes_slot_added(const KVMSlot *slot, MemoryRegion *mr);

/**
 * kvm_convert_on_exit: serve the memory fault for which KVM_RUN returned, if so
 * @cpu: the vCPU whose thread this is
 * @run_ret: the result of KVM_RUN, 0 or -errno
 * @ret: filled in if this was handled: 0 to run the vCPU again,
 *       EXCP_INTERRUPT to leave the loop first, -1 to stop the guest
 *
 * The exit's data are valid only if KVM_RUN failed with EFAULT or EHWPOISON and
 * the exit reason is KVM_EXIT_MEMORY_FAULT (Linux,
 * Documentation/virt/kvm/api.rst, KVM_EXIT_MEMORY_FAULT).  With another error
 * the exit reason is stale, and the caller handles the error.  A KVM_RUN that
 * succeeds with this exit reason breaks the contract, and the guest is stopped.
 *
 * EHWPOISON: the private page's memory is broken.  The guest gets a machine
 * check and QMP the event MEMORY_FAILURE where it can take one; otherwise it is
 * stopped, with that event and a message.  The page is replaced when the guest
 * is reset.
 *
 * A fault that converting changes nothing about is tried a few times, and then
 * stops the guest with a message (convert.h); the BQL is not held in between.
 *
 * Context: the vCPU's thread, without the BQL.
 *
 * Returns: false if this was no memory fault to serve, or is of a guest without
 * private memory and prefault is off: the caller goes on.
 */
bool kvm_convert_on_exit(CPUState *cpu, int run_ret, int *ret);

/**
 * kvm_convert_on_hypercall: serve KVM_HC_MAP_GPA_RANGE
 * @cpu: the vCPU whose thread this is; its kvm_run has the hypercall
 * @ret: filled in if this was handled: 0 or -1, as above
 *
 * Arguments (Linux, Documentation/virt/kvm/x86/hypercalls.rst): guest address,
 * number of 4 KiB pages, attributes.  Bits 0 to 3 of the attributes are the
 * size of pages, a hint; bit 4 means private; other bits are refused.  KVM has
 * checked address and number in pages only: in bytes the number can overflow.
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
 * SEV-SNP needs memory to be private before it launches the guest.  The
 * conversion is counted as explicit, and is not prefaulted.  In a guest without
 * private memory, where QEMU asks for it after a memory fault, it fails.
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
 * Memory of the side that is left is given back before the call returns.
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
 * Returns: false, with nothing done, if the guest did not touch the memory or
 * has no private memory: the caller does as QEMU does.
 */
bool kvm_poison_on_sigbus(int code, void *host);

/**
 * kvm_prefault_stop_guest: stop a guest that cannot go on
 *
 * For instance KVM's attributes and a block's record differ, and the guest
 * would see the wrong memory.  The guest goes to state internal-error, at once
 * or when it is started.  While the machine is made there is no guest to stop
 * yet, and QEMU exits, as kvm_set_phys_mem() does there.  The caller has
 * reported the reason.
 *
 * Context: BQL.
 */
void kvm_prefault_stop_guest(void);

#endif /* SYSTEM_KVM_PREFAULT_H */
