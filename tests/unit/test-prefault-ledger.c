/*
 * Tests of the ledger: what is owed to the guest, and why
 *
 * Each test states one property of hw/core/prefault/ledger.h; at the end random
 * operations meet a model, and two threads each other.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/thread.h"
#include "hw/core/prefault-backend.h"
#include "../../hw/core/prefault/gate.h"
#include "../../hw/core/prefault/ledger.h"
#include "prefault-ledger-model.h"

/* In the order of the enum: the later one counts */
enum {
    D = PREFAULT_OWED_REASON_DROPPED,
    A = PREFAULT_OWED_REASON_ARRIVED,
    C = PREFAULT_OWED_REASON_CONVERTED,
    ANY = PREFAULT_OWED_REASON__MAX,
};

/* Debts in pages, and the operations that lead to them */

typedef struct Range {
    int reason;
    unsigned start, end;        /* both 0 behind the last */
} Range;

static void add(PrefaultLedger *ledger, int reason, unsigned start,
                unsigned end)
{
    prefault_ledger_add(ledger, reason, start * PAGE, (end - start) * PAGE);
}

static void settle_as_of(PrefaultLedger *ledger, unsigned generation,
                         unsigned start, unsigned end, bool mapped)
{
    prefault_ledger_settle(ledger, generation, start * PAGE,
                           (end - start) * PAGE, mapped);
}

static void settle(PrefaultLedger *ledger, unsigned start, unsigned end,
                   bool mapped)
{
    settle_as_of(ledger, prefault_gate_generation(), start, end, mapped);
}

/* What follows on for the same reason may be one debt or several */
static void join_neighbours(GArray *debts)
{
    for (unsigned i = 1; i < debts->len;) {
        PrefaultDebt *debt = &g_array_index(debts, PrefaultDebt, i);

        if (debt[-1].end == debt->start && debt[-1].reason == debt->reason) {
            debt[-1].end = debt->end;
            g_array_remove_index(debts, i);
        } else {
            i++;
        }
    }
}

static void assert_debts(PrefaultLedger *ledger, const Range *expected)
{
    g_autoptr(GArray) debts = prefault_ledger_debts(ledger);
    unsigned nr;

    join_neighbours(debts);
    for (nr = 0; expected[nr].end; nr++) {
        PrefaultDebt *debt = &g_array_index(debts, PrefaultDebt, nr);

        g_assert_cmpuint(nr, <, debts->len);
        g_assert_cmpuint(debt->start, ==, expected[nr].start * PAGE);
        g_assert_cmpuint(debt->end, ==, expected[nr].end * PAGE);
        g_assert_cmpint(debt->reason, ==, expected[nr].reason);
    }
    g_assert_cmpuint(debts->len, ==, nr);
}

static void assert_owed(PrefaultLedger *ledger, int reason, unsigned pages)
{
    g_assert_cmpuint(prefault_ledger_owed(ledger, reason), ==, pages * PAGE);
}

static void assert_mapped(PrefaultLedger *ledger, int reason, unsigned pages)
{
    g_assert_cmpuint(prefault_ledger_mapped(ledger, reason), ==, pages * PAGE);
}

static void test_new(void)
{
    g_autoptr(PrefaultLedger) ledger = prefault_ledger_new();

    assert_debts(ledger, (Range[]) { {} });
    assert_owed(ledger, ANY, 0);
    for (int reason = 0; reason < PREFAULT_OWED_REASON__MAX; reason++) {
        assert_owed(ledger, reason, 0);
        assert_mapped(ledger, reason, 0);
    }
    prefault_ledger_free(NULL);
}

static void test_add(void)
{
    static const struct {
        Range added[4];
        Range debts[6];
    } cases[] = {
        /* One */
        { { { D, 3, 5 } }, { { D, 3, 5 } } },
        /* Two that are apart, in any order */
        { { { D, 3, 5 }, { D, 7, 9 } }, { { D, 3, 5 }, { D, 7, 9 } } },
        { { { D, 7, 9 }, { D, 3, 5 } }, { { D, 3, 5 }, { D, 7, 9 } } },
        /* What follows on is one with it */
        { { { D, 3, 5 }, { D, 5, 9 } }, { { D, 3, 9 } } },
        { { { D, 3, 5 }, { D, 4, 9 } }, { { D, 3, 9 } } },
        { { { D, 3, 5 }, { D, 3, 5 } }, { { D, 3, 5 } } },
        { { { D, 3, 5 }, { D, 6, 7 }, { D, 2, 9 } }, { { D, 2, 9 } } },
        /* Unless it is for another reason */
        { { { D, 3, 5 }, { A, 5, 9 } }, { { D, 3, 5 }, { A, 5, 9 } } },
        /* The later reason counts, no matter which came first */
        { { { D, 3, 9 }, { C, 5, 6 } },
          { { D, 3, 5 }, { C, 5, 6 }, { D, 6, 9 } } },
        { { { C, 5, 6 }, { D, 3, 9 } },
          { { D, 3, 5 }, { C, 5, 6 }, { D, 6, 9 } } },
        { { { C, 3, 9 }, { D, 5, 6 } }, { { C, 3, 9 } } },
        { { { D, 3, 9 }, { C, 2, 10 } }, { { C, 2, 10 } } },
        { { { D, 3, 6 }, { C, 5, 8 } }, { { D, 3, 5 }, { C, 5, 8 } } },
        { { { C, 3, 6 }, { D, 5, 8 } }, { { C, 3, 6 }, { D, 6, 8 } } },
        { { { D, 0, 2 }, { C, 4, 6 }, { A, 1, 9 } },
          { { D, 0, 1 }, { A, 1, 4 }, { C, 4, 6 }, { A, 6, 9 } } },
        { { { C, 1, 2 }, { C, 4, 6 }, { A, 0, 5 } },
          { { A, 0, 1 }, { C, 1, 2 }, { A, 2, 4 }, { C, 4, 6 } } },
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autoptr(PrefaultLedger) ledger = prefault_ledger_new();

        for (const Range *range = cases[i].added; range->end; range++) {
            add(ledger, range->reason, range->start, range->end);
        }
        assert_debts(ledger, cases[i].debts);
    }
}

/* A guest that converts page after page downwards has one debt, not many */
static void test_neighbours_become_one(void)
{
    static const Range cases[][4] = {
        { { D, 3, 5 }, { D, 5, 9 } },
        { { D, 5, 9 }, { D, 3, 5 } },
        { { D, 3, 4 }, { D, 8, 9 }, { D, 4, 8 } },
        { { D, 3, 9 }, { D, 5, 6 } },
        { { A, 3, 9 }, { D, 5, 6 } },
        { { A, 3, 5 }, { A, 6, 9 }, { D, 4, 7 }, { A, 5, 6 } },
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autoptr(PrefaultLedger) ledger = prefault_ledger_new();
        g_autoptr(GArray) debts = NULL;

        for (int n = 0; n < ARRAY_SIZE(cases[i]) && cases[i][n].end; n++) {
            add(ledger, cases[i][n].reason, cases[i][n].start, cases[i][n].end);
        }
        debts = prefault_ledger_debts(ledger);
        g_assert_cmpuint(debts->len, ==, 1);
        assert_owed(ledger, ANY, 6);
    }
}

static void test_nothing_is_nothing(void)
{
    g_autoptr(PrefaultLedger) ledger = prefault_ledger_new();

    add(ledger, D, 3, 3);
    assert_debts(ledger, (Range[]) { {} });
    add(ledger, A, 2, 6);
    for (unsigned page = 0; page < 8; page++) {
        static const Range all[] = { { A, 2, 6 }, {} };

        add(ledger, D, page, page);
        assert_debts(ledger, all);
        add(ledger, C, page, page);
        assert_debts(ledger, all);
        settle(ledger, page, page, true);
        assert_debts(ledger, all);
        g_assert_false(prefault_ledger_overlaps(ledger, page * PAGE, 0));
    }
    assert_owed(ledger, ANY, 4);
    assert_mapped(ledger, A, 0);
}

static void test_owed_is_the_sum_of_debts(void)
{
    g_autoptr(PrefaultLedger) ledger = prefault_ledger_new();

    add(ledger, D, 3, 9);
    add(ledger, C, 5, 6);
    add(ledger, D, 20, 30);
    assert_owed(ledger, D, 15);
    assert_owed(ledger, A, 0);
    assert_owed(ledger, C, 1);
    assert_owed(ledger, ANY, 16);
}

static void test_settle(void)
{
    static const struct {
        unsigned start, end;
        Range debts[6];         /* of D 3-9, C 9-12, D 20-30 */
        unsigned dropped, converted;
    } cases[] = {
        { 0, 3, { { D, 3, 9 }, { C, 9, 12 }, { D, 20, 30 } }, 0, 0 },
        { 12, 20, { { D, 3, 9 }, { C, 9, 12 }, { D, 20, 30 } }, 0, 0 },
        { 3, 9, { { C, 9, 12 }, { D, 20, 30 } }, 6, 0 },
        { 0, 5, { { D, 5, 9 }, { C, 9, 12 }, { D, 20, 30 } }, 2, 0 },
        { 5, 6, { { D, 3, 5 }, { D, 6, 9 }, { C, 9, 12 }, { D, 20, 30 } },
          1, 0 },
        { 8, 25, { { D, 3, 8 }, { D, 25, 30 } }, 6, 3 },
        { 0, 99, { {} }, 16, 3 },
    };

    for (int i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
        g_autoptr(PrefaultLedger) ledger = prefault_ledger_new();
        unsigned n = i / 2;
        bool mapped = i % 2;

        add(ledger, D, 3, 9);
        add(ledger, C, 9, 12);
        add(ledger, D, 20, 30);
        settle(ledger, cases[n].start, cases[n].end, mapped);
        assert_debts(ledger, cases[n].debts);
        assert_owed(ledger, D, 16 - cases[n].dropped);
        assert_owed(ledger, C, 3 - cases[n].converted);
        assert_mapped(ledger, D, mapped * cases[n].dropped);
        assert_mapped(ledger, C, mapped * cases[n].converted);
    }
}

static void test_what_a_later_map_dropped_stays_owed(void)
{
    g_autoptr(PrefaultLedger) ledger = prefault_ledger_new();
    unsigned old = prefault_gate_generation();

    add(ledger, D, 3, 9);
    prefault_gate_close();
    settle_as_of(ledger, old, 3, 9, true);
    settle_as_of(ledger, old, 3, 9, false);
    assert_debts(ledger, (Range[]) { { D, 3, 9 }, {} });
    assert_owed(ledger, D, 6);
    assert_mapped(ledger, D, 0);
}

static void test_mapped_only_grows(void)
{
    g_autoptr(PrefaultLedger) ledger = prefault_ledger_new();

    for (int i = 1; i <= 3; i++) {
        add(ledger, A, 3, 9);
        settle(ledger, 3, 9, true);
        assert_mapped(ledger, A, 6 * i);
    }
    prefault_ledger_clear(ledger);
    assert_mapped(ledger, A, 18);
}

static void test_clear(void)
{
    g_autoptr(PrefaultLedger) ledger = prefault_ledger_new();

    add(ledger, D, 3, 9);
    add(ledger, C, 5, 6);
    prefault_ledger_clear(ledger);
    assert_debts(ledger, (Range[]) { {} });
    assert_owed(ledger, D, 0);
    assert_owed(ledger, C, 0);
    add(ledger, A, 0, 1);
    assert_debts(ledger, (Range[]) { { A, 0, 1 }, {} });
    assert_owed(ledger, ANY, 1);
}

static void test_overlaps(void)
{
    static const struct {
        unsigned start, end;
        bool overlaps;
    } cases[] = {
        { 0, 3, false }, { 0, 4, true }, { 3, 5, true }, { 4, 5, true },
        { 4, 8, true }, { 5, 7, false }, { 6, 8, true }, { 0, 99, true },
        { 9, 12, false }, { 8, 9, true },
    };
    g_autoptr(PrefaultLedger) ledger = prefault_ledger_new();

    g_assert_false(prefault_ledger_overlaps(ledger, 0, 99 * PAGE));
    add(ledger, D, 3, 5);
    add(ledger, C, 7, 9);
    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        unsigned pages = cases[i].end - cases[i].start;

        g_assert_cmpint(prefault_ledger_overlaps(
            ledger, cases[i].start * PAGE, pages * PAGE), ==,
            cases[i].overlaps);
    }
}

/* The last page that a guest can have */
static void test_end_of_the_addresses(void)
{
    const hwaddr end = -PAGE, start = end - 8 * PAGE;
    g_autoptr(PrefaultLedger) ledger = prefault_ledger_new();

    prefault_ledger_add(ledger, D, start, end - start);
    prefault_ledger_add(ledger, C, end - PAGE, PAGE);
    assert_owed(ledger, D, 7);
    g_assert_true(prefault_ledger_overlaps(ledger, end - PAGE, PAGE));
    prefault_ledger_settle(ledger, prefault_gate_generation(), start,
                           end - start, true);
    assert_owed(ledger, ANY, 0);
}

/* What is new to the guest; a balloon may have given the rest back */
static void test_what_is_populated(void)
{
    static const bool populates[PREFAULT_OWED_REASON__MAX] = {
        [PREFAULT_OWED_REASON_ARRIVED] = true,
        [PREFAULT_OWED_REASON_REQUESTED] = true,
        [PREFAULT_OWED_REASON_PLUGGED] = true,
        [PREFAULT_OWED_REASON_CONVERTED] = true,
    };

    for (int reason = 0; reason < PREFAULT_OWED_REASON__MAX; reason++) {
        g_assert_cmpint(prefault_ledger_populates(reason), ==,
                        populates[reason]);
    }
}

/* For one reason; what is owed for another stays owed, and adjoins */
static void test_forgive(void)
{
    g_autoptr(PrefaultLedger) ledger = prefault_ledger_new();
    g_autoptr(GArray) debts = NULL;

    for (int i = 0; i < 4; i++) {
        prefault_ledger_add(ledger, i % 2 ? D : C, i * 4 * PAGE, 4 * PAGE);
    }
    prefault_ledger_forgive(ledger, C);
    assert_owed(ledger, C, 0);
    assert_owed(ledger, D, 8);
    assert_owed(ledger, ANY, 8);
    g_assert_false(prefault_ledger_overlaps(ledger, 0, 4 * PAGE));
    debts = prefault_ledger_debts(ledger);
    g_assert_cmpuint(debts->len, ==, 2);
    g_assert_cmphex(g_array_index(debts, PrefaultDebt, 0).start, ==, 4 * PAGE);
    g_assert_cmphex(g_array_index(debts, PrefaultDebt, 1).end, ==, 16 * PAGE);
}

#define OPERATIONS 20000

static void random_operation(PrefaultLedger *ledger, Model *model)
{
    int reason = g_test_rand_int_range(0, PREFAULT_OWED_REASON__MAX);
    int dice = g_test_rand_int_range(0, 1000);
    unsigned start = g_test_rand_int_range(0, MODEL_PAGES);
    /* Small ranges more often than large ones */
    unsigned most = 1 << g_test_rand_int_range(0, 8);
    unsigned end = MIN(start + g_test_rand_int_range(1, most + 1), MODEL_PAGES);
    bool mapped = dice % 2;

    if (dice < 600) {
        add(ledger, reason, start, end);
        model_add(model, reason, start, end);
    } else if (dice < 900) {
        settle(ledger, start, end, mapped);
        model_settle(model, start, end, mapped);
    } else if (dice < 995) {
        settle_as_of(ledger, prefault_gate_generation() - 1, start, end,
                     mapped);
    } else {
        prefault_ledger_clear(ledger);
        memset(model->owed, 0, MODEL_PAGES);
    }
    g_assert_cmpint(prefault_ledger_overlaps(ledger, start * PAGE,
                                             (end - start) * PAGE), ==,
                    model_overlaps(model, start, end));
}

static void test_random(void)
{
    g_autoptr(PrefaultLedger) ledger = prefault_ledger_new();
    Model model = {};

    for (int i = 0; i < OPERATIONS; i++) {
        random_operation(ledger, &model);
        check_debts(ledger, &model);
        check_sums(ledger, &model);
    }
}

/*
 * One race on purpose: a worker settles what it was told of while the memory
 * map changes.  What the change drops, which is noted once the gate is closed,
 * must stay owed, however late the worker is.
 */

#define CHANGES 3000

typedef struct Settler {
    QemuThread thread;
    PrefaultLedger *ledger;
    unsigned generation;        /* atomic, as is the other */
    bool stop;
} Settler;

static void *settler_thread(void *opaque)
{
    Settler *s = opaque;

    while (!qatomic_read(&s->stop)) {
        settle_as_of(s->ledger, qatomic_read(&s->generation), 0, 8, true);
    }
    return NULL;
}

static void test_race_with_a_change(void)
{
    g_autoptr(PrefaultLedger) ledger = prefault_ledger_new();
    Settler s = { .ledger = ledger, .generation = prefault_gate_generation() };
    uint64_t settled, late = 0;

    qemu_thread_create(&s.thread, "settler", settler_thread, &s,
                       QEMU_THREAD_JOINABLE);
    for (int i = 0; i < CHANGES; i++) {
        prefault_gate_close();
        add(ledger, D, 0, 8);
        g_usleep(i % 20);
        assert_owed(ledger, D, 8);
        qatomic_set(&s.generation, prefault_gate_generation());
        g_usleep(i % 20);
        late += prefault_ledger_owed(ledger, D) != 0;
    }
    qatomic_set(&s.stop, true);
    qemu_thread_join(&s.thread);
    settled = prefault_ledger_mapped(ledger, D);
    g_test_message("%u changes, %" PRIu64 " settled before the next, %" PRIu64
                   " not at once", CHANGES, settled / (8 * PAGE), late);
    g_assert_cmpuint(settled, >, 0);
}

#define ADD(name, test) g_test_add_func("/prefault/ledger/" name, test)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    ADD("new", test_new);
    ADD("add", test_add);
    ADD("add/neighbours", test_neighbours_become_one);
    ADD("add/nothing", test_nothing_is_nothing);
    ADD("owed", test_owed_is_the_sum_of_debts);
    ADD("settle", test_settle);
    ADD("settle/stale", test_what_a_later_map_dropped_stays_owed);
    ADD("settle/mapped", test_mapped_only_grows);
    ADD("clear", test_clear);
    ADD("overlaps", test_overlaps);
    ADD("end", test_end_of_the_addresses);
    ADD("populates", test_what_is_populated);
    ADD("forgive", test_forgive);
    ADD("random", test_random);
    ADD("race", test_race_with_a_change);
    return g_test_run();
}
