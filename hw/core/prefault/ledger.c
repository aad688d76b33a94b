/*
 * Ledger: guest memory that is owed to the guest, and why
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/interval-tree.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "hw/core/prefault-backend.h"
#include "ledger.h"

/*
 * A debt in the tree.  There may be as many as the guest has pages that lie
 * apart: nothing here looks at all of them to find one.
 */
typedef struct LedgerDebt {
    IntervalTreeNode node;
    PrefaultOwedReason reason;
} LedgerDebt;

struct PrefaultLedger {
    QemuMutex lock;             /* protects the rest */
    IntervalTreeRoot debts;     /* of LedgerDebt, not overlapping */
    guint nr_debts;
    uint64_t owed[PREFAULT_OWED_REASON__MAX];
    uint64_t mapped[PREFAULT_OWED_REASON__MAX];
};

PrefaultLedger *prefault_ledger_new(void)
{
    PrefaultLedger *ledger = g_new0(PrefaultLedger, 1);

    qemu_mutex_init(&ledger->lock);
    return ledger;
}

/* The first debt in [@start, @end), or NULL */
static LedgerDebt *ledger_first(PrefaultLedger *ledger, hwaddr start,
                                hwaddr end)
{
    IntervalTreeNode *node = start < end
        ? interval_tree_iter_first(&ledger->debts, start, end - 1) : NULL;

    return node ? container_of(node, LedgerDebt, node) : NULL;
}

/* The one behind @debt, or NULL */
static LedgerDebt *ledger_next(LedgerDebt *debt)
{
    IntervalTreeNode *node =
        interval_tree_iter_next(&debt->node, 0, HWADDR_MAX);

    return node ? container_of(node, LedgerDebt, node) : NULL;
}

static PrefaultDebt ledger_range(const LedgerDebt *debt)
{
    return (PrefaultDebt) { .start = debt->node.start,
                            .end = debt->node.last + 1,
                            .reason = debt->reason };
}

/* Returns what @debt was; it is freed */
static PrefaultDebt ledger_remove(PrefaultLedger *ledger, LedgerDebt *debt)
{
    PrefaultDebt range = ledger_range(debt);

    interval_tree_remove(&debt->node, &ledger->debts);
    ledger->nr_debts--;
    ledger->owed[range.reason] -= range.end - range.start;
    g_free(debt);
    return range;
}

static void ledger_remove_all(PrefaultLedger *ledger)
{
    LedgerDebt *debt;

    while ((debt = ledger_first(ledger, 0, HWADDR_MAX))) {
        ledger_remove(ledger, debt);
    }
}

void prefault_ledger_free(PrefaultLedger *ledger)
{
    if (ledger) {
        ledger_remove_all(ledger);
        qemu_mutex_destroy(&ledger->lock);
        g_free(ledger);
    }
}

/*
 * If a debt for the same reason has the byte at @at, next to @debt, take it out
 * and add its range to @debt
 */
static void ledger_join(PrefaultLedger *ledger, hwaddr at, PrefaultDebt *debt)
{
    LedgerDebt *other = ledger_first(ledger, at, at + 1);

    if (other && other->reason == debt->reason) {
        PrefaultDebt range = ledger_remove(ledger, other);

        debt->start = MIN(debt->start, range.start);
        debt->end = MAX(debt->end, range.end);
    }
}

static void ledger_insert(PrefaultLedger *ledger, PrefaultDebt debt)
{
    LedgerDebt *new = g_new0(LedgerDebt, 1);

    ledger_join(ledger, debt.end, &debt);
    if (debt.start) {
        ledger_join(ledger, debt.start - 1, &debt);
    }
    new->node.start = debt.start;
    new->node.last = debt.end - 1;
    new->reason = debt.reason;
    interval_tree_insert(&new->node, &ledger->debts);
    ledger->nr_debts++;
    ledger->owed[debt.reason] += debt.end - debt.start;
}

/*
 * Take a range out.  Returns the debts that were there, for g_array_unref().
 */
static GArray *ledger_take(PrefaultLedger *ledger, hwaddr start, hwaddr end)
{
    GArray *taken = g_array_new(false, false, sizeof(PrefaultDebt));
    LedgerDebt *first;

    while ((first = ledger_first(ledger, start, end))) {
        PrefaultDebt debt = ledger_remove(ledger, first), part = debt;

        part.start = MAX(part.start, start);
        part.end = MIN(part.end, end);
        g_array_append_val(taken, part);
        if (debt.start < start) {
            ledger_insert(ledger, (PrefaultDebt){ .start = debt.start,
                                                  .end = start,
                                                  .reason = debt.reason });
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
    ledger_remove_all(ledger);
}

void prefault_ledger_forgive(PrefaultLedger *ledger, PrefaultOwedReason reason)
{
    LedgerDebt *debt, *next;

    QEMU_LOCK_GUARD(&ledger->lock);
    for (debt = ledger_first(ledger, 0, HWADDR_MAX); debt; debt = next) {
        next = ledger_next(debt);
        if (debt->reason == reason) {
            ledger_remove(ledger, debt);
        }
    }
}

bool prefault_ledger_overlaps(PrefaultLedger *ledger, hwaddr start,
                              uint64_t size)
{
    QEMU_LOCK_GUARD(&ledger->lock);
    return ledger_first(ledger, start, start + size);
}

GArray *prefault_ledger_debts(PrefaultLedger *ledger)
{
    GArray *debts;
    LedgerDebt *debt;

    QEMU_LOCK_GUARD(&ledger->lock);
    debts = g_array_sized_new(false, false, sizeof(PrefaultDebt),
                              ledger->nr_debts);
    for (debt = ledger_first(ledger, 0, HWADDR_MAX); debt;
         debt = ledger_next(debt)) {
        PrefaultDebt range = ledger_range(debt);

        g_array_append_val(debts, range);
    }
    return debts;
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
