/*
 * KVM's memslots: found by address
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_PREFAULT_SLOTS_H
#define ACCEL_KVM_PREFAULT_SLOTS_H

#include "exec/hwaddr.h"
#include "system/kvm_int.h"

/**
 * kvm_slots: the memslots of the address space that vCPUs see outside SMM
 *
 * Context: BQL.
 *
 * Returns: KVM's listener that has them.
 */
const KVMMemoryListener *kvm_slots(void);

/**
 * kvm_slot_is_mappable: can memory of a memslot be mapped in advance?
 * @slot: memslot, in use or not
 *
 * Context: BQL.
 *
 * Returns: false if it is not in use, read-only or logs dirty pages.
 */
bool kvm_slot_is_mappable(const KVMSlot *slot);

/**
 * kvm_slot_at: the memslot at a guest address that vCPUs see outside SMM
 * @start: guest address
 * @end: where to stop, more than @start; filled with where the memslot ends, or
 *       where the next one begins if there is none at @start
 *
 * Context: BQL.
 *
 * Returns: the memslot, or NULL.
 */
const KVMSlot *kvm_slot_at(hwaddr start, hwaddr *end);

/**
 * kvm_slot_find: the memslot that covers exactly a range
 * @kml: listener of an address space
 * @start: guest address
 * @size: bytes
 *
 * Context: BQL.
 *
 * Returns: the memslot, or NULL.
 */
const KVMSlot *kvm_slot_find(const KVMMemoryListener *kml, hwaddr start,
                             hwaddr size);

#endif /* ACCEL_KVM_PREFAULT_SLOTS_H */
