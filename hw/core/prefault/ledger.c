/*
 * Ledger: guest memory that is owed to the guest, and why
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "hw/core/prefault-backend.h"
#include "ledger.h"

struct PrefaultLedger {
    QemuMutex lock;             /* protects the rest */
    GArray *debts;              /* of PrefaultDebt, sorted, not overlapping */
    uint64_t owed[PREFAULT_OWED_REASON__MAX];
    uint64_t mapped[PREFAULT_OWED_REASON__MAX];
};

PrefaultLedger *prefault_ledger_new(void)
{
    PrefaultLedger *ledger = g_new0(PrefaultLedger, 1);

    qemu_mutex_init(&ledger->lock);
    ledger->debts = g_array_new(false, false, sizeof(PrefaultDebt));
    return ledger;
}

void prefault_ledger_free(PrefaultLedger *ledger)
{
    if (ledger) {
        g_array_unref(ledger->debts);
        qemu_mutex_destroy(&ledger->lock);
        g_free(ledger);
    }
}

static PrefaultDebt *ledger_at(PrefaultLedger *ledger, guint i)
{
    return &g_array_index(ledger->debts, PrefaultDebt, i);
}

/* Index of the first debt that ends after @start, or the number of debts */
static guint ledger_find(PrefaultLedger *ledger, hwaddr start)
{
    guint low = 0, high = ledger->debts->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (ledger_at(ledger, middle)->end > start) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/*
 * If debt @i adjoins @debt for the same reason, take it out and add its range
 * to @debt
 */
static bool ledger_joins(PrefaultLedger *ledger, guint i, PrefaultDebt *debt)
{
    PrefaultDebt *other = i < ledger->debts->len ? ledger_at(ledger, i) : NULL;

    if (!other || other->reason != debt->reason ||
        (other->end != debt->start && other->start != debt->end)) {
        return false;
    }
    debt->start = MIN(debt->start, other->start);
    debt->end = MAX(debt->end, other->end);
    g_array_remove_index(ledger->debts, i);
    return true;
}

static void ledger_insert(PrefaultLedger *ledger, PrefaultDebt debt)
{
    guint i = ledger_find(ledger, debt.start);

    ledger->owed[debt.reason] += debt.end - debt.start;
    ledger_joins(ledger, i, &debt);
    if (i && ledger_joins(ledger, i - 1, &debt)) {
        i--;
    }
    g_array_insert_val(ledger->debts, i, debt);
}

/*
 * Take a range out.  Returns the debts that were there, for g_array_unref().
 */
static GArray *ledger_take(PrefaultLedger *ledger, hwaddr start, hwaddr end)
{
    GArray *taken = g_array_new(false, false, sizeof(PrefaultDebt));
    guint i = ledger_find(ledger, start);

    while (i < ledger->debts->len && ledger_at(ledger, i)->start < end) {
        PrefaultDebt debt = *ledger_at(ledger, i), part = debt;

        part.start = MAX(part.start, start);
        part.end = MIN(part.end, end);
        g_array_append_val(taken, part);
        g_array_remove_index(ledger->debts, i);
        ledger->owed[debt.reason] -= debt.end - debt.start;
        if (debt.start < start) {
            PrefaultDebt before = debt;

            before.end = start;
            ledger_insert(ledger, before);
            i = ledger_find(ledger, start);
        }
        if (debt.end > end) {
            debt.start = end;
            ledger_insert(ledger, debt);
        }
    }
    return taken;
}

void prefault_ledger_add(PrefaultLedger *ledger, PrefaultOwedReason reason,
                         hwaddr start, uint64_t size)
{
    PrefaultDebt debt = { .start = start, .end = start + size,
                          .reason = reason };
    g_autoptr(GArray) taken = NULL;

    if (!size) {
        return;
    }
    QEMU_LOCK_GUARD(&ledger->lock);
    taken = ledger_take(ledger, debt.start, debt.end);
    for (guint i = 0; i < taken->len; i++) {
        PrefaultDebt *old = &g_array_index(taken, PrefaultDebt, i);

        if (old->reason > reason) {
            if (debt.start < old->start) {
                ledger_insert(ledger, (PrefaultDebt){ .start = debt.start,
                                                      .end = old->start,
                                                      .reason = reason });
            }
            ledger_insert(ledger, *old);
            debt.start = old->end;
        }
    }
    if (debt.start < debt.end) {
        ledger_insert(ledger, debt);
    }
}

void prefault_ledger_settle(PrefaultLedger *ledger, unsigned generation,
                            hwaddr start, uint64_t size, bool mapped)
{
    g_autoptr(GArray) taken = NULL;

    QEMU_LOCK_GUARD(&ledger->lock);
    /*
     * A change of the memory map closes the gate first and adds what it dropped
     * afterwards, with this lock: either it is seen here, or it comes later.
     */
    if (!prefault_gate_is_open(generation)) {
        return;
    }
    taken = ledger_take(ledger, start, start + size);
    for (guint i = 0; mapped && i < taken->len; i++) {
        PrefaultDebt *debt = &g_array_index(taken, PrefaultDebt, i);

        ledger->mapped[debt->reason] += debt->end - debt->start;
    }
}

void prefault_ledger_clear(PrefaultLedger *ledger)
{
    QEMU_LOCK_GUARD(&ledger->lock);
    g_array_set_size(ledger->debts, 0);
    memset(ledger->owed, 0, sizeof(ledger->owed));
}

void prefault_ledger_forgive(PrefaultLedger *ledger, PrefaultOwedReason reason)
{
    guint kept = 0;

    QEMU_LOCK_GUARD(&ledger->lock);
    for (guint i = 0; i < ledger->debts->len; i++) {
        if (ledger_at(ledger, i)->reason != reason) {
            *ledger_at(ledger, kept++) = *ledger_at(ledger, i);
        }
    }
    g_array_set_size(ledger->debts, kept);
    ledger->owed[reason] = 0;
}

bool prefault_ledger_overlaps(PrefaultLedger *ledger, hwaddr start,
                              uint64_t size)
{
    guint i;

    QEMU_LOCK_GUARD(&ledger->lock);
    i = ledger_find(ledger, start);
    return size && i < ledger->debts->len &&
           ledger_at(ledger, i)->start < start + size;
}

GArray *prefault_ledger_debts(PrefaultLedger *ledger)
{
    QEMU_LOCK_GUARD(&ledger->lock);
    return g_array_copy(ledger->debts);
}

uint64_t prefault_ledger_owed(PrefaultLedger *ledger, PrefaultOwedReason reason)
{
    uint64_t sum = 0;

    QEMU_LOCK_GUARD(&ledger->lock);
    for (int i = 0; i < PREFAULT_OWED_REASON__MAX; i++) {
        sum += reason == i || reason == PREFAULT_OWED_REASON__MAX
               ? ledger->owed[i] : 0;
    }
    return sum;
}

uint64_t prefault_ledger_mapped(PrefaultLedger *ledger,
                                PrefaultOwedReason reason)
{
    QEMU_LOCK_GUARD(&ledger->lock);
    return ledger->mapped[reason];
}

bool prefault_ledger_populates(PrefaultOwedReason reason)
{
    return reason == PREFAULT_OWED_REASON_ARRIVED ||
           reason == PREFAULT_OWED_REASON_REQUESTED ||
           reason == PREFAULT_OWED_REASON_PLUGGED ||
           reason == PREFAULT_OWED_REASON_CONVERTED;
}
