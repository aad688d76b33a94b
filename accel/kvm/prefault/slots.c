/*
 * KVM's memslots: found by address
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "slots.h"
#include <linux/kvm.h>

const KVMMemoryListener *kvm_slots(void)
{
    return kvm_state->as ? kvm_state->as[0].ml : NULL;
}

bool kvm_slot_is_mappable(const KVMSlot *slot)
{
    return slot->memory_size &&
           !(slot->flags & (KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES));
}

const KVMSlot *kvm_slot_at(hwaddr start, hwaddr *end)
{
    const KVMMemoryListener *kml = kvm_slots();

    for (unsigned i = 0; i < kml->nr_slots_allocated; i++) {
        const KVMSlot *slot = &kml->slots[i];

        if (!slot->memory_size) {
            continue;
        }
        if (slot->start_addr > start) {
            *end = MIN(*end, slot->start_addr);
        } else if (start - slot->start_addr < slot->memory_size) {
            *end = MIN(*end, slot->start_addr + slot->memory_size);
            return slot;
        }
    }
    return NULL;
}

const KVMSlot *kvm_slot_find(const KVMMemoryListener *kml, hwaddr start,
                             hwaddr size)
{
    for (unsigned i = 0; i < kml->nr_slots_allocated; i++) {
        const KVMSlot *slot = &kml->slots[i];

        if (slot->start_addr == start && slot->memory_size == size) {
            return slot;
        }
    }
    return NULL;
}
