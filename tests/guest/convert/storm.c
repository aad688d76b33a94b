/*
 * prefault converting guest: many conversions from all CPUs at the same time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 *   storm=N       conversions on each CPU
 *   seed=N        of the random numbers; default 1
 *   max=PAGES     the largest range; default 16384, which is 64 MiB
 *   window=PAGES  of each window (window.c); default twice the largest range
 *   hole=1        ranges across the PCI hole, too, as one request
 *   pretend=1     nothing is converted: a proof that the checks can fail, as
 *                 stale is then what erased is
 *
 * To private and to shared take turns; each 16th is in the window that all CPUs
 * share.  Three of four ranges have less than 32 pages; none is aligned.  After
 * each conversion ten pages at most are checked and written: the first, the last,
 * six in between, and both neighbours.
 *
 *   prefault-convert: progress=PERCENT            of CPU 0, nine times
 *   prefault-convert: storm=CPU conversions=N holes=N bytes=N failures=N
 *       last_failure=N checks=N erased=N stale=N lost=N foreign=N cycles=N
 *   prefault-convert: class=CPU pages=N count=N min=N median=N max=N total=N
 *   prefault-convert: mismatch=CPU kind=N gpa=N wanted=N seen=N step=N
 *
 * (one line each).  class: cycles of the hypercalls for ranges of at most so many
 * pages, and more than in the class before; 0: of any size.  bytes are those
 * of RAM; holes counts ranges with the PCI hole in them.  erased: checked words
 * that a conversion had to erase.  mismatch: the first that is wrong, with
 * kind of window.h, if there is one.  A request that fails changes nothing.
 */
#include "../fw-cfg.h"
#include "../histogram.h"
#include "window.h"

enum {
    MAX_PAGES = 16384,
    SMALL_LOG = 4,
    INSIDE = 6,                 /* pages that are checked between the ends */
    SHARED_EACH = 16,
    ACROSS_EACH = 8,
    CLASSES = 4,
};

struct class {
    u32 count;
    u64 min, max, total;
    u32 histogram[BUCKETS];
};

struct cpu {
    u64 random;
    u64 conversions, holes, bytes, failures, last_failure, cycles;
    struct findings found;
    struct class classes[CLASSES];
};

struct range {
    struct window *w;
    u32 first, pages;           /* in the window */
    u32 flags;
};

static const u32 class_pages[CLASSES] = { 1, 16, 512, 0 };
static struct cpu *cpus[MAX_CPUS];
static u32 steps, max_log, max_pages, across, pretend;

/* xorshift64; the upper bits are the better ones */
static u32 random(struct cpu *c, u32 below)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return (c->random >> 32) * below >> 32;
}

static u32 random_pages(struct cpu *c, u32 most)
{
    u32 log = random(c, 4) && max_log > SMALL_LOG
              ? random(c, SMALL_LOG + 1) : random(c, max_log + 1);
    u32 pages = (1u << log) + random(c, 1u << log);

    return pages < most ? pages : most;
}

static int is_across(const struct range *r)
{
    return r->first < r->w->pages[0] && r->first + r->pages > r->w->pages[0];
}

static void choose(struct cpu *c, struct range *r)
{
    u32 all = window_pages(r->w), edge = r->w->pages[0];

    r->pages = random_pages(c, max_pages);
    r->first = random(c, all - r->pages + 1);
    if (across && edge < all && r->pages > 1 && !random(c, ACROSS_EACH)) {
        u32 below = 1 + random(c, r->pages - 1);

        r->first = edge - (below < edge ? below : edge);
        r->pages = r->pages < all - r->first ? r->pages : all - r->first;
    }
    if (!across && is_across(r)) {
        r->pages = edge - r->first;
    }
}

static void count_cycles(struct cpu *c, u32 pages, u64 cycles)
{
    struct class *class = c->classes;

    for (u32 i = 0; class_pages[i] && pages > class_pages[i]; i++) {
        class++;
    }
    class->min = class->count && class->min < cycles ? class->min : cycles;
    class->max = class->max > cycles ? class->max : cycles;
    class->total += cycles;
    class->count++;
    class->histogram[bucket_of(cycles >> 32 ? ~0u : cycles)]++;
}

static void convert(struct cpu *c, u32 number, const struct range *r)
{
    u64 gpa = window_gpa(r->w, r->first);
    u64 end = window_gpa(r->w, r->first + r->pages - 1) + PAGE;
    u64 before = rdtsc_ordered(), result = 0;

    if (!pretend) {
        result = map_gpa_range(gpa, (end - gpa) / PAGE, r->flags);
    }
    count_cycles(c, r->pages, rdtsc_ordered() - before);
    c->conversions++;
    c->holes += is_across(r);
    if (result) {
        c->failures++;
        c->last_failure = result;
        return;
    }
    c->bytes += (u64)r->pages * PAGE;
    check_converted(r->w, number, r->first, r->pages, r->flags);
}

static void check(struct cpu *c, u32 number, const struct range *r, u64 step)
{
    u32 end = r->first + r->pages;

    check_page(r->w, number, r->first, step, &c->found);
    check_page(r->w, number, end - 1, step, &c->found);
    for (u32 i = 0; i < INSIDE && r->pages > 2; i++) {
        check_page(r->w, number, r->first + random(c, r->pages), step,
                   &c->found);
    }
    if (r->first) {
        check_page(r->w, number, r->first - 1, step, &c->found);
    }
    if (end < window_pages(r->w)) {
        check_page(r->w, number, end, step, &c->found);
    }
}

static void print_progress(u32 step)
{
    u32 tenth = steps / 10;

    if (tenth && step % tenth == 0 && step / tenth < 10) {
        begin_line("progress", step / tenth * 10);
        end_line();
    }
}

static void work(u32 number)
{
    struct cpu *c = cpus[number];
    u64 begin = rdtsc_ordered();

    for (u32 step = 1; step <= steps; step++) {
        struct range r = {
            .w = step % SHARED_EACH ? &own_windows[number] : &shared_window,
            /* both ways in the shared window, too */
            .flags = (step ^ step / SHARED_EACH) & 1 ? TO_SHARED : TO_PRIVATE,
        };

        choose(c, &r);
        convert(c, number, &r);
        check(c, number, &r, step);
        if (!number) {
            print_progress(step);
        }
    }
    c->cycles = rdtsc_ordered() - begin;
}

static void print_classes(u32 number, const struct cpu *c)
{
    for (u32 i = 0; i < CLASSES; i++) {
        const struct class *class = &c->classes[i];

        begin_line("class", number);
        field("pages", class_pages[i]);
        field("count", class->count);
        field("min", class->min);
        field("median", class->count ?
              percentile(class->histogram, class->count, 50) : 0);
        field("max", class->max);
        field("total", class->total);
        end_line();
    }
}

static void print_cpu(u32 number, const struct cpu *c)
{
    const struct findings *found = &c->found;

    begin_line("storm", number);
    field("conversions", c->conversions);
    field("holes", c->holes);
    field("bytes", c->bytes);
    field("failures", c->failures);
    field_signed("last_failure", c->last_failure);
    field("checks", found->checks);
    field("erased", found->erased);
    field("stale", found->stale);
    field("lost", found->lost);
    field("foreign", found->foreign);
    field("cycles", c->cycles);
    end_line();
    print_classes(number, c);
    if (found->kind != KIND_NONE) {
        begin_line("mismatch", number);
        field("kind", found->kind);
        field("gpa", found->gpa);
        field("wanted", found->wanted);
        field("seen", found->seen);
        field("step", found->step);
        end_line();
    }
}

static void read_parameters(u32 count)
{
    u64 seed = fw_cfg_number("opt/prefault/seed");
    u32 pages = fw_cfg_number("opt/prefault/window");

    max_pages = fw_cfg_number("opt/prefault/max");
    max_pages = max_pages ? max_pages : MAX_PAGES;
    across = fw_cfg_number("opt/prefault/hole");
    pretend = fw_cfg_number("opt/prefault/pretend");
    pages = windows_init(count, pages ? pages : 2 * max_pages);
    max_pages = max_pages < pages ? max_pages : pages;
    max_log = 31 - __builtin_clz(max_pages);
    for (u32 i = 0; i < count; i++) {
        cpus[i] = allocate(sizeof(*cpus[i]));
        cpus[i]->random = ((seed ? seed : 1) * MAX_CPUS + i + 1) *
                          0x9e3779b97f4a7c15ull;
    }
}

void storm_run(void)
{
    u32 count = smp_cpus();

    steps = fw_cfg_number("opt/prefault/storm");
    if (!steps) {
        return;
    }
    read_parameters(count);
    wait_for_harness();
    smp_run(work);
    for (u32 i = 0; i < count; i++) {
        print_cpu(i, cpus[i]);
    }
}
