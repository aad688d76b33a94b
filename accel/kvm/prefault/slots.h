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
 * Returns: KVM's listener that has them; NULL before there is one.
 */
const KVMMemoryListener *kvm_slots(void);

/**
 * kvm_slots_sorted: the memslots of an address space, by guest address
 * @kml: its listener
 *
 * Context: BQL.
 *
 * Returns: an array of const KVMSlot *, for g_ptr_array_unref(), that is true
 * until memslots are created or deleted.
 */
GPtrArray *kvm_slots_sorted(const KVMMemoryListener *kml);

/**
 * kvm_slot_find: the memslot that covers exactly a range
 * @slots: from kvm_slots_sorted()
 * @start: guest address
 * @size: bytes
 *
 * Context: BQL.
 *
 * Returns: the memslot, or NULL.
 */
const KVMSlot *kvm_slot_find(const GPtrArray *slots, hwaddr start, hwaddr size);

#endif /* ACCEL_KVM_PREFAULT_SLOTS_H */
