/*
 * Spans: a set of addresses, kept as the pieces that it is made of
 *
 * What adjoins is one piece.  Time grows with the logarithm of the pieces.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_SPANS_H
#define HW_CORE_PREFAULT_SPANS_H

typedef struct PrefaultSpans PrefaultSpans;

/**
 * prefault_spans_new: a set without any address
 *
 * Context: any thread.
 *
 * Returns: for prefault_spans_free().
 */
PrefaultSpans *prefault_spans_new(void);

/**
 * prefault_spans_free: free a set
 * @spans: nobody uses it any more; NULL does nothing
 *
 * Context: any thread.
 */
void prefault_spans_free(PrefaultSpans *spans);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PrefaultSpans, prefault_spans_free)

/**
 * prefault_spans_add: add a range; some of it may be there already
 * @spans: the set
 * @start: its first address
 * @end: the address behind it, more than @start
 *
 * Context: one thread at a time.
 */
void prefault_spans_add(PrefaultSpans *spans, uint64_t start, uint64_t end);

/**
 * prefault_spans_gap: what of a range is not in the set?
 * @spans: the set
 * @start: the range; on success set to the first part that is not there
 * @end: likewise
 *
 * Context: one thread at a time.
 *
 * Returns: false if all of it is there.
 */
bool prefault_spans_gap(PrefaultSpans *spans, uint64_t *start, uint64_t *end);

/**
 * prefault_spans_bytes: how many addresses are there?
 * @spans: the set
 *
 * Context: one thread at a time.
 *
 * Returns: their number.
 */
uint64_t prefault_spans_bytes(const PrefaultSpans *spans);

#endif /* HW_CORE_PREFAULT_SPANS_H */
