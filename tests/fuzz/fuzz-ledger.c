/*
 * Fuzzer of the ledger: what is owed, and why
 *
 * Reads operations from the input, does each on a ledger and on the model, and
 * compares all debts and sums after each.  Settlements carry the generation of
 * the memory map now, or of one that is past.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "../../hw/core/prefault/gate.h"
#include "../unit/prefault-ledger-model.h"
#include "fuzz-input.h"

enum { ADD, SETTLE, SETTLE_LATE, FORGIVE, CLEAR, CHANGE, OPERATIONS };

static void model_forgive(Model *model, int reason)
{
    for (unsigned page = 0; page < MODEL_PAGES; page++) {
        if (model->owed[page] == reason + 1) {
            model->owed[page] = 0;
        }
    }
}

static void do_operation(FuzzInput *in, PrefaultLedger *ledger, Model *model)
{
    int operation = fuzz_below(in, OPERATIONS);
    int reason = fuzz_below(in, PREFAULT_OWED_REASON__MAX);
    unsigned start = fuzz_below(in, MODEL_PAGES);
    unsigned pages = fuzz_below(in, MODEL_PAGES - start + 1);
    hwaddr gpa = model->base + start * PAGE;
    unsigned generation = prefault_gate_generation();
    bool mapped = reason & 1;

    switch (operation) {
    case ADD:
        prefault_ledger_add(ledger, reason, gpa, pages * PAGE);
        model_add(model, reason, start, start + pages);
        break;
    case SETTLE:
        prefault_ledger_settle(ledger, generation, gpa, pages * PAGE, mapped);
        model_settle(model, start, start + pages, mapped);
        break;
    case SETTLE_LATE:
        prefault_ledger_settle(ledger, generation - 1 - reason, gpa,
                               pages * PAGE, mapped);
        break;
    case FORGIVE:
        prefault_ledger_forgive(ledger, reason);
        model_forgive(model, reason);
        break;
    case CLEAR:
        prefault_ledger_clear(ledger);
        memset(model->owed, 0, sizeof(model->owed));
        break;
    case CHANGE:
        prefault_gate_close();
        break;
    }
    g_assert_cmpint(prefault_ledger_overlaps(ledger, gpa, pages * PAGE), ==,
                    model_overlaps(model, start, start + pages));
}

/* At 0, across 4 GiB, or up to the last page that a guest can have */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const hwaddr bases[] = {
        0, (1ULL << 32) - PAGE * 100, -(MODEL_PAGES + 1) * PAGE,
    };
    FuzzInput in = { data, size };
    g_autoptr(PrefaultLedger) ledger = prefault_ledger_new();
    Model model = { .base = bases[fuzz_below(&in, ARRAY_SIZE(bases))] };

    while (in.left) {
        do_operation(&in, ledger, &model);
        check_debts(ledger, &model);
        check_sums(ledger, &model);
    }
    return 0;
}
