/*
 * What is owed to a guest that runs, and who pays
 *
 * Memory that a run could not map, that lost its mappings or came later is
 * noted in the ledger (ledger.h), and a run behind the guest's back works on it
 * in paced steps, when the memory map is at rest.  The functions by which
 * accelerators owe are in hw/core/prefault-backend.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_BACKGROUND_H
#define HW_CORE_PREFAULT_BACKGROUND_H

#include "hw/core/prefault-backend.h"
#include "ledger.h"

/**
 * prefault_background_set_up: get ready
 * @backend: who maps
 *
 * Context: BQL, once, when the machine is complete.
 */
void prefault_background_set_up(const PrefaultBackend *backend);

/**
 * prefault_background_start: from now on, map what is owed
 *
 * Context: BQL.
 */
void prefault_background_start(void);

/**
 * prefault_background_stop: nothing is owed: somebody else maps everything
 *
 * Waits for the workers, some milliseconds.
 *
 * Context: BQL.
 */
void prefault_background_stop(void);

/**
 * prefault_background_pause: let go of the vCPUs
 *
 * As prefault_background_stop(), but what is owed stays so, and the work goes
 * on from the main loop after a while.
 *
 * Context: BQL.
 */
void prefault_background_pause(void);

/**
 * prefault_background_map_changing: the memory map is about to change
 *
 * Context: BQL, the gate is closed.
 */
void prefault_background_map_changing(void);

/**
 * prefault_background_ledger: the ledger
 *
 * Context: any thread, after prefault_background_set_up().
 *
 * Returns: the ledger; its lock is its own.
 */
PrefaultLedger *prefault_background_ledger(void);

#endif /* HW_CORE_PREFAULT_BACKGROUND_H */
