/*
 * Prefault: what is not the same in each QEMU that it is built with
 *
 * Headers that moved, and names and signatures that changed, between QEMU 10.0
 * and 11.1.  Files of ours include this header instead of those, and use the
 * newest names; nothing else in them asks for a version.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_COMPAT_H
#define HW_CORE_PREFAULT_COMPAT_H

#include "qemu/atomic.h"
#include "qemu/bitmap.h"
#include "qemu/notify.h"

/* A version: 1101 is 11.1, and what led to it, 11.0.50 and later */
#define PREFAULT_COMPAT_QEMU                                    \
    (QEMU_VERSION_MAJOR * 100 + QEMU_VERSION_MINOR +            \
     (QEMU_VERSION_MICRO >= 50))

#if PREFAULT_COMPAT_QEMU >= 1100
#include "hw/core/boards.h"
#include "hw/core/loader.h"
#include "hw/core/qdev.h"
#include "hw/core/resettable.h"
#include "system/ramlist.h"
#else
#include "hw/boards.h"
#include "hw/loader.h"
#include "hw/qdev-core.h"
#include "hw/resettable.h"
#include "exec/ramlist.h"
#endif

#if PREFAULT_COMPAT_QEMU >= 1001
#include "system/address-spaces.h"
#include "system/memory.h"
#include "system/ramblock.h"
#else
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "exec/ramblock.h"
#endif

/* The type of all assigned PCI devices, which no public header has */
#if PREFAULT_COMPAT_QEMU >= 1002
#define PREFAULT_COMPAT_VFIO_PCI "vfio-pci-device"
#else
#define PREFAULT_COMPAT_VFIO_PCI "vfio-pci"
#endif

/* A number without a lock; 11.0 has none, and 64-bit hosts only */
#if PREFAULT_COMPAT_QEMU >= 1100
typedef struct Stat64 {
    uint64_t value;
} Stat64;

static inline void stat64_add(Stat64 *stat, uint64_t value)
{
    qatomic_add(&stat->value, value);
}

static inline void stat64_set(Stat64 *stat, uint64_t value)
{
    qatomic_set(&stat->value, value);
}

static inline uint64_t stat64_get(const Stat64 *stat)
{
    return qatomic_read(&stat->value);
}
#else
#include "qemu/stats64.h"
#endif

/* Is there a record of what is shared (RamBlockAttributes)?  Since 10.1 */
#define PREFAULT_COMPAT_PRIVATE (PREFAULT_COMPAT_QEMU >= 1001)

/* What class_init functions get: const void since 10.1 */
#if PREFAULT_COMPAT_QEMU >= 1001
typedef const void PrefaultClassData;
#else
typedef void PrefaultClassData;
#endif

/*
 * What callbacks of discard managers get, and what functions that ask something
 * of a region take (for those who make them up): const since 11.1
 */
#if PREFAULT_COMPAT_QEMU >= 1101
typedef const MemoryRegionSection PrefaultManagedSection;
typedef const MemoryRegion PrefaultAskedRegion;
#else
typedef MemoryRegionSection PrefaultManagedSection;
typedef MemoryRegion PrefaultAskedRegion;
#endif

/* Discards of shared memory only: ram_block_discard_range() does since 11.1 */
#if PREFAULT_COMPAT_QEMU < 1101
#define ram_block_discard_shared_range ram_block_discard_range
#endif

/* All listeners have been told of each discarded part since 11.0 */
#if PREFAULT_COMPAT_QEMU < 1100
#define ram_discard_listener_init(listener, populate, discard) \
    ram_discard_listener_init(listener, populate, discard, true)
#endif

/* A reset may make a new VM, and tells of it, since 11.0 */
#if PREFAULT_COMPAT_QEMU < 1100
typedef struct VmfdChangeNotifier {
    int vmfd;
    bool pre;
} VmfdChangeNotifier;

static inline void kvm_vmfd_add_change_notifier(NotifierWithReturn *notifier)
{
}
#endif

/* The callback may stop since 10.1; ours does not */
#if PREFAULT_COMPAT_QEMU < 1001
typedef struct PrefaultCompatReplay {
    int (*fn)(MemoryRegionSection *section, void *opaque);
    void *opaque;
} PrefaultCompatReplay;

static inline void prefault_compat_replay(MemoryRegionSection *section,
                                          void *opaque)
{
    const PrefaultCompatReplay *replay = opaque;

    replay->fn(section, replay->opaque);
}

#define ram_discard_manager_replay_discarded(rdm, section, fn, opaque)  \
    ram_discard_manager_replay_discarded(rdm, section,                  \
                                         prefault_compat_replay,        \
                                         &(PrefaultCompatReplay) { fn, opaque })
#endif

/**
 * prefault_private_extent: how far the pages of a block are alike
 * @rb: block with guest_memfd
 * @offset: where to begin in the block, in bytes, a multiple of the page size
 * @end: where to stop, more than @offset
 * @is_private: filled in: are these pages private?
 *
 * Reads the record itself: since QEMU 11.1 a discard manager asks its sources
 * page by page.  Before 10.1 there is no record, and all is private.
 *
 * Context: BQL.
 *
 * Returns: the offset in the block of the first page whose state differs from
 * that of the page at @offset, @end at most.
 */
static inline uint64_t prefault_private_extent(const RAMBlock *rb,
                                               uint64_t offset, uint64_t end,
                                               bool *is_private)
{
#if PREFAULT_COMPAT_PRIVATE
    const unsigned long *shared = rb->attributes->bitmap;
    size_t page = qemu_real_host_page_size();
    unsigned long first = offset / page, last = DIV_ROUND_UP(end, page);

    *is_private = !test_bit(first, shared);
    return MIN(end, page * (*is_private
                            ? find_next_bit(shared, last, first)
                            : find_next_zero_bit(shared, last, first)));
#else
    *is_private = true;
    return end;
#endif
}

/**
 * prefault_compat_plugged: is private memory plugged in?
 * @section: of a region with guest_memfd and a discard manager
 * @offset: in the region, inside @section
 * @plugged: filled in: true also if nothing but conversions decides
 *
 * Since QEMU 11.1 a discard manager has several sources, and memory counts as
 * populated if all say so: the record of what is shared, and a virtio-mem
 * device that the region belongs to.
 *
 * Context: BQL.
 *
 * Returns: the offset up to which the answer holds, at most the section's end.
 */
static inline uint64_t prefault_compat_plugged(MemoryRegionSection *section,
                                               uint64_t offset, bool *plugged)
{
    uint64_t end = section->offset_within_region +
                   int128_get64(section->size);
#if PREFAULT_COMPAT_QEMU >= 1101
    MemoryRegion *mr = section->mr;
    RamDiscardManager *rdm = memory_region_get_ram_discard_manager(mr);
    RamDiscardSourceEntry *entry;

    QLIST_FOREACH(entry, &rdm->source_list, next) {
        RamDiscardSource *rds = entry->rds;
        RamDiscardSourceClass *source = RAM_DISCARD_SOURCE_GET_CLASS(rds);
        uint64_t block = source->get_min_granularity(rds, mr);
        MemoryRegionSection part = {
            .mr = mr,
            .offset_within_region = QEMU_ALIGN_DOWN(offset, block),
            .size = int128_make64(block),
        };

        if (OBJECT(rds) != OBJECT(mr->ram_block->attributes)) {
            *plugged = source->is_populated(rds, &part);
            return MIN(end, part.offset_within_region + block);
        }
    }
#endif
    *plugged = true;
    return end;
}

#endif /* HW_CORE_PREFAULT_COMPAT_H */
