/*
 * Prefault plan: which guest memory is prefaulted, in which pieces
 *
 * Every byte of RAM behind the sections lands in exactly one place: in a range
 * to prefault, or in the sum of one skip reason.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "qemu/interval-tree.h"
#include "qemu/units.h"
#include "plan.h"

struct PrefaultPlan {
    GArray *ranges;     /* of PrefaultChunk, of any size */
    unsigned places;
    uint64_t total;
    uint64_t total_private;
    uint64_t skipped[PREFAULT_SKIP_REASON__MAX];
};

static void plan_add_range(PrefaultPlan *plan, const PrefaultSection *section,
                           size_t base_page_size, bool alias)
{
    /* By sizes: the address behind the last one is 0 */
    uint64_t before = -section->gpa & (base_page_size - 1);
    uint64_t rest = section->size > before ? section->size - before : 0;
    PrefaultChunk range = {
        .gpa = section->gpa + before,
        .size = ROUND_DOWN(rest, base_page_size),
        .host = section->host + before,
        .page_size = section->page_size,
        .place = section->place,
        .alias = alias,
        .is_private = section->is_private,
        .present_only = section->present_only,
        .map_later = section->map_later,
        .is_managed = section->is_managed,
    };

    if (!QEMU_PTR_IS_ALIGNED(range.host, base_page_size)) {
        range.size = 0;
    }
    if (!alias) {
        plan->skipped[PREFAULT_SKIP_REASON_UNALIGNED] +=
            section->size - range.size;
        plan->total += range.size;
        plan->total_private += range.is_private ? range.size : 0;
    }
    if (range.size) {
        g_array_append_val(plan->ranges, range);
        plan->places = MAX(plan->places, range.place + 1);
    }
}

/* The part of @section that lies in [@first, @end) of the RAM address space */
static PrefaultSection plan_section_part(const PrefaultSection *section,
                                         uint64_t first, uint64_t end)
{
    PrefaultSection part = *section;
    uint64_t offset = first - section->ram_addr;

    part.gpa += offset;
    part.ram_addr += offset;
    part.host = part.host ? part.host + offset : NULL;
    part.size = end > first ? end - first : 0;
    return part;
}

/* @section is no alias of memory that was counted */
static void plan_count(PrefaultPlan *plan, const PrefaultSection *section,
                       size_t base_page_size)
{
    if (section->traits) {
        plan->skipped[ctz32(section->traits)] += section->size;
    } else {
        plan_add_range(plan, section, base_page_size, false);
    }
}

/* Note a piece of QEMU's RAM address space, up to @end, as counted */
static void plan_note_counted(IntervalTreeRoot *counted, uint64_t first,
                              uint64_t end)
{
    IntervalTreeNode *piece = g_new0(IntervalTreeNode, 1);

    piece->start = first;
    piece->last = end - 1;
    interval_tree_insert(piece, counted);
}

/*
 * What of @section was counted already is an alias.  Sections can be very many,
 * where the ledger is in pieces: a tree finds these.
 */
static void plan_add(PrefaultPlan *plan, IntervalTreeRoot *counted,
                     const PrefaultSection *section, size_t base_page_size)
{
    uint64_t at = section->ram_addr, end = at + section->size;

    while (at < end) {
        const IntervalTreeNode *next =
            interval_tree_iter_first(counted, at, end - 1);
        uint64_t low = next ? MAX(at, next->start) : end;
        uint64_t high = next ? MIN(end, next->last + 1) : end;
        PrefaultSection fresh = plan_section_part(section, at, low);
        PrefaultSection alias = plan_section_part(section, low, high);

        if (fresh.size) {
            plan_note_counted(counted, at, low);
            plan_count(plan, &fresh, base_page_size);
        }
        if (alias.size && !section->traits) {
            plan_add_range(plan, &alias, base_page_size, true);
        }
        at = high;
    }
}

static void plan_forget_counted(IntervalTreeRoot *counted)
{
    IntervalTreeNode *piece;

    while ((piece = interval_tree_iter_first(counted, 0, UINT64_MAX))) {
        interval_tree_remove(piece, counted);
        g_free(piece);
    }
}

PrefaultPlan *prefault_plan_new(const PrefaultSection *sections,
                                size_t nr_sections, size_t base_page_size)
{
    PrefaultPlan *plan = g_new0(PrefaultPlan, 1);
    IntervalTreeRoot counted = {};

    plan->ranges = g_array_new(false, false, sizeof(PrefaultChunk));
    plan->places = 1;
    /* Of several aliases, prefer one that the guest can write to */
    for (int skipped = 0; skipped <= 1; skipped++) {
        for (size_t i = 0; i < nr_sections; i++) {
            if (!!sections[i].traits != skipped) {
                continue;
            }
            if (sections[i].is_managed) {
                plan_count(plan, &sections[i], base_page_size);
            } else {
                plan_add(plan, &counted, &sections[i], base_page_size);
            }
        }
    }
    plan_forget_counted(&counted);
    return plan;
}

void prefault_plan_free(PrefaultPlan *plan)
{
    if (plan) {
        g_array_unref(plan->ranges);
        g_free(plan);
    }
}

uint64_t prefault_plan_total(const PrefaultPlan *plan)
{
    return plan->total;
}

uint64_t prefault_plan_private(const PrefaultPlan *plan)
{
    return plan->total_private;
}

uint64_t prefault_plan_skipped(const PrefaultPlan *plan,
                               PrefaultSkipReason reason)
{
    return plan->skipped[reason];
}

unsigned prefault_plan_places(const PrefaultPlan *plan)
{
    return plan->places;
}

bool prefault_plan_range(const PrefaultPlan *plan, unsigned index,
                         PrefaultChunk *range)
{
    if (index >= plan->ranges->len) {
        return false;
    }
    *range = g_array_index(plan->ranges, PrefaultChunk, index);
    return true;
}

bool prefault_plan_rest(const PrefaultPlan *plan, PrefaultCursor *cursor,
                        PrefaultChunk *rest)
{
    PrefaultChunk range;

    do {
        if (!prefault_plan_range(plan, cursor->range, &range)) {
            return false;
        }
    } while (range.place != cursor->place && ++cursor->range);

    *rest = range;
    rest->gpa += cursor->offset;
    rest->host += cursor->offset;
    rest->size -= cursor->offset;
    return true;
}

static void plan_advance(PrefaultCursor *cursor, const PrefaultChunk *rest,
                         uint64_t size)
{
    cursor->offset += size;
    if (size == rest->size) {
        cursor->range++;
        cursor->offset = 0;
    }
}

static uint64_t plan_grid(const PrefaultChunk *range)
{
    return MAX(PREFAULT_CHUNK_SIZE, range->page_size);
}

uint64_t prefault_plan_skip(const PrefaultPlan *plan, PrefaultCursor *cursor,
                            uint64_t size)
{
    PrefaultChunk rest;

    if (!prefault_plan_rest(plan, cursor, &rest)) {
        return 0;
    }
    if (size < rest.size) {
        hwaddr end = ROUND_DOWN(rest.gpa + size, plan_grid(&rest));

        size = end > rest.gpa ? end - rest.gpa : 0;
    }
    plan_advance(cursor, &rest, size);
    return size;
}

bool prefault_plan_next(const PrefaultPlan *plan, PrefaultCursor *cursor,
                        PrefaultChunk *chunk)
{
    PrefaultChunk rest;
    uint64_t grid;

    if (!prefault_plan_rest(plan, cursor, &rest)) {
        return false;
    }
    grid = plan_grid(&rest);
    *chunk = rest;
    chunk->size = MIN(rest.size, grid - rest.gpa % grid);
    plan_advance(cursor, &rest, chunk->size);
    return true;
}
