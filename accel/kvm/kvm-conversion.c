/*
 * Conversion of guest memory between private and shared
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "qapi/error.h"
#include "qemu/units.h"
#include "system/address-spaces.h"
#include "system/kvm.h"
#include "system/kvm-attributes.h"
#include "system/kvm-conversion.h"
#include "trace.h"

/* What is given back at a time: a few milliseconds */
#define GIVE_BACK_SIZE (16 * MiB)

/* What of the range is in one memory region, or in one memslot of a block */
typedef struct Part {
    MemoryRegion *mr;           /* referenced, or NULL */
    RAMBlock *rb;
    hwaddr gpa;
    uint64_t offset;            /* in the block */
    uint64_t size;
} Part;

/* Pages of a block, next to each other, that are on the other side */
typedef struct Run {
    RAMBlock *rb;
    uint64_t offset;
    uint64_t size;
} Run;

struct KvmConversion {
    bool to_private;
    GArray *parts;              /* of Part */
    GArray *runs;               /* of Run */
    /* How far it got, for the way back */
    unsigned parts_begun;
    unsigned runs_begun;
    /* What was given back: whole runs, and bytes of the next one */
    unsigned runs_given;
    uint64_t given;
    KvmConversionResult result;
};

static KvmConversion *conversion_new(bool to_private)
{
    KvmConversion *c = g_new(KvmConversion, 1);

    *c = (KvmConversion) {
        .to_private = to_private,
        .parts = g_array_new(false, false, sizeof(Part)),
        .runs = g_array_new(false, false, sizeof(Run)),
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
    g_array_unref(c->runs);
    g_free(c);
}

static bool check_range(hwaddr start, uint64_t size, Error **errp)
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
 * Note the pages of @rb in [@offset, @end) that change.  Their number is not
 * bounded by the number of parts, but by what the guest converted before, page
 * by page.
 */
static void add_runs(KvmConversion *c, RAMBlock *rb, uint64_t offset, uint64_t end)
{
    while (offset < end) {
        bool is_private;
        uint64_t next = kvm_attributes_run(rb, offset, end, &is_private);
        Run run = { .rb = rb, .offset = offset, .size = next - offset };

        if (is_private != c->to_private) {
            g_array_append_val(c->runs, run);
            c->result.changed += run.size;
        }
        offset = next;
    }
}

/*
 * Takes over the section's reference.  Only whole pages are in a memslot with
 * guest_memfd: the rest, beside a region smaller than a page, is shared.
 */
static void add_part(KvmConversion *c, const MemoryRegionSection *section)
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
    add_runs(c, part.rb, part.offset, part.offset + part.size);
}

static bool find_parts(KvmConversion *c, hwaddr start, uint64_t size, Error **errp)
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
            add_part(c, &found);
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

static int set_attributes(KvmConversion *c, Error **errp)
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

static int change_run(const Run *run, bool to_private)
{
    return ram_block_attributes_state_change(run->rb->attributes, run->offset,
                                             run->size, to_private);
}

/* Memory that becomes shared is mapped by listeners, which may fail */
static int tell_listeners(KvmConversion *c, Error **errp)
{
    while (c->runs_begun < c->runs->len) {
        const Run *run = &g_array_index(c->runs, Run, c->runs_begun++);
        int ret = change_run(run, c->to_private);

        if (ret) {
            error_setg_errno(errp, -ret, "a listener of memory '%s', for "
                             "instance VFIO, at offset 0x%" PRIx64
                             ", size 0x%" PRIx64, run->rb->idstr, run->offset,
                             run->size);
            return ret;
        }
    }
    return 0;
}

/*
 * The record of each block is put right first, also that of a run whose
 * listeners were told in part; KVM is then told what the record says.
 */
static bool undo(KvmConversion *c)
{
    bool undone = true;

    while (c->runs_begun) {
        const Run *run = &g_array_index(c->runs, Run, --c->runs_begun);

        undone &= change_run(run, !c->to_private) == 0;
    }
    while (c->parts_begun) {
        const Part *part = &g_array_index(c->parts, Part, --c->parts_begun);

        undone &= kvm_attributes_apply(part->rb, part->offset, part->size,
                                       part->gpa) == 0;
    }
    trace_kvm_conversion_undo(c->to_private, undone);
    return undone;
}

/* hugetlb pages are larger than what is converted, and were set aside for the guest */
static int give_back(RAMBlock *rb, uint64_t offset, uint64_t size,
                     bool was_private)
{
    if (was_private) {
        return ram_block_discard_guest_memfd_range(rb, offset, size);
    }
    return rb->page_size == qemu_real_host_page_size()
           ? ram_block_discard_range(rb, offset, size) : 0;
}

/* Pages that were converted again since stay out: their memory counts */
static void give_back_piece(KvmConversion *c, RAMBlock *rb, uint64_t offset,
                            uint64_t end)
{
    uint64_t next;

    for (; offset < end; offset = next) {
        bool is_private;

        next = kvm_attributes_run(rb, offset, end, &is_private);
        if (is_private == c->to_private &&
            give_back(rb, offset, next - offset, !is_private)) {
            c->result.kept += next - offset;
        }
    }
}

bool kvm_conversion_give_back(KvmConversion *c)
{
    uint64_t room = GIVE_BACK_SIZE;

    while (room && c->runs_given < c->runs->len) {
        const Run *run = &g_array_index(c->runs, Run, c->runs_given);
        uint64_t size = MIN(run->size - c->given, room);

        give_back_piece(c, run->rb, run->offset + c->given,
                        run->offset + c->given + size);
        room -= size;
        c->given += size;
        if (c->given == run->size) {
            c->runs_given++;
            c->given = 0;
        }
    }
    return c->runs_given < c->runs->len;
}

/* Returns 0, or -1 with nothing changed, if that is possible */
static int change(KvmConversion *c, Error **errp)
{
    if (set_attributes(c, errp) == 0 && tell_listeners(c, errp) == 0) {
        return 0;
    }
    if (!undo(c)) {
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

    if (!check_range(start, size, errp)) {
        return NULL;
    }
    c = conversion_new(to_private);
    ret = find_parts(c, start, size, errp) ? change(c, errp) : -1;
    trace_kvm_conversion_begin(start, size, to_private, c->parts->len,
                               c->runs->len, c->result.changed, ret);
    if (ret) {
        kvm_conversion_end(c, &result);
        return NULL;
    }
    return c;
}

/* A block that is not mapped gets its attributes with its memslots */
static void add_slots(KvmConversion *c, RAMBlock *rb)
{
    const KVMMemoryListener *kml = kvm_state->as ? kvm_state->as[0].ml : NULL;

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

    add_slots(c, rb);
    add_runs(c, rb, 0, QEMU_ALIGN_UP(rb->used_length,
                                     qemu_real_host_page_size()));
    ok = change(c, errp) == 0;
    while (ok && kvm_conversion_give_back(c)) {
        /* Another piece */
    }
    kvm_conversion_end(c, &result);
    return ok;
}
