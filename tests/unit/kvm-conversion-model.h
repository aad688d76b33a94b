/*
 * A made-up guest whose memory is converted between private and shared
 *
 * It has several regions and holes.  KVM, the memory API and RAM blocks are
 * made up here; each call into KVM and each listener can fail.  The model says
 * what each page must be, in QEMU's record and in KVM's attributes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_KVM_CONVERSION_MODEL_H
#define TESTS_UNIT_KVM_CONVERSION_MODEL_H

#include <linux/kvm.h>
#include "qemu/bitmap.h"
#include "../../accel/kvm/prefault/attributes.c"
#include "../../accel/kvm/prefault/conversion.c"

#define PAGES 64
#define BLOCK_PAGES 32

/* A region of the guest, in pages */
typedef struct Layout {
    unsigned start;
    unsigned end;
    int block;                  /* with guest_memfd, or -1 */
    unsigned offset;            /* in the block */
} Layout;

enum { BLOCKS = 3, HUGETLB = 2 };

/* Two blocks beside each other, one of them in two pieces; a hole; a device */
static const Layout layout[] = {
    { 0, 12, 0, 0 }, { 12, 20, 1, 0 }, { 24, 28, -1, 0 }, { 28, 40, 1, 8 },
    { 40, 56, HUGETLB, 4 },
};

/* system/kvm.h has it for code of one target only */
int kvm_vcpu_ioctl(CPUState *cpu, unsigned long type, ...);

KVMState *kvm_state;
AddressSpace address_space_memory;

static size_t page;
static RAMBlock blocks[BLOCKS];
static MemoryRegion regions[ARRAY_SIZE(layout)], *system_memory = regions;

/* What the fakes know */
static bool attribute_private[PAGES];
static bool given_back_private[BLOCKS][BLOCK_PAGES];
static bool given_back_shared[BLOCKS][BLOCK_PAGES];
static unsigned stopped;

/* Which call fails from now on, 0 none; and how often that happened */
static unsigned fail_attributes, fail_populate;
static unsigned failed_attributes, failed_populate;
static bool fail_for_ever;

static bool fails(unsigned *countdown, unsigned *count)
{
    if (!*countdown || --*countdown) {
        return false;
    }
    *countdown = fail_for_ever;
    ++*count;
    return true;
}

/* The memory API, as far as conversion uses it */

MemoryRegion *get_system_memory(void)
{
    return system_memory;
}

MemoryRegionSection memory_region_find(MemoryRegion *mr, hwaddr addr,
                                       uint64_t size)
{
    for (int i = 0; i < ARRAY_SIZE(layout); i++) {
        hwaddr start = MAX(addr, layout[i].start * page);
        hwaddr end = MIN(addr + size, layout[i].end * page);

        if (start < end) {
            return (MemoryRegionSection) {
                .mr = &regions[i],
                .offset_within_region = start - layout[i].start * page +
                                        layout[i].offset * page,
                .offset_within_address_space = start,
                .size = int128_make64(end - start),
            };
        }
    }
    return (MemoryRegionSection) {};
}

void memory_region_unref(MemoryRegion *mr)
{
}

bool memory_region_has_guest_memfd(PrefaultAskedRegion *mr)
{
    return mr->ram_block;
}

void memory_listener_register(MemoryListener *listener, AddressSpace *as)
{
}

RAMBlock *qemu_ram_block_from_host(void *ptr, bool round_offset,
                                   ram_addr_t *offset)
{
    return NULL;
}

void kvm_prefault_stop_guest(void)
{
    stopped++;
}

/* Nothing is converted by the block here */
const KVMMemoryListener *kvm_slots(void)
{
    g_assert_not_reached();
}

/* KVM and RAM blocks */

int kvm_vm_ioctl(KVMState *s, unsigned long type, ...)
{
    const struct kvm_memory_attributes *a;
    va_list ap;

    va_start(ap, type);
    a = va_arg(ap, struct kvm_memory_attributes *);
    va_end(ap);
    g_assert_cmphex(type, ==, KVM_SET_MEMORY_ATTRIBUTES);
    g_assert(a->size && !(a->address % page) && !(a->size % page));
    if (fails(&fail_attributes, &failed_attributes)) {
        return -ENOMEM;
    }
    for (hwaddr gpa = a->address; gpa < a->address + a->size; gpa += page) {
        attribute_private[gpa / page] =
            a->attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;
    }
    return 0;
}

/* As QEMU's: what fails is noted as populated all the same */
int ram_block_attributes_state_change(RamBlockAttributes *attr, uint64_t offset,
                                      uint64_t size, bool to_discard)
{
    if (to_discard) {
        bitmap_clear(attr->bitmap, offset / page, size / page);
        return 0;
    }
    bitmap_set(attr->bitmap, offset / page, size / page);
    if (!fails(&fail_populate, &failed_populate)) {
        return 0;
    }
    /* Let it be undone */
    fail_attributes = 0;
    return -EIO;
}

static void note_given_back(bool given[BLOCKS][BLOCK_PAGES], RAMBlock *rb,
                            uint64_t offset, size_t length)
{
    for (uint64_t i = offset; i < offset + length; i += page) {
        g_assert(!given[rb - blocks][i / page]);
        given[rb - blocks][i / page] = true;
    }
}

int ram_block_discard_shared_range(RAMBlock *rb, uint64_t offset, size_t length)
{
    g_assert(rb - blocks != HUGETLB);
    note_given_back(given_back_shared, rb, offset, length);
    return 0;
}

int ram_block_discard_guest_memfd_range(RAMBlock *rb, uint64_t offset,
                                        size_t length)
{
    note_given_back(given_back_private, rb, offset, length);
    return 0;
}

/* The model */

static const Layout *layout_at(unsigned gfn)
{
    for (int i = 0; i < ARRAY_SIZE(layout); i++) {
        if (gfn >= layout[i].start && gfn < layout[i].end) {
            return &layout[i];
        }
    }
    return NULL;
}

static bool *record_of(bool model[PAGES], unsigned gfn)
{
    const Layout *l = layout_at(gfn);

    return l && l->block >= 0 ? &model[gfn] : NULL;
}

static bool is_private(unsigned gfn)
{
    const Layout *l = layout_at(gfn);

    return !test_bit(gfn - l->start + l->offset,
                     blocks[l->block].attributes->bitmap);
}

static void check(bool model[PAGES])
{
    for (unsigned gfn = 0; gfn < PAGES; gfn++) {
        bool *wanted = record_of(model, gfn);

        g_assert_cmpint(attribute_private[gfn], ==, wanted && *wanted);
        if (wanted) {
            g_assert_cmpint(is_private(gfn), ==, *wanted);
        }
    }
}

/* Given back is what changed, and nothing else */
static void check_given_back(bool before[PAGES], bool after[PAGES],
                             bool to_private)
{
    for (unsigned gfn = 0; gfn < PAGES; gfn++) {
        const Layout *l = layout_at(gfn);
        bool changed = before[gfn] != after[gfn];
        unsigned i;

        if (!record_of(after, gfn)) {
            continue;
        }
        i = gfn - l->start + l->offset;
        g_assert_cmpint(given_back_private[l->block][i], ==,
                        changed && !to_private);
        g_assert_cmpint(given_back_shared[l->block][i], ==,
                        changed && to_private && l->block != HUGETLB);
    }
    memset(given_back_private, 0, sizeof(given_back_private));
    memset(given_back_shared, 0, sizeof(given_back_shared));
}

static void setup(bool model[PAGES])
{
    page = qemu_real_host_page_size();
    memset(attribute_private, 0, sizeof(attribute_private));
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i].page_size = i == HUGETLB ? 512 * page : page;
        blocks[i].attributes = g_new0(RamBlockAttributes, 1);
        blocks[i].attributes->bitmap = bitmap_new(BLOCK_PAGES);
    }
    for (int i = 0; i < ARRAY_SIZE(layout); i++) {
        regions[i].ram_block = layout[i].block < 0 ? NULL
                                                   : &blocks[layout[i].block];
    }
    for (unsigned gfn = 0; gfn < PAGES; gfn++) {
        bool *record = record_of(model, gfn);

        if (record) {
            *record = attribute_private[gfn] = true;
        }
    }
}

static void teardown(void)
{
    for (int i = 0; i < BLOCKS; i++) {
        g_free(blocks[i].attributes->bitmap);
        g_free(blocks[i].attributes);
    }
}

#endif /* TESTS_UNIT_KVM_CONVERSION_MODEL_H */
