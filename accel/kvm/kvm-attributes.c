/*
 * Memory attributes: what KVM takes for private follows RamBlockAttributes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "hw/core/prefault.h"
#include "hw/qdev-core.h"
#include "qemu/bitmap.h"
#include "qemu/error-report.h"
#include "qemu/range.h"
#include "system/address-spaces.h"
#include "system/kvm.h"
#include "system/kvm-attributes.h"
#include "system/runstate.h"
#include "trace.h"

/* After KVM's own listener: the memslots are as they are going to be */
#define PRIORITY_AFTER_KVM (MEMORY_LISTENER_PRIORITY_ACCEL + 1)

static bool tracking;
/* Of Range: what had guest_memfd memory before the change under way */
static GArray *left_behind;

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

uint64_t kvm_attributes_run(const RAMBlock *rb, uint64_t offset, uint64_t end,
                            bool *is_private)
{
    const unsigned long *shared = rb->attributes->bitmap;
    size_t page = qemu_real_host_page_size();
    unsigned long first = offset / page, last = end / page;

    *is_private = !test_bit(first, shared);
    return page * (*is_private ? find_next_bit(shared, last, first)
                               : find_next_zero_bit(shared, last, first));
}

bool kvm_attributes_slot_run(const KVMSlot *slot, hwaddr gpa, hwaddr *end)
{
    hwaddr in_block = slot->guest_memfd_offset - slot->start_addr;
    bool is_private = false;
    ram_addr_t offset;
    RAMBlock *rb;

    RCU_READ_LOCK_GUARD();
    rb = qemu_ram_block_from_host(slot->ram, false, &offset);
    if (rb && rb->attributes) {
        *end = kvm_attributes_run(rb, gpa + in_block, *end + in_block,
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
        next = kvm_attributes_run(rb, offset, end, &is_private);
        ret = kvm_attributes_set(gpa, next - offset, is_private);
    }
    return ret;
}

static void request_stop(void)
{
    qemu_system_vmstop_request_prepare();
    qemu_system_vmstop_request(RUN_STATE_INTERNAL_ERROR);
}

/* After the stop the guest takes a reset */
static void stop_started(void *opaque, bool running, RunState state)
{
    VMChangeStateEntry **handler = opaque;

    if (running) {
        request_stop();
        qemu_del_vm_change_state_handler(*handler);
        *handler = NULL;
    }
}

/* vm_stop() does nothing to a guest that does not run: stop it once it does */
static void stop_when_started(void)
{
    static VMChangeStateEntry *handler;

    if (!handler) {
        handler = qemu_add_vm_change_state_handler(stop_started, &handler);
    }
}

void kvm_attributes_stop_guest(void)
{
    if (!phase_check(PHASE_MACHINE_READY)) {
        exit(EXIT_FAILURE);
    }
    if (runstate_is_running()) {
        request_stop();
    } else {
        stop_when_started();
    }
}

static void refused(hwaddr start, uint64_t size, int ret)
{
    error_report("KVM refuses to note which guest memory is private, at guest "
                 "address 0x%" HWADDR_PRIx ", size 0x%" PRIx64 ": %s; the "
                 "guest is stopped", start, size, strerror(-ret));
    kvm_attributes_stop_guest();
}

bool kvm_attributes_slot_added(const KVMSlot *slot, MemoryRegion *mr)
{
    int ret;

    if (!memory_region_has_guest_memfd(mr) ||
        !(tracking || prefault_is_wanted())) {
        return false;
    }
    kvm_attributes_track();
    ret = kvm_attributes_apply(mr->ram_block, slot->guest_memfd_offset,
                               slot->memory_size, slot->start_addr);
    if (ret) {
        refused(slot->start_addr, slot->memory_size, ret);
    }
    return true;
}

static void section_removed(MemoryListener *listener,
                            MemoryRegionSection *section)
{
    Range range;

    if (memory_region_has_guest_memfd(section->mr)) {
        range_init_nofail(&range, section->offset_within_address_space,
                          int128_get64(section->size));
        g_array_append_val(left_behind, range);
    }
}

/* A page that is guest_memfd in part only is in no memslot with guest_memfd */
static void share(hwaddr start, hwaddr end)
{
    size_t page = qemu_real_host_page_size();
    int ret;

    start = QEMU_ALIGN_DOWN(start, page);
    end = QEMU_ALIGN_UP(end, page);
    ret = start < end ? kvm_attributes_set(start, end - start, false) : 0;

    if (ret) {
        refused(start, end - start, ret);
    }
}

/*
 * A private address without guest_memfd memory would never work: an access
 * raises KVM_EXIT_MEMORY_FAULT, and there is nothing to convert.
 */
static void share_without_guest_memfd(hwaddr start, hwaddr end)
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
            share(start, at);
            start = at + int128_get64(found.size);
        }
        at += int128_get64(found.size);
        memory_region_unref(found.mr);
    }
    share(start, end);
}

static void map_changed(MemoryListener *listener)
{
    for (unsigned i = 0; i < left_behind->len; i++) {
        Range *range = &g_array_index(left_behind, Range, i);

        share_without_guest_memfd(range_lob(range), range_upb(range) + 1);
    }
    g_array_set_size(left_behind, 0);
}

void kvm_attributes_track(void)
{
    static MemoryListener listener = {
        .name = "kvm-attributes",
        .priority = PRIORITY_AFTER_KVM,
        .region_del = section_removed,
        .commit = map_changed,
    };

    if (tracking) {
        return;
    }
    tracking = true;
    left_behind = g_array_new(false, false, sizeof(Range));
    memory_listener_register(&listener, &address_space_memory);
}
