/*
 * Tests of the prefault plan
 *
 * Each test states one property of hw/core/prefault/plan.h.  Sections are
 * described by hand, with made-up host addresses that nothing ever reads: a
 * terabyte costs as much as a page.  The last tests compare random memory maps
 * with a model that looks at one page, or one piece of a page, at a time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/units.h"
#include "../../hw/core/prefault/plan.h"

#define PAGE (4 * KiB)
#define GRID (4 * MiB)

/* RAM address 0 is at this host address, so that an error is easy to see */
#define HOST_BASE 0x700000000000ULL

#define TRAIT(reason) BIT(PREFAULT_SKIP_REASON_##reason)

static uint8_t *host_of(uint64_t ram_addr)
{
    return (uint8_t *)(uintptr_t)(HOST_BASE + ram_addr);
}

/* A section whose memory nobody else sees: its RAM address is its own */
static PrefaultSection ram_at(hwaddr gpa, uint64_t size, uint64_t ram_addr,
                              uint32_t traits)
{
    return (PrefaultSection) {
        .gpa = gpa,
        .size = size,
        .host = host_of(ram_addr),
        .ram_addr = ram_addr,
        .page_size = PAGE,
        .traits = traits,
    };
}

static PrefaultSection ram(hwaddr gpa, uint64_t size)
{
    return ram_at(gpa, size, gpa, 0);
}

static uint64_t skipped_sum(const PrefaultPlan *plan)
{
    uint64_t sum = 0;

    for (int i = 0; i < PREFAULT_SKIP_REASON__MAX; i++) {
        sum += prefault_plan_skipped(plan, i);
    }
    return sum;
}

static GArray *chunks_of(const PrefaultPlan *plan)
{
    GArray *chunks = g_array_new(false, false, sizeof(PrefaultChunk));
    PrefaultCursor cursor = {};
    PrefaultChunk chunk;

    while (prefault_plan_next(plan, &cursor, &chunk)) {
        g_assert_cmpuint(chunk.size, >, 0);
        g_assert_cmpuint(chunk.gpa % PAGE, ==, 0);
        g_assert_cmpuint(chunk.size % PAGE, ==, 0);
        g_array_append_val(chunks, chunk);
    }
    return chunks;
}

static uint64_t bytes_of(const GArray *chunks, bool alias)
{
    uint64_t sum = 0;

    for (guint i = 0; i < chunks->len; i++) {
        const PrefaultChunk *c = &g_array_index(chunks, PrefaultChunk, i);

        sum += c->alias == alias ? c->size : 0;
    }
    return sum;
}

/* The chunks are [@gpa, @gpa + @size), in order, without gap or overlap */
static void assert_covers(const GArray *chunks, hwaddr gpa, uint64_t size,
                          uint64_t ram_addr)
{
    hwaddr at = gpa;

    for (guint i = 0; i < chunks->len; i++) {
        const PrefaultChunk *c = &g_array_index(chunks, PrefaultChunk, i);

        g_assert_cmphex(c->gpa, ==, at);
        g_assert_true(c->host == host_of(ram_addr + (at - gpa)));
        at += c->size;
    }
    g_assert_cmphex(at, ==, gpa + size);
}

/* Is the page at @gpa in a chunk, and does it count? */
static bool has_page(const GArray *chunks, hwaddr gpa, bool alias)
{
    for (guint i = 0; i < chunks->len; i++) {
        const PrefaultChunk *c = &g_array_index(chunks, PrefaultChunk, i);

        if (gpa >= c->gpa && gpa - c->gpa < c->size && c->alias == alias) {
            return true;
        }
    }
    return false;
}

static void test_empty_plan_has_no_chunk(void)
{
    g_autoptr(PrefaultPlan) plan = prefault_plan_new(NULL, 0, PAGE);
    PrefaultChunk untouched = { .gpa = 42 };
    PrefaultCursor cursor = {};

    g_assert_false(prefault_plan_next(plan, &cursor, &untouched));
    g_assert_cmpuint(untouched.gpa, ==, 42);
    g_assert_cmpuint(prefault_plan_total(plan), ==, 0);
    g_assert_cmpuint(skipped_sum(plan), ==, 0);
}

static void test_every_reason_skips(void)
{
    for (int reason = 0; reason < PREFAULT_SKIP_REASON__MAX; reason++) {
        PrefaultSection s[] = {
            ram(0, MiB),
            ram_at(MiB, 2 * MiB, MiB, BIT(reason)),
        };
        g_autoptr(PrefaultPlan) plan = prefault_plan_new(s, 2, PAGE);

        for (int r = 0; r < PREFAULT_SKIP_REASON__MAX; r++) {
            g_assert_cmpuint(prefault_plan_skipped(plan, r), ==,
                             r == reason ? 2 * MiB : 0);
        }
        g_assert_cmpuint(prefault_plan_total(plan), ==, MiB);
    }
}

static void test_lowest_reason_counts(void)
{
    for (uint32_t traits = 1; traits < BIT(PREFAULT_SKIP_REASON__MAX);
         traits++) {
        PrefaultSection s = ram_at(0, MiB, 0, traits);
        g_autoptr(PrefaultPlan) plan = prefault_plan_new(&s, 1, PAGE);
        int lowest = 0;

        while (!(traits & BIT(lowest))) {
            lowest++;
        }
        g_assert_cmpuint(prefault_plan_skipped(plan, lowest), ==, MiB);
        g_assert_cmpuint(skipped_sum(plan), ==, MiB);
    }
}

static void test_skipped_section_needs_no_host(void)
{
    PrefaultSection s[] = {
        { .gpa = 0, .size = MiB, .page_size = PAGE, .traits = TRAIT(PRIVATE) },
        { .gpa = MiB, .size = 2 * MiB, .page_size = PAGE,
          .traits = TRAIT(PRIVATE) },
    };
    g_autoptr(PrefaultPlan) plan = prefault_plan_new(s, 2, PAGE);

    /* The second sees the first one's memory too: RAM address 0 */
    g_assert_cmpuint(prefault_plan_skipped(plan, PREFAULT_SKIP_REASON_PRIVATE),
                     ==, 2 * MiB);
}

static void test_chunks_cover_ranges_in_order(void)
{
    const hwaddr gpa = 3 * MiB + 5 * PAGE;
    const uint64_t size = 33 * MiB + PAGE;
    PrefaultSection s = ram_at(gpa, size, 7 * GiB, 0);
    g_autoptr(PrefaultPlan) plan = prefault_plan_new(&s, 1, PAGE);
    g_autoptr(GArray) chunks = chunks_of(plan);

    assert_covers(chunks, gpa, size, 7 * GiB);
    g_assert_cmpuint(prefault_plan_total(plan), ==, size);
}

static void test_chunks_end_on_grid(void)
{
    static const size_t page_sizes[] = { PAGE, 2 * MiB, 4 * MiB, GiB };
    const hwaddr gpa = 2 * MiB, end = 2 * GiB + 6 * MiB;

    for (int i = 0; i < ARRAY_SIZE(page_sizes); i++) {
        uint64_t grid = MAX(GRID, page_sizes[i]);
        PrefaultSection s = ram(gpa, end - gpa);
        g_autoptr(PrefaultPlan) plan = NULL;
        g_autoptr(GArray) chunks = NULL;

        s.page_size = page_sizes[i];
        plan = prefault_plan_new(&s, 1, PAGE);
        chunks = chunks_of(plan);
        assert_covers(chunks, gpa, end - gpa, gpa);
        for (guint n = 0; n < chunks->len; n++) {
            const PrefaultChunk *c = &g_array_index(chunks, PrefaultChunk, n);

            g_assert_cmpuint(c->page_size, ==, page_sizes[i]);
            g_assert_cmpuint(c->size, <=, grid);
            g_assert_true((c->gpa + c->size) % grid == 0 ||
                          c->gpa + c->size == end);
        }
        g_assert_cmpuint(chunks->len, ==, DIV_ROUND_UP(end, grid));
    }
}

static void test_parts_of_pages_are_unaligned(void)
{
    static const struct {
        hwaddr gpa;
        uint64_t size, total;
    } cases[] = {
        { 0x10000, 4 * PAGE, 4 * PAGE },
        { 0x10200, 4 * PAGE, 3 * PAGE },            /* both ends */
        { 0x10200, 4 * PAGE - 0x200, 3 * PAGE },    /* beginning only */
        { 0x10000, 4 * PAGE - 0x200, 3 * PAGE },    /* end only */
        { 0x10200, PAGE, 0 },                       /* over a boundary */
        { 0x10000, 0x200, 0 },                      /* smaller than a page */
        { 0x10200, 0x200, 0 },                      /* in the middle of one */
        { 0x10e00, 0x400, 0 },                      /* small, over a boundary */
        { 0x10000, 0, 0 },                          /* nothing */
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        PrefaultSection s = ram(cases[i].gpa, cases[i].size);
        g_autoptr(PrefaultPlan) plan = prefault_plan_new(&s, 1, PAGE);
        g_autoptr(GArray) chunks = chunks_of(plan);
        hwaddr begin = ROUND_UP(cases[i].gpa, PAGE);

        g_assert_cmpuint(prefault_plan_total(plan), ==, cases[i].total);
        g_assert_cmpuint(prefault_plan_skipped(plan,
                             PREFAULT_SKIP_REASON_UNALIGNED),
                         ==, cases[i].size - cases[i].total);
        if (cases[i].total) {
            assert_covers(chunks, begin, cases[i].total, begin);
        } else {
            g_assert_cmpuint(chunks->len, ==, 0);
        }
    }
}

static void test_host_not_aligned_is_skipped(void)
{
    PrefaultSection s = ram(MiB, MiB);
    g_autoptr(PrefaultPlan) plan = NULL;
    g_autoptr(GArray) chunks = NULL;

    s.host += 0x200;
    plan = prefault_plan_new(&s, 1, PAGE);
    chunks = chunks_of(plan);
    g_assert_cmpuint(chunks->len, ==, 0);
    g_assert_cmpuint(prefault_plan_skipped(plan,
                         PREFAULT_SKIP_REASON_UNALIGNED), ==, MiB);
    g_assert_cmpuint(skipped_sum(plan), ==, MiB);
}

static void test_base_page_size_is_the_hosts(void)
{
    PrefaultSection s = ram(PAGE, 64 * KiB);
    g_autoptr(PrefaultPlan) plan = prefault_plan_new(&s, 1, 16 * KiB);

    g_assert_cmpuint(prefault_plan_total(plan), ==, 48 * KiB);
    g_assert_cmpuint(skipped_sum(plan), ==, 16 * KiB);
}

/*
 * Memory [0, 16 MiB) is at its own address.  A second section shows
 * [first, end) of the RAM address space at 1 GiB.
 */
static void test_alias_counts_once(void)
{
    static const struct {
        uint64_t first, end, fresh;
    } cases[] = {
        { 0, 16 * MiB, 0 },                     /* all of it */
        { 0, PAGE, 0 },                         /* its beginning */
        { 5 * MiB, 9 * MiB, 0 },                /* its middle */
        { 16 * MiB - PAGE, 16 * MiB, 0 },       /* its end */
        { 12 * MiB, 20 * MiB, 4 * MiB },        /* over its end */
        { 16 * MiB, 20 * MiB, 4 * MiB },        /* next to it: no alias */
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t size = cases[i].end - cases[i].first;
        PrefaultSection s[] = {
            ram(0, 16 * MiB),
            ram_at(GiB, size, cases[i].first, 0),
        };
        g_autoptr(PrefaultPlan) plan = prefault_plan_new(s, 2, PAGE);
        g_autoptr(GArray) chunks = chunks_of(plan);

        g_assert_cmpuint(prefault_plan_total(plan), ==,
                         16 * MiB + cases[i].fresh);
        g_assert_cmpuint(skipped_sum(plan), ==, 0);
        g_assert_cmpuint(bytes_of(chunks, false), ==,
                         prefault_plan_total(plan));
        g_assert_cmpuint(bytes_of(chunks, true), ==, size - cases[i].fresh);
    }
}

/* The second section begins before the first one's memory and ends after it */
static void test_alias_in_the_middle(void)
{
    PrefaultSection s[] = {
        ram_at(GiB, 2 * MiB, 4 * MiB, 0),
        ram_at(0, 16 * MiB, 0, 0),
    };
    g_autoptr(PrefaultPlan) plan = prefault_plan_new(s, 2, PAGE);
    g_autoptr(GArray) chunks = chunks_of(plan);

    g_assert_cmpuint(prefault_plan_total(plan), ==, 16 * MiB);
    g_assert_true(has_page(chunks, GiB, false));
    g_assert_true(has_page(chunks, 4 * MiB - PAGE, false));
    g_assert_true(has_page(chunks, 4 * MiB, true));
    g_assert_true(has_page(chunks, 6 * MiB - PAGE, true));
    g_assert_true(has_page(chunks, 6 * MiB, false));
}

static void test_three_aliases_count_once(void)
{
    PrefaultSection s[] = {
        ram_at(0, 4 * MiB, 0, 0),
        ram_at(GiB, 4 * MiB, 0, 0),
        ram_at(2ULL * GiB, 8 * MiB, 0, 0),
    };
    g_autoptr(PrefaultPlan) plan = prefault_plan_new(s, 3, PAGE);
    g_autoptr(GArray) chunks = chunks_of(plan);

    g_assert_cmpuint(prefault_plan_total(plan), ==, 8 * MiB);
    g_assert_cmpuint(bytes_of(chunks, false), ==, 8 * MiB);
    g_assert_cmpuint(bytes_of(chunks, true), ==, 8 * MiB);
}

/* A ROM alias in low memory, as machines have of their firmware and of RAM */
static void test_writable_alias_wins_in_any_order(void)
{
    PrefaultSection rom = ram_at(0xe0000, 0x20000, 0xe0000, TRAIT(ROM));
    PrefaultSection main_ram = ram_at(GiB, MiB, 0, 0);

    for (int order = 0; order < 2; order++) {
        PrefaultSection s[] = {
            order ? main_ram : rom,
            order ? rom : main_ram,
        };
        g_autoptr(PrefaultPlan) plan = prefault_plan_new(s, 2, PAGE);
        g_autoptr(GArray) chunks = chunks_of(plan);

        g_assert_cmpuint(prefault_plan_total(plan), ==, MiB);
        g_assert_cmpuint(skipped_sum(plan), ==, 0);
        assert_covers(chunks, GiB, MiB, 0);
    }
}

static void test_partly_aliased_rom_skips_the_rest(void)
{
    PrefaultSection s[] = {
        ram_at(0, 2 * MiB, 0, TRAIT(ROM)),
        ram_at(GiB, MiB, MiB / 2, 0),
        ram_at(2ULL * GiB, 2 * MiB, 0, TRAIT(DIRTY_LOGGING)),
    };
    g_autoptr(PrefaultPlan) plan = prefault_plan_new(s, 3, PAGE);

    g_assert_cmpuint(prefault_plan_total(plan), ==, MiB);
    g_assert_cmpuint(prefault_plan_skipped(plan, PREFAULT_SKIP_REASON_ROM), ==,
                     MiB);
    g_assert_cmpuint(skipped_sum(plan), ==, MiB);
}

static void test_private_is_told_apart(void)
{
    PrefaultSection sections[] = {
        ram(0, 8 * MiB), ram(8 * MiB, 2 * MiB), ram(10 * MiB, PAGE / 2),
    };
    g_autoptr(PrefaultPlan) plan = NULL;
    g_autoptr(GArray) chunks = NULL;
    uint64_t private_bytes = 0;

    sections[1].is_private = sections[2].is_private = true;
    plan = prefault_plan_new(sections, ARRAY_SIZE(sections), PAGE);
    chunks = chunks_of(plan);
    for (guint i = 0; i < chunks->len; i++) {
        const PrefaultChunk *c = &g_array_index(chunks, PrefaultChunk, i);

        g_assert_cmpint(c->is_private, ==, c->gpa >= 8 * MiB);
        private_bytes += c->is_private ? c->size : 0;
    }
    g_assert_cmpuint(private_bytes, ==, 2 * MiB);
    g_assert_cmpuint(prefault_plan_private(plan), ==, 2 * MiB);
    g_assert_cmpuint(prefault_plan_total(plan), ==, 10 * MiB);
}

static void test_addresses_above_4_gib(void)
{
    const uint64_t size = 5ULL * GiB + PAGE;
    PrefaultSection s = ram_at(1 * TiB, size, 3ULL * GiB, 0);
    g_autoptr(PrefaultPlan) plan = prefault_plan_new(&s, 1, PAGE);
    g_autoptr(GArray) chunks = chunks_of(plan);

    assert_covers(chunks, 1 * TiB, size, 3ULL * GiB);
    g_assert_cmpuint(prefault_plan_total(plan), ==, size);
}

static void test_terabytes_cost_iterations_only(void)
{
    PrefaultSection s = ram_at(4ULL * GiB, 8 * TiB, 0, 0);
    g_autoptr(PrefaultPlan) plan = prefault_plan_new(&s, 1, PAGE);
    PrefaultCursor cursor = {};
    PrefaultChunk chunk;
    uint64_t bytes = 0, nr = 0;

    while (prefault_plan_next(plan, &cursor, &chunk)) {
        bytes += chunk.size;
        nr++;
        /* The position is all that there is: no list of chunks behind it */
        g_assert_cmpuint(cursor.range, <=, 1);
    }
    g_assert_cmpuint(bytes, ==, 8 * TiB);
    g_assert_cmpuint(nr, ==, 8 * TiB / GRID);
}

/* Two cursors do not disturb each other: the plan itself never changes */
static void test_cursors_are_independent(void)
{
    PrefaultSection s[] = { ram(0, 12 * MiB), ram(GiB, 12 * MiB) };
    g_autoptr(PrefaultPlan) plan = prefault_plan_new(s, 2, PAGE);
    PrefaultCursor a = {}, b = {};
    PrefaultChunk first, second;

    while (prefault_plan_next(plan, &a, &first)) {
        g_assert_true(prefault_plan_next(plan, &b, &second));
        g_assert_cmphex(first.gpa, ==, second.gpa);
        g_assert_cmphex(first.size, ==, second.size);
    }
    g_assert_false(prefault_plan_next(plan, &b, &second));
}

/* The address behind the last one is 0: nothing may be taken for the end */
static void test_end_of_the_addresses(void)
{
    static const struct {
        hwaddr gpa;
        uint64_t size, total;
    } cases[] = {
        { -GRID, GRID, GRID },
        { -GRID - PAGE, GRID + PAGE, GRID + PAGE },
        { -2 * PAGE, PAGE, PAGE },
        { -PAGE / 2, PAGE / 4, 0 },
        { -PAGE / 2, PAGE / 2, 0 },
        { -3 * PAGE / 2, 3 * PAGE / 2, PAGE },
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        PrefaultSection s = ram_at(cases[i].gpa, cases[i].size,
                                   cases[i].gpa % PAGE, 0);
        g_autoptr(PrefaultPlan) plan = prefault_plan_new(&s, 1, PAGE);
        g_autoptr(GArray) chunks = chunks_of(plan);

        g_assert_cmpuint(prefault_plan_total(plan), ==, cases[i].total);
        g_assert_cmpuint(bytes_of(chunks, false), ==, cases[i].total);
        g_assert_cmpuint(skipped_sum(plan), ==, cases[i].size - cases[i].total);
    }
}

/* The model: one element a page of RAM, first come first counted */
#define MODEL_PAGES 64
#define MODEL_SECTIONS 6

typedef struct Model {
    int state[MODEL_PAGES];     /* -1: nobody's, 0: counts, n: reason n - 1 */
    uint64_t total;
    uint64_t skipped[PREFAULT_SKIP_REASON__MAX];
} Model;

static void model_add(Model *model, const PrefaultSection *s)
{
    for (uint64_t page = 0; page < s->size / PAGE; page++) {
        int *state = &model->state[s->ram_addr / PAGE + page];

        if (*state >= 0) {
            continue;
        }
        *state = 0;
        while (s->traits && !(s->traits & BIT((*state)++))) {
            /* Count up to the lowest bit, 1 for bit 0 */
        }
        if (*state) {
            model->skipped[*state - 1] += PAGE;
        } else {
            model->total += PAGE;
        }
    }
}

static void model_build(Model *model, const PrefaultSection *s, int nr)
{
    *model = (Model) {};
    memset(model->state, -1, sizeof(model->state));
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < nr; i++) {
            if (!!s[i].traits == pass) {
                model_add(model, &s[i]);
            }
        }
    }
}

/* Every page of @s is in one chunk if it is not skipped, in none if it is */
static void assert_section_handled(const PrefaultSection *s,
                                   const GArray *chunks, int *counted)
{
    for (uint64_t offset = 0; offset < s->size; offset += PAGE) {
        int hits = 0;

        for (guint i = 0; i < chunks->len; i++) {
            const PrefaultChunk *c = &g_array_index(chunks, PrefaultChunk, i);
            hwaddr gpa = s->gpa + offset;

            if (gpa < c->gpa || gpa >= c->gpa + c->size) {
                continue;
            }
            hits++;
            counted[(s->ram_addr + offset) / PAGE] += !c->alias;
            g_assert_true(c->host + (gpa - c->gpa) == s->host + offset);
        }
        g_assert_cmpint(hits, ==, s->traits ? 0 : 1);
    }
}

static void random_map(GRand *rand, PrefaultSection *s, int nr)
{
    hwaddr gpa = g_rand_int_range(rand, 0, 2048) * PAGE;

    for (int i = 0; i < nr; i++) {
        int first = g_rand_int_range(rand, 0, MODEL_PAGES);
        int pages = g_rand_int_range(rand, 0, MODEL_PAGES - first + 1);

        s[i] = ram_at(gpa, pages * PAGE, first * PAGE, 0);
        if (g_rand_int_range(rand, 0, 3) == 0) {
            s[i].traits = g_rand_int_range(rand, 1,
                                           BIT(PREFAULT_SKIP_REASON__MAX));
        }
        gpa += (pages + g_rand_int_range(rand, 0, 1500)) * PAGE;
    }
}

static void test_random_aliases_match_model(void)
{
    const guint32 seed = 20251;
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);

    g_test_message("seed %u", seed);
    for (int round = 0; round < 3000; round++) {
        PrefaultSection s[MODEL_SECTIONS];
        g_autoptr(PrefaultPlan) plan = NULL;
        g_autoptr(GArray) chunks = NULL;
        int counted[MODEL_PAGES] = {};
        Model model;

        random_map(rand, s, MODEL_SECTIONS);
        model_build(&model, s, MODEL_SECTIONS);
        plan = prefault_plan_new(s, MODEL_SECTIONS, PAGE);
        chunks = chunks_of(plan);

        g_assert_cmpuint(prefault_plan_total(plan), ==, model.total);
        for (int r = 0; r < PREFAULT_SKIP_REASON__MAX; r++) {
            g_assert_cmpuint(prefault_plan_skipped(plan, r), ==,
                             model.skipped[r]);
        }
        for (int i = 0; i < MODEL_SECTIONS; i++) {
            assert_section_handled(&s[i], chunks, counted);
        }
        for (int page = 0; page < MODEL_PAGES; page++) {
            g_assert_cmpint(counted[page], ==, model.state[page] == 0);
        }
    }
}

/* Sections without aliases, but with any beginning and end */
static void test_random_ends_add_up(void)
{
    const guint32 seed = 20252;
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);

    g_test_message("seed %u", seed);
    for (int round = 0; round < 3000; round++) {
        hwaddr gpa = 0;
        uint64_t listed = 0, total = 0;
        PrefaultSection s[MODEL_SECTIONS];
        g_autoptr(PrefaultPlan) plan = NULL;

        for (int i = 0; i < MODEL_SECTIONS; i++) {
            uint64_t size = g_rand_int_range(rand, 0, 40) * 0x200;
            hwaddr begin = ROUND_UP(gpa, PAGE);
            hwaddr end = ROUND_DOWN(gpa + size, PAGE);

            s[i] = ram(gpa, size);
            listed += size;
            total += end > begin ? end - begin : 0;
            gpa += size + g_rand_int_range(rand, 0, 40) * 0x200;
        }
        plan = prefault_plan_new(s, MODEL_SECTIONS, PAGE);
        g_assert_cmpuint(prefault_plan_total(plan), ==, total);
        g_assert_cmpuint(prefault_plan_total(plan) + skipped_sum(plan), ==,
                         listed);
    }
}

#define ADD(name, test) g_test_add_func("/prefault/plan/" name, test)

/* Whole chunks go, or all that is left of the piece */
static void test_skipped_chunks_do_not_come(void)
{
    static const struct {
        uint64_t size, skipped;
        hwaddr next;
        uint64_t next_size;
    } cases[] = {
        { 0, 0, GRID + PAGE, GRID - PAGE },
        { GRID - 2 * PAGE, 0, GRID + PAGE, GRID - PAGE },
        { GRID - PAGE, GRID - PAGE, 2 * GRID, GRID },
        { GRID, GRID - PAGE, 2 * GRID, GRID },
        { 2 * GRID, 2 * GRID - PAGE, 3 * GRID, GRID },
        { 3 * GRID, 3 * GRID, 8 * GRID, GRID },
    };
    const PrefaultSection sections[] = {
        ram(GRID + PAGE, 3 * GRID), ram(8 * GRID, GRID),
    };
    g_autoptr(PrefaultPlan) plan =
        prefault_plan_new(sections, ARRAY_SIZE(sections), PAGE);

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        PrefaultCursor cursor = {};
        PrefaultChunk rest, chunk;

        g_assert_true(prefault_plan_rest(plan, &cursor, &rest));
        g_assert_cmphex(rest.gpa, ==, GRID + PAGE);
        g_assert_cmphex(rest.size, ==, 3 * GRID);
        g_assert_cmphex(prefault_plan_skip(plan, &cursor, cases[i].size), ==,
                        cases[i].skipped);
        g_assert_true(prefault_plan_next(plan, &cursor, &chunk));
        g_assert_cmphex(chunk.gpa, ==, cases[i].next);
        g_assert_true(chunk.host == host_of(chunk.gpa));
        g_assert_cmphex(chunk.size, ==, cases[i].next_size);
    }
}

/* A worker that comes to the end skips nothing more */
static void test_nothing_is_left_to_skip(void)
{
    const PrefaultSection sections[] = { ram(0, GRID), ram(2 * GRID, GRID) };
    g_autoptr(PrefaultPlan) plan =
        prefault_plan_new(sections, ARRAY_SIZE(sections), PAGE);
    PrefaultCursor cursor = {};
    PrefaultChunk rest;

    for (int i = 0; i < ARRAY_SIZE(sections); i++) {
        g_assert_true(prefault_plan_rest(plan, &cursor, &rest));
        g_assert_cmphex(rest.gpa, ==, sections[i].gpa);
        g_assert_cmphex(prefault_plan_skip(plan, &cursor, GRID), ==, GRID);
    }
    g_assert_false(prefault_plan_rest(plan, &cursor, &rest));
    g_assert_cmphex(prefault_plan_skip(plan, &cursor, GRID), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    ADD("empty", test_empty_plan_has_no_chunk);
    ADD("skip/every-reason", test_every_reason_skips);
    ADD("skip/lowest-reason", test_lowest_reason_counts);
    ADD("skip/no-host", test_skipped_section_needs_no_host);
    ADD("chunks/cover", test_chunks_cover_ranges_in_order);
    ADD("chunks/grid", test_chunks_end_on_grid);
    ADD("chunks/cursors", test_cursors_are_independent);
    ADD("chunks/skipped", test_skipped_chunks_do_not_come);
    ADD("chunks/skipped/all", test_nothing_is_left_to_skip);
    ADD("unaligned/parts", test_parts_of_pages_are_unaligned);
    ADD("unaligned/host", test_host_not_aligned_is_skipped);
    ADD("unaligned/base-page", test_base_page_size_is_the_hosts);
    ADD("alias/once", test_alias_counts_once);
    ADD("alias/middle", test_alias_in_the_middle);
    ADD("alias/three", test_three_aliases_count_once);
    ADD("alias/writable-wins", test_writable_alias_wins_in_any_order);
    ADD("alias/partly", test_partly_aliased_rom_skips_the_rest);
    ADD("private", test_private_is_told_apart);
    ADD("large/above-4g", test_addresses_above_4_gib);
    ADD("large/terabytes", test_terabytes_cost_iterations_only);
    ADD("large/end", test_end_of_the_addresses);
    ADD("random/aliases", test_random_aliases_match_model);
    ADD("random/ends", test_random_ends_add_up);
    return g_test_run();
}
