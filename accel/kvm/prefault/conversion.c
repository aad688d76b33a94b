/*
 * Conversion of guest memory between private and shared
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "qapi/error.h"
#include "qemu/units.h"
#include "hw/core/prefault-compat.h"
#include "system/kvm.h"
#include "system/kvm-prefault.h"
#include "attributes.h"
#include "conversion.h"
#include "slots.h"
#include "trace.h"

/* Bytes that one kvm_conversion_give_back() gives back: a few milliseconds */
#define GIVE_BACK_SIZE (16 * MiB)

/* The part of the range in one memory region, or in one memslot of a block */
typedef struct Part {
    MemoryRegion *mr;           /* referenced, or NULL */
    RAMBlock *rb;
    hwaddr gpa;
    uint64_t offset;            /* in the block */
    uint64_t size;
} Part;

/* Pages of a block, next to each other, that are on the other side */
typedef struct Extent {
    RAMBlock *rb;
    uint64_t offset;
    uint64_t size;
} Extent;

struct KvmConversion {
    bool to_private;
    GArray *parts;              /* of Part */
    GArray *extents;            /* of Extent */
    /* Parts and extents that conversion_undo() has to put back */
    unsigned parts_begun;
    unsigned extents_begun;
    /* Progress of giving back: whole extents, and bytes of the next one */
    unsigned extents_given;
    uint64_t given;
    KvmConversionResult result;
};

static KvmConversion *conversion_new(bool to_private)
{
    KvmConversion *c = g_new(KvmConversion, 1);

    *c = (KvmConversion) {
        .to_private = to_private,
        .parts = g_array_new(false, false, sizeof(Part)),
        .extents = g_array_new(false, false, sizeof(Extent)),
    };
    return c;
}

void kvm_conversion_end(KvmConversion *c, KvmConversionResult *result)
{
    for (unsigned i = 0; i < c->parts->len; i++) {
        MemoryRegion *mr = g_array_index(c->parts, Part, i).mr;

        if (mr) {
            memory_region_unref(mr);
        }
    }
    *result = c->result;
    g_array_unref(c->parts);
    g_array_unref(c->extents);
    g_free(c);
}

static bool conversion_check_range(hwaddr start, uint64_t size, Error **errp)
{
    size_t page = qemu_real_host_page_size();

    if (!size) {
        error_setg(errp, "the range is empty");
    } else if (!QEMU_IS_ALIGNED(start, page) || !QEMU_IS_ALIGNED(size, page)) {
        error_setg(errp, "the range is not made of whole pages of the host");
    } else if (size > UINT64_MAX - start) {
        error_setg(errp, "the range wraps around");
    } else {
        return true;
    }
    return false;
}

/*
 * Note the pages of @rb in [@offset, @end) that change.  A part can give any
 * number of extents: as many as the guest's earlier conversions, page by page,
 * have cut it into.
 */
static void conversion_add_extents(KvmConversion *c, RAMBlock *rb,
                                   uint64_t offset, uint64_t end)
{
    while (offset < end) {
        bool is_private;
        uint64_t next = prefault_private_extent(rb, offset, end, &is_private);
        Extent extent = { .rb = rb, .offset = offset, .size = next - offset };

        if (is_private != c->to_private) {
            g_array_append_val(c->extents, extent);
            c->result.changed += extent.size;
        }
        offset = next;
    }
}

/*
 * Takes over the section's reference.  Only whole pages are in a memslot with
 * guest_memfd: a page that the section covers in part only stays shared.
 */
static void conversion_add_part(KvmConversion *c,
                                const MemoryRegionSection *section)
{
    size_t page = qemu_real_host_page_size();
    hwaddr start = section->offset_within_address_space;
    hwaddr end = start + int128_get64(section->size);
    hwaddr aligned = QEMU_ALIGN_UP(start, page);
    Part part = {
        .mr = section->mr,
        .rb = section->mr->ram_block,
        .gpa = aligned,
        .offset = section->offset_within_region + (aligned - start),
    };

    end = QEMU_ALIGN_DOWN(end, page);
    if (aligned >= end || !QEMU_IS_ALIGNED(part.offset, page)) {
        memory_region_unref(section->mr);
        return;
    }
    part.size = end - aligned;
    g_array_append_val(c->parts, part);
    conversion_add_extents(c, part.rb, part.offset, part.offset + part.size);
}

static bool conversion_find_parts(KvmConversion *c, hwaddr start, uint64_t size,
                                  Error **errp)
{
    hwaddr end = start + size;

    while (start < end) {
        MemoryRegionSection found = memory_region_find(get_system_memory(),
                                                       start, end - start);
        if (!found.mr) {
            break;
        }
        start = found.offset_within_address_space + int128_get64(found.size);
        if (memory_region_has_guest_memfd(found.mr)) {
            conversion_add_part(c, &found);
        } else {
            memory_region_unref(found.mr);
        }
    }
    if (c->to_private && !c->parts->len) {
        error_setg(errp, "there is no memory that can be private");
        return false;
    }
    return true;
}

static int conversion_set_attributes(KvmConversion *c, Error **errp)
{
    for (; c->parts_begun < c->parts->len; c->parts_begun++) {
        const Part *part = &g_array_index(c->parts, Part, c->parts_begun);
        int ret = kvm_attributes_set(part->gpa, part->size, c->to_private);

        if (ret) {
            error_setg_errno(errp, -ret, "KVM_SET_MEMORY_ATTRIBUTES at 0x%"
                             HWADDR_PRIx ", size 0x%" PRIx64, part->gpa,
                             part->size);
            return ret;
        }
    }
    return 0;
}

static int conversion_change_extent(const Extent *extent, bool to_private)
{
    return ram_block_attributes_state_change(
        extent->rb->attributes, extent->offset, extent->size, to_private);
}

/* Listeners map memory that becomes shared, which may fail */
static int conversion_tell_listeners(KvmConversion *c, Error **errp)
{
    while (c->extents_begun < c->extents->len) {
        const Extent *extent =
            &g_array_index(c->extents, Extent, c->extents_begun++);
        int ret = conversion_change_extent(extent, c->to_private);

        if (ret) {
            error_setg_errno(errp, -ret, "a listener of memory '%s', for "
                             "instance VFIO, at offset 0x%" PRIx64
                             ", size 0x%" PRIx64, extent->rb->idstr,
                             extent->offset, extent->size);
            return ret;
        }
    }
    return 0;
}

/*
 * Put the record of each block right first, also that of an extent whose
 * listeners were told in part; then set KVM's attributes from the record.  An
 * error does not end this: each extent and part that can be put back is.
 */
static bool conversion_undo(KvmConversion *c)
{
    bool undone = true;

    while (c->extents_begun) {
        const Extent *extent =
            &g_array_index(c->extents, Extent, --c->extents_begun);

        undone &= conversion_change_extent(extent, !c->to_private) == 0;
    }
    while (c->parts_begun) {
        const Part *part = &g_array_index(c->parts, Part, --c->parts_begun);

        undone &= kvm_attributes_apply(part->rb, part->offset, part->size,
                                       part->gpa) == 0;
    }
    trace_kvm_conversion_undo(c->to_private, undone);
    return undone;
}

/*
 * hugetlb pages stay, which is no error: they are larger than the pages that a
 * guest converts, and were set aside for the guest.
 */
static int conversion_discard(RAMBlock *rb, uint64_t offset, uint64_t size,
                              bool was_private)
{
    if (was_private) {
        return ram_block_discard_guest_memfd_range(rb, offset, size);
    }
    return rb->page_size == qemu_real_host_page_size()
           ? ram_block_discard_shared_range(rb, offset, size) : 0;
}

/*
 * A page that was converted back since keeps its memory: it is in use again.
 * An error is counted only, for the page has changed sides all the same.
 */
static void conversion_give_back_piece(KvmConversion *c, RAMBlock *rb,
                                       uint64_t offset, uint64_t end)
{
    uint64_t next;

    for (; offset < end; offset = next) {
        bool is_private;

        next = prefault_private_extent(rb, offset, end, &is_private);
        if (is_private == c->to_private &&
            conversion_discard(rb, offset, next - offset, !is_private)) {
            c->result.kept += next - offset;
        }
    }
}

bool kvm_conversion_give_back(KvmConversion *c)
{
    uint64_t room = GIVE_BACK_SIZE;

    while (room && c->extents_given < c->extents->len) {
        const Extent *extent =
            &g_array_index(c->extents, Extent, c->extents_given);
        uint64_t size = MIN(extent->size - c->given, room);

        conversion_give_back_piece(c, extent->rb, extent->offset + c->given,
                                   extent->offset + c->given + size);
        room -= size;
        c->given += size;
        if (c->given == extent->size) {
            c->extents_given++;
            c->given = 0;
        }
    }
    return c->extents_given < c->extents->len;
}

/* Returns 0, or -1 after conversion_undo(); @errp says if that failed too */
static int conversion_change(KvmConversion *c, Error **errp)
{
    if (conversion_set_attributes(c, errp) == 0 &&
        conversion_tell_listeners(c, errp) == 0) {
        return 0;
    }
    if (!conversion_undo(c)) {
        error_prepend(errp, "(and what was done already cannot be undone) ");
    }
    return -1;
}

KvmConversion *kvm_conversion_begin(hwaddr start, uint64_t size,
                                    bool to_private, Error **errp)
{
    KvmConversion *c;
    KvmConversionResult result;
    int ret;

    if (!conversion_check_range(start, size, errp)) {
        return NULL;
    }
    c = conversion_new(to_private);
    ret = conversion_find_parts(c, start, size, errp)
              ? conversion_change(c, errp)
              : -1;
    trace_kvm_conversion_begin(start, size, to_private, c->parts->len,
                               c->extents->len, c->result.changed, ret);
    if (ret) {
        kvm_conversion_end(c, &result);
        return NULL;
    }
    return c;
}

/*
 * A block that is not mapped has no memslot here: it gets its attributes from
 * kvm_attributes_slot_added().
 */
static void conversion_add_slots(KvmConversion *c, RAMBlock *rb)
{
    const KVMMemoryListener *kml = kvm_slots();

    for (unsigned i = 0; kml && i < kml->nr_slots_allocated; i++) {
        const KVMSlot *slot = &kml->slots[i];
        Part part = {
            .rb = rb,
            .gpa = slot->start_addr,
            .offset = slot->guest_memfd_offset,
            .size = slot->memory_size,
        };

        if (slot->memory_size && slot->flags & KVM_MEM_GUEST_MEMFD &&
            slot->guest_memfd == rb->guest_memfd) {
            g_array_append_val(c->parts, part);
        }
    }
}

bool kvm_conversion_convert_block(RAMBlock *rb, bool to_private, Error **errp)
{
    KvmConversion *c = conversion_new(to_private);
    KvmConversionResult result;
    bool ok;

    conversion_add_slots(c, rb);
    conversion_add_extents(
        c, rb, 0, QEMU_ALIGN_UP(rb->used_length, qemu_real_host_page_size()));
    ok = conversion_change(c, errp) == 0;
    while (ok && kvm_conversion_give_back(c)) {
        /* No vCPU runs that would wait for the BQL */
    }
    /* The figures count requests only, so @result is dropped */
    kvm_conversion_end(c, &result);
    return ok;
}
