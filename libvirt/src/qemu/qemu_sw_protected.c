/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qemu_sw_protected.c: QEMU's object for launch security 'sw-protected'
 */

#include <config.h>

#include "qemu_sw_protected.h"
#include "qemu_monitor.h"


virJSONValue *
qemuSwProtectedObject(const virDomainSwProtectedDef *def)
{
    virJSONValue *props = NULL;
    const char *state = NULL;

    if (def->initial_state != VIR_DOMAIN_SW_PROTECTED_STATE_DEFAULT)
        state = virDomainSwProtectedStateTypeToString(def->initial_state);

    ignore_value(qemuMonitorCreateObjectProps(&props, "sw-protected-vm",
                                              "lsec0", "S:initial-state",
                                              state, NULL));
    return props;
}
