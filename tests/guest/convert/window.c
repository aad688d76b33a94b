/*
 * prefault converting guest: where the windows of RAM lie.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * CPU 0's is in two halves, on both sides of the PCI hole; then they take turns
 * below and above; the shared one comes last.  Without RAM above 4 GiB all are
 * below.  They adjoin each other.
 *   prefault-convert: window=CPU start=N pages=N high_start=N high_pages=N
 * CPU is the number of CPUs for the shared one.
 */
#include "window.h"

struct window own_windows[MAX_CPUS], shared_window;
static u64 low_top, high_bottom;        /* what is still free */

u64 window_gpa(const struct window *w, u32 page)
{
    return page < w->pages[0]
           ? w->start[0] + (u64)page * PAGE
           : w->start[1] + (u64)(page - w->pages[0]) * PAGE;
}

static u32 high_pages(void)
{
    return ram.high_end ? (ram.high_end - high_bottom) / PAGE : 0;
}

static u64 take_low(u32 pages)
{
    low_top -= (u64)pages * PAGE;
    return low_top;
}

static u64 take_high(u32 pages)
{
    high_bottom += (u64)pages * PAGE;
    return high_bottom - (u64)pages * PAGE;
}

static void place(struct window *w, u32 number, u32 pages)
{
    if (!number && high_pages() >= pages / 2) {
        w->pages[0] = pages - pages / 2;
        w->pages[1] = pages / 2;
        w->start[0] = take_low(w->pages[0]);
        w->start[1] = take_high(w->pages[1]);
    } else {
        w->pages[0] = pages;
        w->start[0] = number % 2 == 0 && high_pages() >= pages
                      ? take_high(pages) : take_low(pages);
    }
}

/* To shared, then to private: whatever was there before is given back. */
static void convert_all(const struct window *w)
{
    for (u32 i = 0; i < 2; i++) {
        if (w->pages[i]) {
            map_gpa_range(w->start[i], w->pages[i], TO_SHARED);
            map_gpa_range(w->start[i], w->pages[i], TO_PRIVATE);
        }
    }
}

static void make(struct window *w, u32 number, u32 pages)
{
    place(w, number, pages);
    convert_all(w);
    begin_line("window", number);
    field("start", w->start[0]);
    field("pages", w->pages[0]);
    field("high_start", w->start[1]);
    field("high_pages", w->pages[1]);
    end_line();
}

u32 windows_init(u32 cpus, u32 pages)
{
    u32 most = (ram.low_end - OURS_END) / PAGE / (cpus + 1);

    pages = pages < most ? pages : most;
    low_top = ram.low_end;
    high_bottom = FOUR_GIB;
    shared_window.shared = 1;
    for (u32 i = 0; i < cpus; i++) {
        own_windows[i].shadow[i] = allocate(pages * sizeof(u32));
        shared_window.shadow[i] = allocate(pages * sizeof(u32));
        make(&own_windows[i], i, pages);
        check_converted(&own_windows[i], i, 0, pages, TO_PRIVATE);
    }
    make(&shared_window, cpus, pages);
    return pages;
}
