/*
 * prefault converting guest: what converted memory holds, and what other memory
 * still holds.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A word says where it was written, by whom and when; zero is no such word.  Each
 * CPU has its own place in a page.  The shadow of a page has when it was last
 * written, 0 for never, whether it was converted since, and what it is.
 *
 * Each side of a page is memory of its own, the side that is left is given back:
 * a page that changes sides holds zeros.  One that is converted to what it is
 * keeps its words.  In a shared window a word may be gone at any time, but what
 * is there has to be the last one that was written.
 */
#include "window.h"

enum {
    PRIVATE = 1,
    ERASED = 2,
    STEP_SHIFT = 2,
    PLACE = 64,                 /* bytes between the places of two CPUs */
};

static u64 word_of(u64 gpa, u32 cpu, u32 step)
{
    return step ? 1ull << 63 | gpa >> 12 << 40 | (u64)cpu << 32 | step : 0;
}

void check_converted(struct window *w, u32 cpu, u32 first, u32 pages,
                     u32 flags)
{
    u32 *shadow = w->shadow[cpu] + first, side = flags ? PRIVATE : 0;

    if (w->shared) {
        return;                 /* others convert it too */
    }
    for (u32 i = 0; i < pages; i++) {
        if ((shadow[i] & PRIVATE) != side) {
            shadow[i] = (shadow[i] & ~PRIVATE) | ERASED | side;
        }
    }
}

static enum kind judge(u64 seen, u64 wanted, int may_be_gone)
{
    if (seen == wanted || (may_be_gone && !seen)) {
        return KIND_NONE;
    }
    if (!seen) {
        return KIND_LOST;
    }
    return KIND_FOREIGN;
}

static void note(struct findings *found, enum kind kind, u64 gpa, u64 wanted,
                 u64 seen, u64 step)
{
    found->stale += kind == KIND_STALE;
    found->lost += kind == KIND_LOST;
    found->foreign += kind == KIND_FOREIGN;
    if (kind != KIND_NONE && found->kind == KIND_NONE) {
        found->kind = kind;
        found->gpa = gpa;
        found->wanted = wanted;
        found->seen = seen;
        found->step = step;
    }
}

void check_page(struct window *w, u32 cpu, u32 page, u64 step,
                struct findings *found)
{
    u32 *shadow = &w->shadow[cpu][page], last = *shadow >> STEP_SHIFT;
    u64 gpa = window_gpa(w, page) + cpu * PLACE;
    volatile u64 *place = (volatile u64 *)gpa;
    u64 seen = *place, written = word_of(gpa, cpu, last);
    int erased = *shadow & ERASED;
    u64 wanted = erased ? 0 : written;
    enum kind kind = judge(seen, wanted, w->shared);

    /* An old word has the same place and writer, and an earlier time. */
    if (kind == KIND_FOREIGN && (u32)seen && (u32)seen <= last &&
        seen == word_of(gpa, cpu, seen)) {
        kind = KIND_STALE;
    }
    note(found, kind, gpa, wanted, seen, step);
    found->checks++;
    found->erased += erased && last;
    *place = word_of(gpa, cpu, step);
    *shadow = (*shadow & PRIVATE) | (u32)step << STEP_SHIFT;
}
