/*
 * Mappings that the host takes away are noticed
 *
 * NUMA balancing, KSM, swap, compaction and KVM itself take stage-2 mappings
 * without a word to QEMU.  KVM's count of what is mapped falls then.  A fall
 * that no change of ours explains is a loss.  The count does not say where: all
 * memory has to be mapped again, which costs little where it is mapped.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_WATCH_H
#define HW_CORE_PREFAULT_WATCH_H

#include "ledger.h"

/**
 * PrefaultLosses: what the host has taken since QEMU was started
 * @lost: bytes whose mappings it took
 * @remapped: bytes of them that were mapped again
 * @missing: bytes that are to be mapped again now
 * @returned: bytes that are not mapped because the guest has given them back
 */
typedef struct PrefaultLosses {
    uint64_t lost;
    uint64_t remapped;
    uint64_t missing;
    uint64_t returned;
} PrefaultLosses;

/**
 * prefault_watch_set_up: get ready
 * @ledger: while something is owed in it, mappings come and go
 * @lost: called when there was a loss, to owe all memory with reason lost.
 *        Context: BQL, main loop.
 *
 * Context: BQL, once.
 */
void prefault_watch_set_up(PrefaultLedger *ledger, void (*lost)(void));

/**
 * prefault_watch_start: look ten times a second
 *
 * Context: BQL.
 */
void prefault_watch_start(void);

/**
 * prefault_watch_stop: look no more
 *
 * Context: BQL, also before prefault_watch_set_up().
 *
 * Returns: true if all that was mapped when the watch began, or was owed then
 * or later, is mapped now, or is owed; false once the guest gives memory back.
 */
bool prefault_watch_stop(void);

/**
 * prefault_watch_remapped: a run for what is owed is over
 * @complete: all of it was there, and is mapped or owed still
 *
 * Several runs may be needed to map all memory again: only if none of them has
 * left anything out, what is missing then is not ours.
 *
 * Context: BQL.
 */
void prefault_watch_remapped(bool complete);

/**
 * prefault_watch_changing: QEMU is about to change mappings itself
 *
 * As prefault_watch_change(), after a last look, which takes some microseconds.
 *
 * Context: BQL.
 */
void prefault_watch_changing(void);

/**
 * prefault_watch_change: QEMU changes mappings itself
 *
 * What is mapped once nothing is owed any more is the new measure.
 *
 * Context: any thread.
 */
void prefault_watch_change(void);

/**
 * prefault_watch_replaced: QEMU gives some memory up, for the guest to have
 *                          other memory there
 *
 * A change; nobody knows any more what of all memory is mapped.
 *
 * Context: any thread.
 */
void prefault_watch_replaced(void);

/**
 * prefault_watch_returned: the guest gives memory back
 *
 * A change; what was mapped until then counts as returned.
 *
 * Context: any thread.
 */
void prefault_watch_returned(void);

/**
 * prefault_watch_has_returned: has the guest given memory back?
 *
 * Context: any thread.
 *
 * Returns: true from the first time on: nobody is told when it takes memory.
 */
bool prefault_watch_has_returned(void);

/**
 * prefault_watch_losses: what the host has taken
 *
 * Context: BQL.
 *
 * Returns: the figures.
 */
PrefaultLosses prefault_watch_losses(void);

#endif /* HW_CORE_PREFAULT_WATCH_H */
