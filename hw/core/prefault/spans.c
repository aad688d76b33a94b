/*
 * Spans: a set of addresses, kept as the pieces that it is made of
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/interval-tree.h"
#include "spans.h"

struct PrefaultSpans {
    IntervalTreeRoot pieces;    /* that neither overlap nor adjoin */
    uint64_t bytes;
};

PrefaultSpans *prefault_spans_new(void)
{
    return g_new0(PrefaultSpans, 1);
}

/* The first piece that has an address of @first to @last, or NULL */
static IntervalTreeNode *spans_first(PrefaultSpans *spans, uint64_t first,
                                     uint64_t last)
{
    return interval_tree_iter_first(&spans->pieces, first, last);
}

static void spans_remove(PrefaultSpans *spans, IntervalTreeNode *piece)
{
    spans->bytes -= piece->last - piece->start + 1;
    interval_tree_remove(piece, &spans->pieces);
    g_free(piece);
}

void prefault_spans_free(PrefaultSpans *spans)
{
    IntervalTreeNode *piece;

    while (spans && (piece = spans_first(spans, 0, UINT64_MAX))) {
        spans_remove(spans, piece);
    }
    g_free(spans);
}

void prefault_spans_add(PrefaultSpans *spans, uint64_t start, uint64_t end)
{
    IntervalTreeNode *piece, *sum = g_new0(IntervalTreeNode, 1);

    sum->start = start;
    sum->last = end - 1;
    /* With those that end right before, or begin right behind */
    while ((piece = spans_first(spans, start - !!start, end))) {
        sum->start = MIN(sum->start, piece->start);
        sum->last = MAX(sum->last, piece->last);
        spans_remove(spans, piece);
    }
    interval_tree_insert(sum, &spans->pieces);
    spans->bytes += sum->last - sum->start + 1;
}

bool prefault_spans_gap(PrefaultSpans *spans, uint64_t *start, uint64_t *end)
{
    uint64_t from = *start, to = *end;
    IntervalTreeNode *piece;

    if (from >= to) {
        return false;
    }
    piece = spans_first(spans, from, from);
    from = piece ? piece->last + 1 : from;
    if (from >= to) {
        return false;
    }
    piece = spans_first(spans, from, to - 1);
    *start = from;
    *end = piece ? piece->start : to;
    return true;
}

uint64_t prefault_spans_bytes(const PrefaultSpans *spans)
{
    return spans->bytes;
}
