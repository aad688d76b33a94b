/*
 * Memory attributes: KVM's view of private pages follows RamBlockAttributes
 *
 * QEMU keeps for each block of guest_memfd memory which pages are shared
 * (RamBlockAttributes); KVM keeps the same by guest address
 * (KVM_SET_MEMORY_ATTRIBUTES), whether or not there is a memslot.  QEMU 10.2
 * makes all of a memslot private whenever it creates one, even if the guest has
 * converted pages of it to shared and only the memory map changed.  It also
 * leaves an address private after other memory is mapped there.
 *
 * This code goes by the block's record instead: a new memslot gets the
 * attributes of its pages, and addresses without guest_memfd are shared.
 *
 * Owns the contract of KVM_SET_MEMORY_ATTRIBUTES.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_PREFAULT_ATTRIBUTES_H
#define ACCEL_KVM_PREFAULT_ATTRIBUTES_H

#include "exec/hwaddr.h"
#include "system/kvm_int.h"
#include "hw/core/prefault-compat.h"

/**
 * kvm_attributes_set: make guest addresses private or shared
 * @start: guest address, a multiple of the host's page size
 * @size: bytes, likewise, not 0
 * @to_private: private, or else shared
 *
 * One call of KVM_SET_MEMORY_ATTRIBUTES (Linux,
 * Documentation/virt/kvm/api.rst).  It changes all of the range or nothing: KVM
 * reserves the memory for it first (virt/kvm/kvm_main.c,
 * kvm_vm_set_mem_attributes()), and does nothing at all where the attributes
 * are as wanted already.
 *
 * Context: any thread.
 *
 * Returns: 0, or
 * -ENOMEM: the kernel has no memory to note it
 * -EINVAL: not aligned, empty, wraps around, or KVM does not know the attribute
 * -ENOTTY: KVM has no memory attributes
 */
int kvm_attributes_set(hwaddr start, uint64_t size, bool to_private);

/**
 * kvm_attributes_slot_extent: the same, by guest address
 * @slot: memslot with KVM_MEM_GUEST_MEMFD
 * @gpa: where to begin, in the memslot, a multiple of the page size
 * @end: where to stop, in the memslot; filled with where the pages differ
 *
 * Context: BQL.
 *
 * Returns: true if these pages are private.
 */
bool kvm_attributes_slot_extent(const KVMSlot *slot, hwaddr gpa, hwaddr *end);

/**
 * kvm_attributes_apply: tell KVM which pages of a block are private
 * @rb: block with guest_memfd
 * @offset: in the block, in bytes, a multiple of the page size
 * @size: bytes, likewise
 * @gpa: guest address of @offset
 *
 * Context: BQL.
 *
 * Returns: 0 or the error of kvm_attributes_set(); then the pages before the
 * failed piece have their attributes, and those from it on are unchanged.
 */
int kvm_attributes_apply(const RAMBlock *rb, uint64_t offset, uint64_t size,
                         hwaddr gpa);

#endif /* ACCEL_KVM_PREFAULT_ATTRIBUTES_H */
