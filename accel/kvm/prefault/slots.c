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
