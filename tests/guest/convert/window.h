/*
 * prefault converting guest: a window of RAM, and what its pages have to hold.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A window belongs to one CPU, which knows all about its pages, or is shared: then
 * each CPU has a word of its own in each page, and others may convert the page
 * at any time.
 */
#ifndef PREFAULT_GUEST_WINDOW_H
#define PREFAULT_GUEST_WINDOW_H

#include "convert.h"

struct window {
    u64 start[2];               /* the second piece lies above the PCI hole */
    u32 pages[2];               /* 0 for no second piece */
    int shared;
    u32 *shadow[MAX_CPUS];      /* check.c; of a CPU that does not use it NULL */
};

enum kind {
    KIND_NONE,
    KIND_STALE,         /* an old word of this place: it was not given back */
    KIND_LOST,          /* zeros, in a page that was not converted */
    KIND_FOREIGN,       /* anything else */
};

struct findings {
    u64 checks, erased, stale, lost, foreign;
    /* The first one that is wrong */
    enum kind kind;
    u64 gpa, wanted, seen, step;
};

/* window.c */
extern struct window own_windows[MAX_CPUS], shared_window;
/* Lay out windows for @cpus CPUs; returns their pages, at most @pages */
u32 windows_init(u32 cpus, u32 pages);
u64 window_gpa(const struct window *w, u32 page);

static inline u32 window_pages(const struct window *w)
{
    return w->pages[0] + w->pages[1];
}

/* check.c.  Pages are numbers in the window. */
void check_converted(struct window *w, u32 cpu, u32 first, u32 pages,
                     u32 flags);
/* See that the word is what it has to be, and write another */
void check_page(struct window *w, u32 cpu, u32 page, u64 step,
                struct findings *found);

#endif
