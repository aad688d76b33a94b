/*
 * The quirk that makes KVM forget all mappings when one memslot is deleted
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "qemu/main-loop.h"
#include "hw/core/prefault-backend.h"
#include "hw/core/prefault-compat.h"
#include "qapi/error.h"
#include "qapi/qapi-types-common.h"
#include "qemu/error-report.h"
#include "system/kvm.h"
#include "system/kvm_int.h"
#include "slot-zap.h"
#include "trace.h"

#define WHAT_IS_KNOWN "with the quirk disabled, some guest was seen unstable " \
    "with an assigned Nvidia GPU, and why was never found"

static bool slot_zap_in_force;

#ifdef TARGET_I386
static bool slot_zap_quirk_exists(void)
{
    return true;
}

static bool slot_zap_quirk_can_be_disabled(void)
{
    int quirks = kvm_check_extension(kvm_state, KVM_CAP_DISABLE_QUIRKS2);

    return quirks > 0 && (quirks & KVM_X86_QUIRK_SLOT_ZAP_ALL);
}

static bool slot_zap_quirk_disable(void)
{
    return kvm_vm_enable_cap(kvm_state, KVM_CAP_DISABLE_QUIRKS2, 0,
                             KVM_X86_QUIRK_SLOT_ZAP_ALL) == 0;
}
#else
static bool slot_zap_quirk_exists(void)
{
    return false;
}

static bool slot_zap_quirk_can_be_disabled(void)
{
    return false;
}

static bool slot_zap_quirk_disable(void)
{
    return false;
}
#endif

static bool slot_zap_has_vfio(void)
{
    bool several = false;

    return object_resolve_path_type("", PREFAULT_COMPAT_VFIO_PCI, &several) ||
           several;
}

static void slot_zap_device_plugged(DeviceListener *listener, DeviceState *dev)
{
    /* A new listener makes QEMU tell all of them about all devices again */
    if (dev->hotplugged &&
        object_dynamic_cast(OBJECT(dev), PREFAULT_COMPAT_VFIO_PCI)) {
        warn_report_once("prefault: VFIO device plugged while "
                         "KVM_X86_QUIRK_SLOT_ZAP_ALL is disabled: "
                         WHAT_IS_KNOWN "; start QEMU with slot-zap-all=on to "
                         "rule that out");
    }
}

static void slot_zap_watch_devices(void)
{
    static DeviceListener listener = { .realize = slot_zap_device_plugged };

    device_listener_register(&listener);
}

/* The VM of a guest that was reset may be a new one, with all quirks */
static int slot_zap_vm_changed(NotifierWithReturn *notifier, void *data,
                               Error **errp)
{
    const VmfdChangeNotifier *change = data;

    if (!change->pre && !slot_zap_quirk_disable()) {
        warn_report("prefault: KVM_X86_QUIRK_SLOT_ZAP_ALL cannot be disabled "
                    "for the VM that this reset has made");
        slot_zap_in_force = true;
    }
    return 0;
}

static void slot_zap_watch_vm(void)
{
    static NotifierWithReturn notifier = { .notify = slot_zap_vm_changed };

    kvm_vmfd_add_change_notifier(&notifier);
}

bool kvm_slot_zap_set_up(Error **errp)
{
    OnOffAuto wanted = prefault_slot_zap_all();
    bool vfio = slot_zap_has_vfio();

    assert(bql_locked());
    slot_zap_in_force = slot_zap_quirk_exists();
    if (!slot_zap_in_force || wanted == ON_OFF_AUTO_ON ||
        (wanted == ON_OFF_AUTO_AUTO && vfio)) {
        return true;
    }
    if (slot_zap_quirk_can_be_disabled() && slot_zap_quirk_disable()) {
        slot_zap_in_force = false;
        slot_zap_watch_devices();
        slot_zap_watch_vm();
        if (vfio) {
            warn_report("slot-zap-all=off with a VFIO device: " WHAT_IS_KNOWN);
        }
    } else if (wanted == ON_OFF_AUTO_OFF) {
        error_setg(errp, "slot-zap-all=off: KVM cannot disable "
                   "KVM_X86_QUIRK_SLOT_ZAP_ALL, which takes Linux 6.12 or "
                   "later; slot-zap-all=auto does without");
        return false;
    }
    trace_kvm_slot_zap_set_up(slot_zap_in_force, vfio);
    return true;
}

bool kvm_slot_zap_all(void)
{
    return slot_zap_in_force;
}
