/*
 * Fuzzer of the plan: sections of guest memory to chunks
 *
 * Makes a memory map from the input, anywhere in the guest's addresses up to
 * the last one, and compares chunks and sums with a model that looks at one
 * page at a time: which section counts it, and for which reason it is skipped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/units.h"
#include "../../hw/core/prefault/plan.h"
#include "fuzz-input.h"

#define PAGE (4 * KiB)
#define GRID (4 * MiB)
/* Sections begin and end at multiples of it if nobody else has their memory */
#define PART 512
#define PARTS (PAGE / PART)

#define SECTIONS 8
#define PLACES 3
/* Of memory that several sections may have; enough for some chunks */
#define SHARED_PAGES 4096
/* A section's own memory follows that, at this distance */
#define OWN_PAGES 8192

/* RAM address 0 is at this host address, so that an error is easy to see */
#define HOST_BASE 0x700000000000ULL

typedef struct Map {
    PrefaultSection section[SECTIONS];
    /* Of each page of a section: what the model says, and the chunks */
    int8_t expected[SECTIONS][OWN_PAGES], found[SECTIONS][OWN_PAGES];
    int nr;
    uint64_t total, total_private, skipped[PREFAULT_SKIP_REASON__MAX];
    unsigned places;
} Map;

enum { NONE, COUNTS, ALIAS };

static Map map;

/* The input to a memory map */

static void read_kind(FuzzInput *in, PrefaultSection *s)
{
    unsigned bits = fuzz_number(in, 1);

    s->is_private = bits & 1;
    s->present_only = bits & 2;
    s->map_later = bits & 4;
    s->page_size = bits & 8 ? 2 * MiB : bits & 16 ? GiB : PAGE;
    s->place = fuzz_below(in, PLACES);
    if (bits & 32) {
        s->traits = fuzz_below(in, BIT(PREFAULT_SKIP_REASON__MAX));
    }
    if (bits & 64 && s->traits) {
        s->host = NULL;
    }
}

/* Returns where the next section may begin */
static hwaddr read_section(FuzzInput *in, int i, hwaddr gpa)
{
    PrefaultSection *s = &map.section[i];
    unsigned kind = fuzz_below(in, 4);
    uint64_t own = SHARED_PAGES + i * OWN_PAGES;

    gpa += fuzz_below(in, 2048) * PAGE;
    if (kind < 2) {
        unsigned first = fuzz_below(in, SHARED_PAGES);

        gpa = ROUND_UP(gpa, PAGE);
        s->ram_addr = first * PAGE;
        s->size = fuzz_below(in, SHARED_PAGES - first + 1) * PAGE;
    } else {
        gpa += fuzz_below(in, PARTS) * PART;
        s->ram_addr = own * PAGE + (gpa + fuzz_below(in, 2) * PART) % PAGE;
        s->size = fuzz_below(in, (OWN_PAGES - 1) * PARTS) * PART;
        s->is_managed = kind == 3;
    }
    s->gpa = gpa;
    s->host = (uint8_t *)(uintptr_t)(HOST_BASE + s->ram_addr);
    read_kind(in, s);
    return gpa + s->size;
}

/* Near the last address, all sections that fit before it */
static void read_map(FuzzInput *in)
{
    static const hwaddr begins[] = { 0, 4 * GiB - 8 * MiB, 1ULL << 51 };
    unsigned where = fuzz_below(in, ARRAY_SIZE(begins) + 1);
    hwaddr begin = where < ARRAY_SIZE(begins) ? begins[where]
                   : -(uint64_t)(fuzz_below(in, 65536) * PART);
    hwaddr gpa = begin;
    int nr = fuzz_below(in, SECTIONS + 1);

    memset(&map, 0, sizeof(map));
    for (map.nr = 0; map.nr < nr; map.nr++) {
        hwaddr next = read_section(in, map.nr, gpa);
        const PrefaultSection *s = &map.section[map.nr];

        if (s->gpa < begin || (next < begin && next)) {
            break;              /* it would wrap around */
        }
        if (!next) {
            map.nr++;
            break;              /* the last address is its own */
        }
        gpa = next;
    }
}

/* The model */

/* The lowest reason of @s takes so many bytes, or the pages count */
static void model_count(const PrefaultSection *s, int8_t *expected,
                        uint64_t bytes)
{
    for (int reason = 0; reason < PREFAULT_SKIP_REASON__MAX; reason++) {
        if (s->traits & BIT(reason)) {
            map.skipped[reason] += bytes;
            return;
        }
    }
    *expected = COUNTS;
    map.total += bytes;
    map.total_private += s->is_private ? bytes : 0;
}

/* A page that several may have; a section that is skipped maps none */
static void model_shared(const PrefaultSection *s, int8_t *expected,
                         bool *counted)
{
    for (uint64_t page = 0; page < s->size / PAGE; page++) {
        bool *done = &counted[s->ram_addr / PAGE + page];

        if (!*done) {
            model_count(s, &expected[page], PAGE);
            *done = true;
        } else if (!s->traits) {
            expected[page] = ALIAS;
        }
    }
}

/* Memory of its own, a part of a page at a time */
static void model_own(const PrefaultSection *s, int8_t *expected)
{
    bool aligned = s->gpa % PAGE == s->ram_addr % PAGE;
    unsigned in_a_row = 0;

    for (uint64_t part = 0; part < s->size / PART; part++) {
        hwaddr gpa = s->gpa + part * PART;

        if (s->traits) {
            model_count(s, NULL, PART);
            continue;
        }
        in_a_row = gpa % PAGE ? in_a_row + !!in_a_row : 1;
        map.skipped[PREFAULT_SKIP_REASON_UNALIGNED] += PART;
        if (in_a_row == PARTS && aligned) {
            map.skipped[PREFAULT_SKIP_REASON_UNALIGNED] -= PAGE;
            model_count(s, &expected[(part - PARTS + 1) / PARTS], PAGE);
        }
    }
}

static void model_build(void)
{
    bool counted[SHARED_PAGES] = {};

    map.places = 1;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < map.nr; i++) {
            const PrefaultSection *s = &map.section[i];

            if (!!s->traits != pass) {
                continue;
            }
            if (s->ram_addr < SHARED_PAGES * PAGE) {
                model_shared(s, map.expected[i], counted);
            } else {
                model_own(s, map.expected[i]);
            }
            for (int page = 0; page < OWN_PAGES; page++) {
                if (map.expected[i][page]) {
                    map.places = MAX(map.places, s->place + 1);
                    break;
                }
            }
        }
    }
}

/* Comparing */

static int section_of(hwaddr gpa)
{
    for (int i = 0; i < map.nr; i++) {
        if (gpa - map.section[i].gpa < map.section[i].size) {
            return i;
        }
    }
    g_assert_not_reached();
}

static void check_chunk(const PrefaultChunk *c, unsigned place)
{
    int i = section_of(c->gpa);
    const PrefaultSection *s = &map.section[i];
    uint64_t offset = c->gpa - s->gpa, grid = MAX(GRID, c->page_size);

    g_assert_cmpuint(c->place, ==, place);
    g_assert_true(c->size && !(c->size % PAGE) && !(c->gpa % PAGE));
    g_assert_cmpuint(c->size, <=, s->size - offset);
    g_assert_cmphex(c->gpa / grid, ==, (c->gpa + c->size - 1) / grid);
    g_assert_true(c->host == s->host + offset);
    g_assert_true(c->place == s->place && c->page_size == s->page_size &&
                  c->is_private == s->is_private &&
                  c->present_only == s->present_only &&
                  c->map_later == s->map_later &&
                  c->is_managed == s->is_managed);
    for (uint64_t at = 0; at < c->size; at += PAGE) {
        int8_t *found = &map.found[i][(offset + at) / PAGE];

        g_assert_cmpint(*found, ==, NONE);
        *found = c->alias ? ALIAS : COUNTS;
    }
}

static void check_chunks(const PrefaultPlan *plan)
{
    for (unsigned place = 0; place < PLACES; place++) {
        PrefaultCursor cursor = { .place = place };
        PrefaultChunk chunk;

        while (prefault_plan_next(plan, &cursor, &chunk)) {
            check_chunk(&chunk, place);
        }
        g_assert_false(prefault_plan_next(plan, &cursor, &chunk));
    }
    for (int i = 0; i < map.nr; i++) {
        uint64_t nr = map.section[i].size / PAGE + 1;

        g_assert_cmpmem(map.found[i], nr, map.expected[i], nr);
    }
}

static void check_sums(const PrefaultPlan *plan)
{
    PrefaultChunk range;
    uint64_t sum = 0;

    for (unsigned i = 0; prefault_plan_range(plan, i, &range); i++) {
        sum += range.alias ? 0 : range.size;
    }
    g_assert_cmpuint(sum, ==, map.total);
    g_assert_cmpuint(prefault_plan_total(plan), ==, map.total);
    g_assert_cmpuint(prefault_plan_private(plan), ==, map.total_private);
    g_assert_cmpuint(prefault_plan_places(plan), ==, map.places);
    for (int reason = 0; reason < PREFAULT_SKIP_REASON__MAX; reason++) {
        g_assert_cmpuint(prefault_plan_skipped(plan, reason), ==,
                         map.skipped[reason]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    g_autoptr(PrefaultPlan) plan = NULL;

    read_map(&in);
    model_build();
    plan = prefault_plan_new(map.section, map.nr, PAGE);
    check_chunks(plan);
    check_sums(plan);
    return 0;
}
