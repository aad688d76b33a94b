/*
 * sw-protected-vm: private guest memory without confidential hardware
 *
 * A confidential-guest-support object that makes a machine of type
 * KVM_X86_SW_PROTECTED_VM (Linux 6.8 or later, Documentation/virt/kvm/api.rst,
 * KVM_CREATE_VM): its RAM is guest_memfd, the guest converts pages between
 * private and shared, and KVM and QEMU do everything that SEV-SNP and TDX make
 * them do but encrypt and measure.  For development and testing: nothing is
 * protected from the host.
 *
 * Guarantees: RAM, which is the memory of memory backends, begins in the state
 * that initial-state asks for and is in that state again after each reset; any
 * other memory (firmware, option ROMs) is shared; KVM_HC_MAP_GPA_RANGE is
 * enabled and announced; a configuration that cannot work is refused with an
 * error that names a remedy.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_I386_SW_PROTECTED_VM_H
#define HW_I386_SW_PROTECTED_VM_H

#include "hw/i386/x86.h"
#include "system/sw-protected-vm.h"

/**
 * sw_protected_vm_bios_init: make the firmware's ROM of a sw-protected-vm
 * @x86ms: the machine
 * @filename: where the firmware was found
 * @size: of the firmware in bytes
 * @rom_memory: where ROMs are mapped
 * @writable: the guest may write to it
 *
 * KVM has no memslot that is both read-only and guest_memfd, and binds one
 * offset of a guest_memfd to one guest address, while this ROM is seen at two
 * (Linux, virt/kvm/kvm_main.c, check_memory_region_flags(), and
 * virt/kvm/guest_memfd.c, kvm_gmem_bind()).  So it is ordinary memory, which
 * reset restores.
 *
 * Context: BQL, while the machine is made.
 *
 * Returns: false if the machine has no sw-protected-vm: nothing was done.
 */
bool sw_protected_vm_bios_init(X86MachineState *x86ms, const char *filename,
                               uint64_t size, MemoryRegion *rom_memory,
                               bool writable);

#endif /* HW_I386_SW_PROTECTED_VM_H */
