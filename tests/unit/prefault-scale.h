/*
 * Guests of any size, made up, and what our parts take for them
 *
 * Time is the calling thread's CPU time, so that a busy machine does not count;
 * memory is what malloc() has given out.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_PREFAULT_SCALE_H
#define TESTS_UNIT_PREFAULT_SCALE_H

#include <malloc.h>
#include <math.h>
#include "qemu/units.h"
#include "../../hw/core/prefault/plan.h"

#define SCALE_PAGE (4 * KiB)
#define SCALE_CHUNK (4 * MiB)
/* Nobody touches it */
#define SCALE_HOST ((uint8_t *)(uintptr_t)(128 * TiB))

typedef struct Scale {
    double ms;
    double mib;
} Scale;

static inline double scale_now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static inline double scale_now_mib(void)
{
    struct mallinfo2 info = mallinfo2();

    return (info.uordblks + info.hblkhd) / (double)MiB;
}

static inline Scale scale_begin(void)
{
    return (Scale) { .mib = scale_now_mib(), .ms = scale_now_ms() };
}

/* What was taken since scale_begin() */
static inline Scale scale_end(Scale begun)
{
    return (Scale) { .ms = scale_now_ms() - begun.ms,
                     .mib = scale_now_mib() - begun.mib };
}

/* A row of the benchmark's table: sizes, or 0 if they do not matter */
static inline void scale_row(const char *what, unsigned tib, unsigned pieces,
                             unsigned workers, Scale taken)
{
    g_test_message("scale: %s | %u | %u | %u | %.3f | %.3f", what, tib, pieces,
                   workers, taken.ms, taken.mib);
}

/* A guest of @nr pieces, with a hole behind each */
static inline PrefaultSection *scale_sections(uint64_t bytes, unsigned nr,
                                              size_t page_size)
{
    PrefaultSection *sections = g_new0(PrefaultSection, nr);
    uint64_t size = QEMU_ALIGN_DOWN(bytes / nr, page_size);

    for (unsigned i = 0; i < nr; i++) {
        sections[i] = (PrefaultSection) {
            .gpa = i * (size + GiB),
            .size = size,
            .host = SCALE_HOST + i * size,
            .ram_addr = i * size,
            .page_size = page_size,
        };
    }
    return sections;
}

/*
 * Does @cost of eight times as much take more than 40 times as long?  What
 * grows with the square takes 64 times as long; n log n takes 10 times, or 20
 * where caches no longer have all of it.  The least of some tries counts.
 */
static inline void scale_assert_grows_evenly(double (*cost)(unsigned n),
                                             unsigned n)
{
    double small = HUGE_VAL, large = HUGE_VAL;

    for (int tries = 0; tries < 3; tries++) {
        small = MIN(small, cost(n));
        large = MIN(large, cost(8 * n));
    }
    g_test_message("%u: %.3f ms, %u: %.3f ms", n, small, 8 * n, large);
    g_assert_cmpfloat(large, <, 40 * small + 1);
}

#endif /* TESTS_UNIT_PREFAULT_SCALE_H */
