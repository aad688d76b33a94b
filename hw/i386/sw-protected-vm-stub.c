/*
 * sw-protected-vm without KVM: there is none
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/i386/sw-protected-vm.h"

bool sw_protected_vm_bios_init(X86MachineState *x86ms, const char *filename,
                               uint64_t size, MemoryRegion *rom_memory,
                               bool writable)
{
    return false;
}
