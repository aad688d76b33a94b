/*
 * Memory attributes: KVM's view of private pages follows RamBlockAttributes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/range.h"
#include "hw/core/prefault-compat.h"
#include "system/kvm.h"
#include "system/kvm-prefault.h"
#include "attributes.h"
#include "trace.h"

/* Runs after KVM's own listener, when the memslots have changed already */
#define PRIORITY_AFTER_KVM (MEMORY_LISTENER_PRIORITY_ACCEL + 1)

static bool attributes_tracked;
/* Of Range: addresses that had guest_memfd memory before this change */
static GArray *attributes_left_behind;

int kvm_attributes_set(hwaddr start, uint64_t size, bool to_private)
{
    struct kvm_memory_attributes attributes = {
        .address = start,
        .size = size,
        .attributes = to_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
    };
    int ret = kvm_vm_ioctl(kvm_state, KVM_SET_MEMORY_ATTRIBUTES, &attributes);

    trace_kvm_attributes_set(start, size, to_private, ret);
    return ret;
}

bool kvm_attributes_slot_extent(const KVMSlot *slot, hwaddr gpa, hwaddr *end)
{
    hwaddr in_block = slot->guest_memfd_offset - slot->start_addr;
    bool is_private = false;
    ram_addr_t offset;
    RAMBlock *rb;

    RCU_READ_LOCK_GUARD();
    rb = qemu_ram_block_from_host(slot->ram, false, &offset);
    if (rb && rb->attributes) {
        *end = prefault_private_extent(rb, gpa + in_block, *end + in_block,
                                       &is_private) - in_block;
    }
    return is_private;
}

int kvm_attributes_apply(const RAMBlock *rb, uint64_t offset, uint64_t size,
                         hwaddr gpa)
{
    uint64_t end = offset + size, next;
    bool is_private;
    int ret = 0;

    for (; offset < end && !ret; gpa += next - offset, offset = next) {
        next = prefault_private_extent(rb, offset, end, &is_private);
        ret = kvm_attributes_set(gpa, next - offset, is_private);
    }
    return ret;
}

static void attributes_refused(hwaddr start, uint64_t size, int ret)
{
    error_report("KVM refuses to note which guest memory is private, at guest "
                 "address 0x%" HWADDR_PRIx ", size 0x%" PRIx64 ": %s; the "
                 "guest is stopped", start, size, strerror(-ret));
    kvm_prefault_stop_guest();
}

static void attributes_section_removed(MemoryListener *listener,
                                       MemoryRegionSection *section)
{
    Range range;

    if (memory_region_has_guest_memfd(section->mr)) {
        range_init_nofail(&range, section->offset_within_address_space,
                          int128_get64(section->size));
        g_array_append_val(attributes_left_behind, range);
    }
}

/*
 * Rounds outwards: a page that is guest_memfd in part only is in no memslot
 * with guest_memfd, so all of it is shared.
 */
static void attributes_share(hwaddr start, hwaddr end)
{
    size_t page = qemu_real_host_page_size();
    int ret;

    start = QEMU_ALIGN_DOWN(start, page);
    end = QEMU_ALIGN_UP(end, page);
    ret = start < end ? kvm_attributes_set(start, end - start, false) : 0;

    if (ret) {
        attributes_refused(start, end - start, ret);
    }
}

/*
 * Make [@start, @end) shared, but for guest_memfd memory in it.  A private
 * address without guest_memfd would never work: an access raises
 * KVM_EXIT_MEMORY_FAULT, and there is no memory to convert.
 */
static void attributes_share_without(hwaddr start, hwaddr end)
{
    hwaddr at = start;

    while (at < end) {
        MemoryRegionSection found = memory_region_find(get_system_memory(), at,
                                                       end - at);
        if (!found.mr) {
            break;
        }
        at = found.offset_within_address_space;
        if (memory_region_has_guest_memfd(found.mr)) {
            attributes_share(start, at);
            start = at + int128_get64(found.size);
        }
        at += int128_get64(found.size);
        memory_region_unref(found.mr);
    }
    attributes_share(start, end);
}

static void attributes_map_changed(MemoryListener *listener)
{
    for (unsigned i = 0; i < attributes_left_behind->len; i++) {
        Range *range = &g_array_index(attributes_left_behind, Range, i);

        attributes_share_without(range_lob(range), range_upb(range) + 1);
    }
    g_array_set_size(attributes_left_behind, 0);
}

/* From now on addresses that lose their guest_memfd memory become shared */
static void attributes_track(void)
{
    static MemoryListener listener = {
        .name = "kvm-attributes",
        .priority = PRIORITY_AFTER_KVM,
        .region_del = attributes_section_removed,
        .commit = attributes_map_changed,
    };

    if (attributes_tracked) {
        return;
    }
    attributes_tracked = true;
    attributes_left_behind = g_array_new(false, false, sizeof(Range));
    memory_listener_register(&listener, &address_space_memory);
}

bool kvm_attributes_slot_added(const KVMSlot *slot, MemoryRegion *mr)
{
    int ret;

    assert(bql_locked());
    if (!memory_region_has_guest_memfd(mr)) {
        return false;
    }
    attributes_track();
    ret = kvm_attributes_apply(mr->ram_block, slot->guest_memfd_offset,
                               slot->memory_size, slot->start_addr);
    if (ret) {
        attributes_refused(slot->start_addr, slot->memory_size, ret);
    }
    return true;
}
