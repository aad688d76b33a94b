/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qemu_prefault_caps.c: whether a QEMU, and this host, can prefault
 */

#include <config.h>

#include "qemu_prefault_caps.h"
#include "qemu_prefault.h"

#define VIR_FROM_THIS VIR_FROM_QEMU


void
qemuPrefaultProbe(virQEMUCaps *qemuCaps,
                  qemuMonitor *mon)
{
    g_autoptr(virJSONValue) info = NULL;
    bool canMap = false;

    if (!virQEMUCapsGet(qemuCaps, QEMU_CAPS_PREFAULT))
        return;

    if ((info = qemuPrefaultAsk(mon)) &&
        virJSONValueObjectGetBoolean(info, "can-map", &canMap) == 0 && canMap)
        virQEMUCapsSet(qemuCaps, QEMU_CAPS_PREFAULT_MAP);
}


void
qemuPrefaultFillDomainCaps(virQEMUCaps *qemuCaps,
                           virDomainCaps *domCaps)
{
    virDomainCapsFeaturePrefault *prefault = &domCaps->prefault;

    if (domCaps->virttype != VIR_DOMAIN_VIRT_KVM ||
        !virQEMUCapsGet(qemuCaps, QEMU_CAPS_PREFAULT))
        return;

    prefault->supported = VIR_TRISTATE_BOOL_YES;
    prefault->state.report = true;
    VIR_DOMAIN_CAPS_ENUM_SET(prefault->state, VIR_DOMAIN_PREFAULT_OFF,
                             VIR_DOMAIN_PREFAULT_AUTO,
                             VIR_DOMAIN_PREFAULT_BACKGROUND);
    /* On a host that cannot map in advance QEMU does not start with it */
    if (virQEMUCapsGet(qemuCaps, QEMU_CAPS_PREFAULT_MAP))
        VIR_DOMAIN_CAPS_ENUM_SET(prefault->state, VIR_DOMAIN_PREFAULT_ON);
}
