/*
 * Tests of what our parts take for a large guest: plan, ledger, room, engine
 *
 * Each states how time grows with a guest that is made up, or that one of
 * 64 TiB with 4,096 pieces and 1,024 workers stays within a bound.  With
 * "-m perf" the same is done for a range of sizes, and printed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "hw/core/prefault-backend.h"
#include "../../hw/core/prefault/engine.h"
#include "../../hw/core/prefault/gate.h"
#include "../../hw/core/prefault/known.h"
#include "../../hw/core/prefault/ledger.h"
#include "../../hw/core/prefault/backing.h"
#include "../../hw/core/prefault/room.h"
#include "../../hw/core/prefault/tally.h"
#include "prefault-scale.h"

#define GUEST (64 * TiB)
#define PIECES 4096
#define WORKERS 1024
#define DEBTS 100000

static const unsigned all_tib[] = { 1, 16, 64 };
static const unsigned all_pieces[] = { 8, 512, 4096 };
static const unsigned all_workers[] = { 16, 256, 1024 };

static PrefaultPlan *plan_of(uint64_t bytes, unsigned pieces)
{
    g_autofree PrefaultSection *sections =
        scale_sections(bytes, pieces, SCALE_PAGE);

    return prefault_plan_new(sections, pieces, SCALE_PAGE);
}

/* Plan */

static Scale plan_cost(uint64_t bytes, unsigned pieces)
{
    g_autofree PrefaultSection *sections =
        scale_sections(bytes, pieces, SCALE_PAGE);
    Scale begun = scale_begin();
    g_autoptr(PrefaultPlan) plan =
        prefault_plan_new(sections, pieces, SCALE_PAGE);

    return scale_end(begun);
}

static double plan_ms(unsigned pieces)
{
    return plan_cost(GUEST, pieces).ms;
}

static Scale walk_cost(uint64_t bytes, unsigned pieces)
{
    g_autoptr(PrefaultPlan) plan = plan_of(bytes, pieces);
    Scale begun = scale_begin();
    PrefaultCursor cursor = {};
    PrefaultChunk chunk;
    uint64_t sum = 0;

    while (prefault_plan_next(plan, &cursor, &chunk)) {
        sum += chunk.size;
    }
    g_assert_cmpuint(sum, ==, prefault_plan_total(plan));
    return scale_end(begun);
}

static void test_plan(void)
{
    Scale taken = plan_cost(GUEST, PIECES);

    scale_assert_grows_evenly(plan_ms, PIECES);
    g_assert_cmpfloat(taken.ms, <, 100);
    g_assert_cmpfloat(taken.mib, <, 2);
}

static void perf_plan(void)
{
    for (int p = 0; p < ARRAY_SIZE(all_pieces); p++) {
        scale_row("plan", 64, all_pieces[p], 0,
                  plan_cost(GUEST, all_pieces[p]));
    }
    for (int t = 0; t < ARRAY_SIZE(all_tib); t++) {
        scale_row("walk", all_tib[t], PIECES, 0,
                  walk_cost(all_tib[t] * TiB, PIECES));
    }
}

/* Ledger */

typedef struct LedgerCost {
    Scale owe, copy, plan, all, settle;
} LedgerCost;

/* The numbers below @n, in some order */
static unsigned *shuffled(unsigned n)
{
    unsigned *order = g_new(unsigned, n);

    for (unsigned i = 0; i < n; i++) {
        unsigned at = g_random_int_range(0, i + 1);

        order[i] = order[at];
        order[at] = i;
    }
    return order;
}

static void owe_scattered(PrefaultLedger *ledger, unsigned n)
{
    g_autofree unsigned *order = shuffled(n);

    for (unsigned i = 0; i < n; i++) {
        prefault_ledger_add(ledger, PREFAULT_OWED_REASON_CONVERTED,
                            order[i] * 2 * SCALE_CHUNK, SCALE_CHUNK);
    }
}

static void settle_scattered(PrefaultLedger *ledger, unsigned n)
{
    g_autofree unsigned *order = shuffled(n);

    for (unsigned i = 0; i < n; i++) {
        prefault_ledger_settle(ledger, prefault_gate_generation(),
                               order[i] * 2 * SCALE_CHUNK, SCALE_CHUNK, true);
    }
}

/* As the memory map has them: one block of memory, read piece by piece */
static Scale plan_of_debts_cost(const GArray *debts)
{
    g_autofree PrefaultSection *sections = g_new0(PrefaultSection, debts->len);
    g_autoptr(PrefaultPlan) plan = NULL;
    Scale begun;

    for (guint i = 0; i < debts->len; i++) {
        const PrefaultDebt *debt = &g_array_index(debts, PrefaultDebt, i);

        sections[i] = (PrefaultSection) {
            .gpa = debt->start, .size = debt->end - debt->start,
            .host = SCALE_HOST + debt->start, .ram_addr = debt->start,
            .page_size = SCALE_PAGE,
        };
    }
    begun = scale_begin();
    plan = prefault_plan_new(sections, debts->len, SCALE_PAGE);
    return scale_end(begun);
}

static LedgerCost ledger_cost(unsigned n)
{
    g_autoptr(PrefaultLedger) ledger = prefault_ledger_new();
    g_autoptr(GArray) debts = NULL;
    LedgerCost cost;
    Scale begun = scale_begin();

    owe_scattered(ledger, n);
    cost.owe = scale_end(begun);
    begun = scale_begin();
    debts = prefault_ledger_debts(ledger);
    cost.copy = scale_end(begun);
    g_assert_cmpuint(debts->len, ==, n);
    cost.plan = plan_of_debts_cost(debts);
    /* A change of the memory map: all of it is owed, for a weaker reason */
    prefault_gate_close();
    begun = scale_begin();
    prefault_ledger_add(ledger, PREFAULT_OWED_REASON_DROPPED, 0, GUEST);
    cost.all = scale_end(begun);
    g_assert_cmpuint(prefault_ledger_owed(ledger, PREFAULT_OWED_REASON__MAX),
                     ==, GUEST);
    begun = scale_begin();
    settle_scattered(ledger, n);
    cost.settle = scale_end(begun);
    g_assert_cmpuint(prefault_ledger_owed(ledger, PREFAULT_OWED_REASON__MAX),
                     ==, GUEST - n * SCALE_CHUNK);
    return cost;
}

static double owe_ms(unsigned n)
{
    return ledger_cost(n).owe.ms;
}

static double owe_all_ms(unsigned n)
{
    return ledger_cost(n).all.ms;
}

static double settle_ms(unsigned n)
{
    return ledger_cost(n).settle.ms;
}

static double plan_of_debts_ms(unsigned n)
{
    return ledger_cost(n).plan.ms;
}

static void test_ledger(void)
{
    scale_assert_grows_evenly(owe_ms, DEBTS / 8);
    scale_assert_grows_evenly(owe_all_ms, DEBTS / 8);
    scale_assert_grows_evenly(settle_ms, DEBTS / 8);
}

static void test_plan_of_debts(void)
{
    scale_assert_grows_evenly(plan_of_debts_ms, DEBTS / 8);
}

static void perf_ledger(void)
{
    for (unsigned n = 1000; n <= DEBTS; n *= 10) {
        LedgerCost cost = ledger_cost(n);

        scale_row("owe", 0, n, 0, cost.owe);
        scale_row("debts", 0, n, 0, cost.copy);
        scale_row("plan of debts", 0, n, 0, cost.plan);
        scale_row("owe all", 0, n, 0, cost.all);
        scale_row("settle", 0, n, 0, cost.settle);
    }
}

/* Room: which piece is a chunk in? */

static Scale room_cost(uint64_t bytes, unsigned pieces, uint64_t step)
{
    g_autofree PrefaultBacking *backings = g_new0(PrefaultBacking, pieces);
    uint64_t size = bytes / pieces;
    Scale begun = scale_begin(), taken;
    PrefaultRoom *room;

    for (unsigned i = 0; i < pieces; i++) {
        backings[i] = (PrefaultBacking) {
            .name = "made up", .host = SCALE_HOST + i * size, .size = size,
            .page_size = SCALE_PAGE, .fd = -1, .is_private = true,
            .private_taken = size,
        };
    }
    room = prefault_room_new(backings, pieces, true, "");
    for (uint64_t at = 0; at < bytes; at += step) {
        uint64_t cost;

        g_assert_true(prefault_room_begin(room, true, SCALE_HOST + at,
                                          SCALE_CHUNK, &cost, &error_abort));
        g_assert_cmpuint(cost, ==, 0);
    }
    taken = scale_end(begun);
    prefault_room_free(room);
    return taken;
}

/* As many chunks as pieces */
static double room_ms(unsigned pieces)
{
    return room_cost(pieces * SCALE_CHUNK, pieces, SCALE_CHUNK).ms;
}

static void test_room(void)
{
    scale_assert_grows_evenly(room_ms, PIECES);
}

static void perf_room(void)
{
    for (int p = 0; p < ARRAY_SIZE(all_pieces); p++) {
        scale_row("room", 1, all_pieces[p], 0,
                  room_cost(TiB, all_pieces[p], SCALE_CHUNK));
    }
}

/* Room, counted page by page: memory that is mapped, and not there */

static Scale count_cost(uint64_t bytes, bool shared)
{
    int fd = shared ? memfd_create("scale", 0) : -1;
    PrefaultBacking backing = {
        .size = bytes, .page_size = SCALE_PAGE, .fd = fd, .shared = shared,
    };
    Scale begun, taken;

    g_assert_true(!shared || ftruncate(fd, bytes) == 0);
    backing.host = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_NORESERVE | (shared ? MAP_SHARED
                                         : MAP_PRIVATE | MAP_ANONYMOUS), fd, 0);
    g_assert_true(backing.host != MAP_FAILED);
    begun = scale_begin();
    g_assert_cmpuint(prefault_backing_cost(&backing, backing.host, bytes, true),
                     ==, bytes);
    taken = scale_end(begun);
    munmap(backing.host, bytes);
    if (shared) {
        close(fd);
    }
    return taken;
}

static void test_count_absent(void)
{
    g_assert_cmpfloat(count_cost(GUEST, false).ms, <, 100);
    g_assert_cmpfloat(count_cost(GUEST, true).ms, <, 100);
}

/*
 * 1 TiB with some pages that are there; a private mapping of a memfd takes its
 * page and one of the file
 */
static void assert_counted(int fd, uint64_t fd_offset, bool shared)
{
    static const uint64_t there[] = { 0, 300 * GiB, 300 * GiB + SCALE_PAGE,
                                      301 * GiB, TiB - SCALE_PAGE };
    PrefaultBacking backing = {
        .size = TiB, .page_size = SCALE_PAGE, .fd = fd,
        .fd_offset = fd_offset, .shared = shared,
    };
    uint64_t each = fd >= 0 && !shared ? 2 * SCALE_PAGE : SCALE_PAGE;
    uint8_t *host = mmap(NULL, TiB, PROT_READ | PROT_WRITE, MAP_NORESERVE |
                         (fd < 0 ? MAP_ANONYMOUS : 0) |
                         (shared ? MAP_SHARED : MAP_PRIVATE), fd, fd_offset);

    g_assert_true(host != MAP_FAILED);
    for (int i = 0; i < ARRAY_SIZE(there); i++) {
        /* One base page each, wherever the kernel would like a huge one */
        madvise(host + there[i], SCALE_PAGE, MADV_NOHUGEPAGE);
        host[there[i]] = 1;
    }
    backing.host = host;
    g_assert_cmpuint(prefault_backing_cost(&backing, host, TiB, true), ==,
                     each * (TiB / SCALE_PAGE - ARRAY_SIZE(there)));
    /* From the middle on: the last two */
    g_assert_cmpuint(prefault_backing_cost(&backing, host + 301 * GiB,
                                           TiB - 301 * GiB, true), ==,
                     each * ((TiB - 301 * GiB) / SCALE_PAGE - 2));
    munmap(host, TiB);
}

static void test_count_some(void)
{
    const struct {
        bool file, shared;
        uint64_t offset;
    } cases[] = {
        { false, false, 0 }, { true, true, 0 }, { true, false, 0 },
        { true, true, 512 * GiB }, { true, false, 512 * GiB },
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        int fd = -1;

        if (cases[i].file) {
            fd = memfd_create("scale", 0);
        }
        g_assert_true(fd < 0 || ftruncate(fd, cases[i].offset + TiB) == 0);
        /* What lies before the mapping does not count */
        g_assert_true(!cases[i].offset || pwrite(fd, "x", 1, GiB) == 1);
        assert_counted(fd, cases[i].offset, cases[i].shared);
        if (fd >= 0) {
            close(fd);
        }
    }
}

static void perf_count(void)
{
    for (int t = 0; t < ARRAY_SIZE(all_tib); t++) {
        scale_row("count anonymous", all_tib[t], 1, 0,
                  count_cost(all_tib[t] * TiB, false));
        scale_row("count memfd", all_tib[t], 1, 0,
                  count_cost(all_tib[t] * TiB, true));
    }
}

/* Engine: real threads, and operations that do nothing */

static const PrefaultKnown *work_known;     /* what the last run has done */
static unsigned work_questions;             /* about it; changed atomically */

static PrefaultKnowledge work_is_known(void *opaque, const PrefaultChunk *chunk)
{
    qatomic_inc(&work_questions);
    return prefault_known_has(work_known, chunk) ? PREFAULT_IS_MAPPED
                                                 : PREFAULT_UNKNOWN;
}

static uint64_t work_mapped(void *opaque, const PrefaultChunk *rest)
{
    qatomic_inc(&work_questions);
    return prefault_known_size(work_known, rest);
}

static int work_populate(void *opaque, const PrefaultChunk *chunk)
{
    return 0;
}

static int work_map(void *opaque, unsigned worker, hwaddr gpa, uint64_t size,
                    uint64_t *mapped)
{
    *mapped = size;
    return 0;
}

static void work_done(void *opaque)
{
    qatomic_set((bool *)opaque, true);
}

static const PrefaultOps work_ops = {
    .populate = work_populate, .map = work_map, .done = work_done,
};
static const PrefaultOps work_known_ops = {
    .known = work_is_known, .mapped = work_mapped,
    .populate = work_populate, .map = work_map, .done = work_done,
};

typedef struct WorkCost {
    Scale run;                  /* elapsed, not CPU time */
    Scale query;                /* the longest */
} WorkCost;

/* Ask for the progress every ms, as a monitor would with the BQL held */
static double work_longest_query(PrefaultEngine *engine, const bool *done)
{
    double longest = 0;

    while (!qatomic_read(done)) {
        PrefaultProgress progress;
        int64_t begun = g_get_monotonic_time();

        prefault_engine_progress(engine, &progress);
        longest = MAX(longest, (g_get_monotonic_time() - begun) / 1e3);
        g_usleep(1000);
    }
    return longest;
}

static WorkCost work_cost(const PrefaultOps *ops, uint64_t bytes,
                          unsigned pieces, unsigned workers)
{
    g_autoptr(PrefaultPlan) plan = plan_of(bytes, pieces);
    Scale begun = scale_begin();
    int64_t begun_us = g_get_monotonic_time();
    WorkCost cost = {};
    PrefaultProgress progress;
    PrefaultEngine *engine;
    bool done = false;

    engine = prefault_engine_start(plan, ops, &done, workers);
    cost.query.ms = work_longest_query(engine, &done);
    cost.run.mib = scale_end(begun).mib;
    g_assert_cmpint(prefault_engine_wait(engine), ==,
                    PREFAULT_OUTCOME_COMPLETED);
    cost.run.ms = (g_get_monotonic_time() - begun_us) / 1e3;
    prefault_engine_progress(engine, &progress);
    g_assert_cmpuint(progress.mapped, ==, prefault_plan_total(plan));
    prefault_engine_free(engine);
    return cost;
}

static WorkCost second_run_cost(uint64_t bytes, unsigned pieces,
                                unsigned workers)
{
    g_autoptr(PrefaultPlan) plan = plan_of(bytes, pieces);
    g_autoptr(PrefaultKnown) first = prefault_known_new(plan);
    g_autoptr(PrefaultKnown) known = prefault_known_after(
        first, g_array_new(false, false, sizeof(PrefaultDebt)));

    work_known = known;
    return work_cost(&work_known_ops, bytes, pieces, workers);
}

/* A thousand workers that note failures keep neither queries nor each other */
static void test_figures_wait_for_nobody(void)
{
    PrefaultTally tally;
    PrefaultProgress progress;

    prefault_tally_init(&tally);
    WITH_QEMU_LOCK_GUARD(&tally.lock) {
        /* The process ends by a signal if one of these waits for the lock */
        alarm(10);
        prefault_tally_add(&tally, &tally.counts.mapped, 7);
        g_assert_cmpint(prefault_tally_outcome(&tally, &progress), ==,
                        PREFAULT_OUTCOME_RUNNING);
        g_assert_cmpint(prefault_tally_outcome(&tally, NULL), ==,
                        PREFAULT_OUTCOME_RUNNING);
        alarm(0);
    }
    g_assert_cmpuint(progress.mapped, ==, 7);
    prefault_tally_destroy(&tally);
}

/* 16 million chunks, and a question for each piece */
static void test_second_run(void)
{
    qatomic_set(&work_questions, 0);
    second_run_cost(GUEST, PIECES, 2);
    g_test_message("64 TiB that is known: %u questions", work_questions);
    g_assert_cmpuint(qatomic_read(&work_questions), <=, PIECES);
}

static void perf_engine(void)
{
    for (int t = 0; t < ARRAY_SIZE(all_tib); t++) {
        for (int w = 0; w < ARRAY_SIZE(all_workers); w++) {
            unsigned tib = all_tib[t], workers = all_workers[w];
            WorkCost cost = work_cost(&work_ops, tib * TiB, PIECES, workers);

            scale_row("work", tib, PIECES, workers, cost.run);
            scale_row("query", tib, PIECES, workers, cost.query);
            cost = second_run_cost(tib * TiB, PIECES, workers);
            scale_row("second run", tib, PIECES, workers, cost.run);
        }
    }
}

/* More workers than a host has CPUs: each chunk once, and queries are quick */
static void test_workers(void)
{
    WorkCost cost = work_cost(&work_ops, TiB, PIECES, WORKERS);

    g_test_message("1 TiB, %u workers: %.3f ms, longest query %.3f ms",
                   WORKERS, cost.run.ms, cost.query.ms);
    g_assert_cmpfloat(cost.run.mib, <, 16);
}

#define ADD(name, test) g_test_add_func("/prefault/scale/" name, test)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (g_test_perf()) {
        ADD("perf/plan", perf_plan);
        ADD("perf/ledger", perf_ledger);
        ADD("perf/room", perf_room);
        ADD("perf/count", perf_count);
        ADD("perf/engine", perf_engine);
        return g_test_run();
    }
    ADD("plan", test_plan);
    ADD("plan/debts", test_plan_of_debts);
    ADD("ledger", test_ledger);
    ADD("room", test_room);
    ADD("count/absent", test_count_absent);
    ADD("count/some", test_count_some);
    ADD("workers", test_workers);
    ADD("figures", test_figures_wait_for_nobody);
    ADD("second-run", test_second_run);
    return g_test_run();
}
