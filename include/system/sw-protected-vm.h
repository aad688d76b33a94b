/*
 * sw-protected-vm: the questions that other parts of QEMU ask about it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef SYSTEM_SW_PROTECTED_VM_H
#define SYSTEM_SW_PROTECTED_VM_H

#define TYPE_SW_PROTECTED_VM "sw-protected-vm"

/**
 * sw_protected_vm_refuses_readonly: can this memory backend not be private?
 * @guest_memfd: the backend's memory is to have a guest_memfd
 * @readonly: its file is opened read-only
 * @errp: set if so
 *
 * Shared memory in a read-only file cannot be given back when it becomes
 * private, and KVM has no memslot that is both read-only and guest_memfd: QEMU
 * would abort when it maps the memory.
 *
 * Context: BQL.
 *
 * Returns: true if the backend must be refused; false also for a machine that
 * has no sw-protected-vm.
 */
bool sw_protected_vm_refuses_readonly(bool guest_memfd, bool readonly,
                                      Error **errp);

#endif /* SYSTEM_SW_PROTECTED_VM_H */
