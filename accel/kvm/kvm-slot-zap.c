/*
 * The quirk that makes KVM forget all mappings when one memslot is deleted
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "hw/core/prefault.h"
#include "hw/qdev-core.h"
#include "qapi/error.h"
#include "qapi/qapi-types-common.h"
#include "qapi/qapi-visit-common.h"
#include "qemu/error-report.h"
#include "system/kvm.h"
#include "system/kvm_int.h"
#include "system/kvm-slot-zap.h"
#include "trace.h"

/* What every assigned PCI device is; QEMU has no header for others to include */
#define TYPE_ANY_VFIO_PCI "vfio-pci-device"

#define WHAT_IS_KNOWN "with the quirk disabled, some guest was seen unstable " \
    "with an assigned Nvidia GPU, and why was never found"

static OnOffAuto wanted = ON_OFF_AUTO_AUTO;
static bool zap_all;

static void get_slot_zap_all(Object *obj, Visitor *v, const char *name,
                             void *opaque, Error **errp)
{
    visit_type_OnOffAuto(v, name, &wanted, errp);
}

static void set_slot_zap_all(Object *obj, Visitor *v, const char *name,
                             void *opaque, Error **errp)
{
    prefault_set_on_off_auto(v, name, &wanted, errp);
}

void kvm_slot_zap_class_init(ObjectClass *oc)
{
    object_class_property_add(oc, "slot-zap-all", "OnOffAuto",
                              get_slot_zap_all, set_slot_zap_all, NULL, NULL);
    object_class_property_set_description(oc, "slot-zap-all",
        "With prefault: let KVM drop all mappings of guest memory when one "
        "memslot is deleted (auto: only if a VFIO device is present)");
}

#ifdef TARGET_I386
static bool quirk_exists(void)
{
    return true;
}

static bool quirk_can_be_disabled(void)
{
    int quirks = kvm_check_extension(kvm_state, KVM_CAP_DISABLE_QUIRKS2);

    return quirks > 0 && (quirks & KVM_X86_QUIRK_SLOT_ZAP_ALL);
}

static bool quirk_disable(void)
{
    return kvm_vm_enable_cap(kvm_state, KVM_CAP_DISABLE_QUIRKS2, 0,
                             KVM_X86_QUIRK_SLOT_ZAP_ALL) == 0;
}
#else
static bool quirk_exists(void)
{
    return false;
}

static bool quirk_can_be_disabled(void)
{
    return false;
}

static bool quirk_disable(void)
{
    return false;
}
#endif

static bool has_vfio_device(void)
{
    bool several = false;

    return object_resolve_path_type("", TYPE_ANY_VFIO_PCI, &several) || several;
}

static void device_plugged(DeviceListener *listener, DeviceState *dev)
{
    /* A new listener makes QEMU tell all of them about all devices again */
    if (dev->hotplugged && object_dynamic_cast(OBJECT(dev), TYPE_ANY_VFIO_PCI)) {
        warn_report_once("prefault: VFIO device plugged while "
                         "KVM_X86_QUIRK_SLOT_ZAP_ALL is disabled: "
                         WHAT_IS_KNOWN "; start QEMU with slot-zap-all=on to "
                         "rule that out");
    }
}

static void watch_devices(void)
{
    static DeviceListener listener = { .realize = device_plugged };

    device_listener_register(&listener);
}

bool kvm_slot_zap_set_up(Error **errp)
{
    bool vfio = has_vfio_device();

    zap_all = quirk_exists();
    if (!zap_all || wanted == ON_OFF_AUTO_ON ||
        (wanted == ON_OFF_AUTO_AUTO && vfio)) {
        return true;
    }
    if (quirk_can_be_disabled() && quirk_disable()) {
        zap_all = false;
        watch_devices();
        if (vfio) {
            warn_report("slot-zap-all=off with a VFIO device: " WHAT_IS_KNOWN);
        }
    } else if (wanted == ON_OFF_AUTO_OFF) {
        error_setg(errp, "slot-zap-all=off: KVM cannot disable "
                   "KVM_X86_QUIRK_SLOT_ZAP_ALL, which takes Linux 6.12 or "
                   "later; slot-zap-all=auto does without");
        return false;
    }
    trace_kvm_slot_zap_set_up(zap_all, vfio);
    return true;
}

bool kvm_slot_zap_all(void)
{
    return zap_all;
}
