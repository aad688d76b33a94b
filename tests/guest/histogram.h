/*
 * What all guests of ours share: a histogram of cycles, for percentiles.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * STEPS steps an octave: exact below 16, within 3 % above.
 */
#ifndef PREFAULT_GUEST_HISTOGRAM_H
#define PREFAULT_GUEST_HISTOGRAM_H

#include "io.h"

enum {
    STEPS = 16,                 /* histogram steps for one power of two */
    BUCKETS = 29 * STEPS,
};

HELPER u32 bucket_of(u32 cycles)
{
    u32 top;

    if (cycles < STEPS) {
        return cycles;
    }
    top = 31 - __builtin_clz(cycles);
    return (top - 3) * STEPS + (cycles >> (top - 4)) % STEPS;
}

/* The middle of what falls into @bucket. */
HELPER u32 bucket_value(u32 bucket)
{
    u32 top = bucket / STEPS + 3;

    if (bucket < STEPS) {
        return bucket;
    }
    return ((STEPS + bucket % STEPS) << (top - 4)) + (1u << (top - 4)) / 2;
}

/* @count is what @histogram holds in all, at most 2^20 or so: no overflow. */
HELPER u32 percentile(const u32 *histogram, u32 count, u32 percent)
{
    u32 rank = (count * percent + 99) / 100, seen = 0;

    for (u32 i = 0; i < BUCKETS; i++) {
        seen += histogram[i];
        if (seen >= rank) {
            return bucket_value(i);
        }
    }
    return 0;
}

#endif
