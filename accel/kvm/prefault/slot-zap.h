/*
 * The quirk that makes KVM forget all mappings when one memslot is deleted
 *
 * On a default x86 VM, deleting a memslot drops the stage-2 mappings of all
 * memslots, unless KVM_X86_QUIRK_SLOT_ZAP_ALL is disabled (bit 7 of
 * KVM_CAP_DISABLE_QUIRKS2, since Linux 6.12; Documentation/virt/kvm/api.rst).
 * The quirk exists because a guest with an assigned Nvidia GPU was once seen
 * unstable when only the memslot's mappings were dropped; the cause was never
 * found.  So the quirk is not disabled silently where a VFIO device is present.
 * Once disabled it cannot be enabled again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_PREFAULT_SLOT_ZAP_H
#define ACCEL_KVM_PREFAULT_SLOT_ZAP_H

/**
 * kvm_slot_zap_set_up: disable the quirk if slot-zap-all and the host allow it
 * @errp: set if slot-zap-all=off was given and KVM cannot do that
 *
 * With slot-zap-all=auto the quirk is disabled if no VFIO device is present and
 * KVM can disable it; if KVM cannot, that is no error.  A VFIO device that is
 * plugged while the quirk is disabled gets a warning.  A new VM that a reset
 * makes (since QEMU 11.0) gets the same as the first.
 *
 * Context: BQL, once, when the machine is complete.
 *
 * Returns: false if slot-zap-all=off was given and KVM cannot do that.
 */
bool kvm_slot_zap_set_up(Error **errp);

/**
 * kvm_slot_zap_all: does deleting a memslot drop the mappings of all?
 *
 * Context: BQL.
 *
 * Returns: true if so.
 */
bool kvm_slot_zap_all(void);

#endif /* ACCEL_KVM_PREFAULT_SLOT_ZAP_H */
