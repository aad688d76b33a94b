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

static int slots_compare(const void *a, const void *b)
{
    hwaddr x = (*(const KVMSlot *const *)a)->start_addr;
    hwaddr y = (*(const KVMSlot *const *)b)->start_addr;

    return x < y ? -1 : x > y;
}

GPtrArray *kvm_slots_sorted(const KVMMemoryListener *kml)
{
    GPtrArray *slots = g_ptr_array_new();

    for (unsigned i = 0; i < kml->nr_slots_allocated; i++) {
        if (kml->slots[i].memory_size) {
            g_ptr_array_add(slots, &kml->slots[i]);
        }
    }
    g_ptr_array_sort(slots, slots_compare);
    return slots;
}

const KVMSlot *kvm_slot_find(const GPtrArray *slots, hwaddr start, hwaddr size)
{
    KVMSlot key = { .start_addr = start };
    const KVMSlot *pkey = &key;
    const KVMSlot **found = slots->len
                            ? bsearch(&pkey, slots->pdata, slots->len,
                                      sizeof(pkey), slots_compare) : NULL;

    return found && (*found)->memory_size == size ? *found : NULL;
}
