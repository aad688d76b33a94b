/*
 * sw-protected-vm: the question that memory backends of any target ask
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/core/prefault-compat.h"
#include "qapi/error.h"
#include "system/sw-protected-vm.h"

bool sw_protected_vm_refuses_readonly(bool guest_memfd, bool readonly,
                                      Error **errp)
{
    if (!guest_memfd || !readonly ||
        !object_dynamic_cast(OBJECT(current_machine->cgs),
                             TYPE_SW_PROTECTED_VM)) {
        return false;
    }
    error_setg(errp, "sw-protected-vm: memory that can be private cannot be "
               "read-only: use readonly=off, with a copy of the file if need "
               "be");
    return true;
}
