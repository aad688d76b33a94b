/*
 * Which guest memory is known to be populated and mapped
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "known.h"
#include "ledger.h"

typedef struct KnownRange {
    hwaddr start;
    hwaddr end;
    uint8_t *host;
} KnownRange;

struct PrefaultKnown {
    GArray *ranges;             /* of KnownRange, sorted */
    GArray *doubts;             /* of PrefaultDebt, sorted; NULL: all */
};

static int known_compare(const void *a, const void *b)
{
    const KnownRange *x = a, *y = b;

    return x->start < y->start ? -1 : x->start > y->start;
}

PrefaultKnown *prefault_known_new(const PrefaultPlan *plan)
{
    PrefaultKnown *known = g_new0(PrefaultKnown, 1);
    PrefaultChunk range;

    known->ranges = g_array_new(false, false, sizeof(KnownRange));
    for (unsigned i = 0; prefault_plan_range(plan, i, &range); i++) {
        KnownRange one = { range.gpa, range.gpa + range.size, range.host };

        if (!range.is_private && !range.is_managed) {
            g_array_append_val(known->ranges, one);
        }
    }
    g_array_sort(known->ranges, known_compare);
    return known;
}

void prefault_known_free(PrefaultKnown *known)
{
    if (known) {
        g_array_unref(known->ranges);
        g_clear_pointer(&known->doubts, g_array_unref);
        g_free(known);
    }
}

PrefaultKnown *prefault_known_after(const PrefaultKnown *known, GArray *doubts)
{
    PrefaultKnown *after = g_new0(PrefaultKnown, 1);

    after->ranges = g_array_ref(known->ranges);
    after->doubts = doubts;
    return after;
}

/* Find the element of a sorted array whose first member is the last <= @at */
static const void *known_find(const GArray *array, hwaddr at)
{
    const guint size = g_array_get_element_size((GArray *)array);
    guint low = 0, high = array->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (*(const hwaddr *)(array->data + middle * size) <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low ? array->data + (low - 1) * size : NULL;
}

/* Where the doubts from @start on begin: at @end, or before */
static hwaddr known_doubts_begin(const PrefaultKnown *known, hwaddr start,
                                 hwaddr end)
{
    const PrefaultDebt *debts, *debt;

    if (!known->doubts) {
        return start;
    }
    if (!known->doubts->len) {
        return end;
    }
    debts = (const PrefaultDebt *)known->doubts->data;
    debt = known_find(known->doubts, start);
    if (debt && debt->end > start) {
        return start;
    }
    debt = debt ? debt + 1 : debts;
    return debt < debts + known->doubts->len ? MIN(end, debt->start) : end;
}

static const KnownRange *known_range(const PrefaultKnown *known,
                                     const PrefaultChunk *chunk)
{
    const KnownRange *range = known_find(known->ranges, chunk->gpa);

    return range && chunk->gpa < range->end &&
           chunk->host == range->host + (chunk->gpa - range->start)
           ? range : NULL;
}

bool prefault_known_covers(const PrefaultKnown *known,
                           const PrefaultChunk *chunk)
{
    const KnownRange *range = known_range(known, chunk);

    return range && chunk->gpa + chunk->size <= range->end;
}

uint64_t prefault_known_size(const PrefaultKnown *known,
                             const PrefaultChunk *chunk)
{
    const KnownRange *range = known_range(known, chunk);

    /* Memory whose writes are tracked is not mapped for now */
    return range && !chunk->map_later
           ? known_doubts_begin(known, chunk->gpa,
                                MIN(range->end, chunk->gpa + chunk->size)) -
             chunk->gpa : 0;
}

bool prefault_known_has(const PrefaultKnown *known, const PrefaultChunk *chunk)
{
    return prefault_known_size(known, chunk) == chunk->size;
}
