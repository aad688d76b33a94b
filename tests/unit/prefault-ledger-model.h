/*
 * A model of the ledger
 *
 * A page is a byte: 0, or one more than the reason for which it is owed.  Of
 * several reasons the strongest counts.  Addresses begin at any base.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_PREFAULT_LEDGER_MODEL_H
#define TESTS_UNIT_PREFAULT_LEDGER_MODEL_H

#include "hw/core/prefault-backend.h"
#include "../../hw/core/prefault/ledger.h"

#define PAGE UINT64_C(4096)
#define MODEL_PAGES 256

typedef struct Model {
    hwaddr base;                /* of page 0 */
    uint8_t owed[MODEL_PAGES];
    uint64_t mapped[PREFAULT_OWED_REASON__MAX];
} Model;

static inline void model_add(Model *model, int reason, unsigned start,
                             unsigned end)
{
    for (unsigned page = start; page < end; page++) {
        model->owed[page] = MAX(model->owed[page], reason + 1);
    }
}

static inline void model_settle(Model *model, unsigned start, unsigned end,
                                bool mapped)
{
    for (unsigned page = start; page < end; page++) {
        if (mapped && model->owed[page]) {
            model->mapped[model->owed[page] - 1] += PAGE;
        }
        model->owed[page] = 0;
    }
}

static inline bool model_overlaps(const Model *model, unsigned start,
                                  unsigned end)
{
    bool overlaps = false;

    for (unsigned page = start; page < end; page++) {
        overlaps |= model->owed[page] != 0;
    }
    return overlaps;
}

/* Sorted, apart, none empty, and the same pages for the same reasons */
static inline void check_debts(PrefaultLedger *ledger, const Model *model)
{
    g_autoptr(GArray) debts = prefault_ledger_debts(ledger);
    uint8_t owed[MODEL_PAGES] = {};
    hwaddr end = model->base;

    for (unsigned i = 0; i < debts->len; i++) {
        PrefaultDebt *debt = &g_array_index(debts, PrefaultDebt, i);

        g_assert_cmpuint(debt->start, >=, end);
        g_assert_cmpuint(debt->end, >, debt->start);
        g_assert_cmpuint(debt->end, <=, model->base + MODEL_PAGES * PAGE);
        end = debt->end;
        memset(owed + (debt->start - model->base) / PAGE, debt->reason + 1,
               (debt->end - debt->start) / PAGE);
    }
    g_assert_cmpmem(owed, MODEL_PAGES, model->owed, MODEL_PAGES);
}

static inline void check_sums(PrefaultLedger *ledger, const Model *model)
{
    uint64_t all = 0;

    for (int reason = 0; reason < PREFAULT_OWED_REASON__MAX; reason++) {
        uint64_t owed = 0;

        for (unsigned page = 0; page < MODEL_PAGES; page++) {
            owed += model->owed[page] == reason + 1 ? PAGE : 0;
        }
        g_assert_cmpuint(prefault_ledger_owed(ledger, reason), ==, owed);
        g_assert_cmpuint(prefault_ledger_mapped(ledger, reason), ==,
                         model->mapped[reason]);
        all += owed;
    }
    g_assert_cmpuint(prefault_ledger_owed(ledger, PREFAULT_OWED_REASON__MAX),
                     ==, all);
}

#endif /* TESTS_UNIT_PREFAULT_LEDGER_MODEL_H */
