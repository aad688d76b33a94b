/*
 * Parts of memory that has a discard manager: shared, private, not plugged in
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "parts.h"

typedef struct PartsWalk {
    const MemoryRegionSection *section;     /* that is replayed */
    PrefaultPartsWalk *visit;
    void *opaque;
} PartsWalk;

static MemoryRegionSection parts_part(const MemoryRegionSection *section,
                                      hwaddr offset, Int128 size)
{
    MemoryRegionSection part = *section;

    part.offset_within_address_space += offset - part.offset_within_region;
    part.offset_within_region = offset;
    part.size = size;
    return part;
}

/* What QEMU 11.1 replays has no guest address: only its offset is taken */
static int parts_visit(const PartsWalk *walk, PrefaultManagedSection *replayed,
                       PrefaultPart kind)
{
    MemoryRegionSection part = parts_part(
        walk->section, replayed->offset_within_region, replayed->size);

    walk->visit(&part, kind, walk->opaque);
    return 0;
}

static int parts_populated(PrefaultManagedSection *replayed, void *opaque)
{
    return parts_visit(opaque, replayed, PREFAULT_PART_SHARED);
}

static int parts_discarded(PrefaultManagedSection *replayed, void *opaque)
{
    return parts_visit(opaque, replayed, PREFAULT_PART_UNPLUGGED);
}

/* Of memory without guest_memfd */
static void parts_replay(MemoryRegionSection *section, PartsWalk *walk)
{
    RamDiscardManager *rdm = memory_region_get_ram_discard_manager(section->mr);

    ram_discard_manager_replay_populated(rdm, section, parts_populated, walk);
    ram_discard_manager_replay_discarded(rdm, section, parts_discarded, walk);
}

/* Of memory with guest_memfd.  Returns where the part at @offset ends */
static uint64_t parts_next(MemoryRegionSection *section, uint64_t offset,
                           PrefaultPart *kind)
{
    bool plugged, is_private;
    uint64_t end = prefault_compat_plugged(section, offset, &plugged);

    if (!plugged) {
        *kind = PREFAULT_PART_UNPLUGGED;
        return end;
    }
    end = prefault_private_extent(section->mr->ram_block, offset, end,
                                  &is_private);
    *kind = is_private ? PREFAULT_PART_PRIVATE : PREFAULT_PART_SHARED;
    return end;
}

void prefault_parts_walk(MemoryRegionSection *section, PrefaultPartsWalk *visit,
                         void *opaque)
{
    PartsWalk walk = { .section = section, .visit = visit, .opaque = opaque };
    uint64_t at = section->offset_within_region, next;
    uint64_t end = at + int128_get64(section->size);

    assert(bql_locked());
    if (!memory_region_has_guest_memfd(section->mr)) {
        parts_replay(section, &walk);
        return;
    }
    for (; at < end; at = next) {
        PrefaultPart kind;
        MemoryRegionSection part;

        next = parts_next(section, at, &kind);
        part = parts_part(section, at, int128_make64(next - at));
        visit(&part, kind, opaque);
    }
}
