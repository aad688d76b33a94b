/*
 * Ledger: guest memory that is owed to the guest, and why
 *
 * Ranges of guest addresses that are not mapped and should be, each with one
 * reason: of several, the last in PrefaultOwedReason.  The reason decides
 * whether a range is populated as well, see prefault_ledger_populates().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_LEDGER_H
#define HW_CORE_PREFAULT_LEDGER_H

#include "exec/hwaddr.h"
#include "qapi/qapi-types-prefault.h"

/**
 * PrefaultDebt: a range that is owed
 * @start: guest address
 * @end: guest address, more than @start
 * @reason: why
 */
typedef struct PrefaultDebt {
    hwaddr start;
    hwaddr end;
    PrefaultOwedReason reason;
} PrefaultDebt;

typedef struct PrefaultLedger PrefaultLedger;

/**
 * prefault_ledger_new: a ledger in which nothing is owed
 *
 * Context: any thread.
 *
 * Returns: for prefault_ledger_free().
 */
PrefaultLedger *prefault_ledger_new(void);

/**
 * prefault_ledger_free: free a ledger
 * @ledger: nobody uses it any more; NULL does nothing
 */
void prefault_ledger_free(PrefaultLedger *ledger);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PrefaultLedger, prefault_ledger_free)

/**
 * prefault_ledger_add: some memory is owed
 * @ledger: the ledger
 * @reason: why.  Where it is owed already, the later reason of the two counts
 * @start: guest address
 * @size: bytes; 0 adds nothing
 *
 * Context: any thread.
 */
void prefault_ledger_add(PrefaultLedger *ledger, PrefaultOwedReason reason,
                         hwaddr start, uint64_t size);

/**
 * prefault_ledger_settle: some memory is not owed any more
 * @ledger: the ledger
 * @generation: of the memory map in which that is so.  Nothing happens if there
 *              is a later one (gate.h): memory whose mappings it dropped is
 *              owed anew, and must stay owed
 * @start: guest address
 * @size: bytes
 * @mapped: true: it was mapped, and counts as mapped; false: it cannot be
 *
 * Context: any thread.
 */
void prefault_ledger_settle(PrefaultLedger *ledger, unsigned generation,
                            hwaddr start, uint64_t size, bool mapped);

/**
 * prefault_ledger_clear: nothing is owed any more
 * @ledger: the ledger
 *
 * Context: any thread.
 */
void prefault_ledger_clear(PrefaultLedger *ledger);

/**
 * prefault_ledger_forgive: nothing is owed any more for a reason
 * @ledger: the ledger
 * @reason: the reason
 *
 * Context: any thread.
 */
void prefault_ledger_forgive(PrefaultLedger *ledger, PrefaultOwedReason reason);

/**
 * prefault_ledger_overlaps: is some of a range owed?
 * @ledger: the ledger
 * @start: guest address
 * @size: bytes
 *
 * Context: any thread.
 *
 * Returns: true if so.
 */
bool prefault_ledger_overlaps(PrefaultLedger *ledger, hwaddr start,
                              uint64_t size);

/**
 * prefault_ledger_debts: everything that is owed
 * @ledger: the ledger
 *
 * Context: any thread.
 *
 * Returns: an array of PrefaultDebt, sorted, without overlaps, for
 * g_array_unref().
 */
GArray *prefault_ledger_debts(PrefaultLedger *ledger);

/**
 * prefault_ledger_owed: how much is owed for a reason
 * @ledger: the ledger
 * @reason: the reason; PREFAULT_OWED_REASON__MAX for all together
 *
 * Context: any thread.
 *
 * Returns: bytes.
 */
uint64_t prefault_ledger_owed(PrefaultLedger *ledger,
                              PrefaultOwedReason reason);

/**
 * prefault_ledger_mapped: how much that was owed has been mapped
 * @ledger: the ledger
 * @reason: for which it was owed
 *
 * Context: any thread.
 *
 * Returns: bytes since the ledger was made.
 */
uint64_t prefault_ledger_mapped(PrefaultLedger *ledger,
                                PrefaultOwedReason reason);

/**
 * prefault_ledger_populates: is memory owed for a reason populated as well?
 * @reason: the reason
 *
 * If not, only pages that the host has are mapped: the guest may have handed
 * the others back through a balloon, and KVM would map the zero page,
 * read-only.  Memory that is new to the guest, in this QEMU at least, is
 * populated.
 *
 * Context: any thread.
 *
 * Returns: true if so.
 */
bool prefault_ledger_populates(PrefaultOwedReason reason);

#endif /* HW_CORE_PREFAULT_LEDGER_H */
