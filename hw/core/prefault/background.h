/*
 * Owed memory is mapped in the background, while the guest runs
 *
 * Memory that a run could not map, that lost its mappings or that came later is
 * noted in the ledger (ledger.h).  When the memory map is at rest, a run in the
 * background maps it in paced steps.  Accelerators owe memory by the functions
 * in hw/core/prefault-backend.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_BACKGROUND_H
#define HW_CORE_PREFAULT_BACKGROUND_H

#include "hw/core/prefault-backend.h"
#include "ledger.h"
#include "run.h"

/**
 * PrefaultBackgroundFinished: a run in the background is over
 * @outcome: how it ended; cancelled: it goes on later
 * @figures: its figures
 * @error: why it left memory out, or owed; NULL if it did not
 *
 * Context: BQL, main loop.
 */
typedef void PrefaultBackgroundFinished(PrefaultOutcome outcome,
                                        const PrefaultFigures *figures,
                                        const char *error);

/**
 * prefault_background_set_up: get ready
 * @backend: the backend that maps; NULL: there will be no work
 * @finished: called at the end of each run
 *
 * Context: BQL, once, when the machine is complete.
 */
void prefault_background_set_up(const PrefaultBackend *backend,
                                PrefaultBackgroundFinished *finished);

/**
 * prefault_background_start: from now on, map owed memory
 *
 * Does nothing if that is so already.
 *
 * Context: BQL.
 */
void prefault_background_start(void);

/**
 * prefault_background_stop: stop, and forget all owed memory
 *
 * Called when another run maps all memory.  Waits for no worker: what it maps
 * late is dropped with its run.
 *
 * Context: BQL.
 *
 * Returns: what was owed, as prefault_ledger_debts(); NULL if nobody can say
 * that all else is mapped still.
 */
GArray *prefault_background_stop(void);

/**
 * prefault_background_pause: let go of the vCPUs
 *
 * As prefault_background_stop(), but owed memory stays owed, and the work goes
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
 * prefault_background_tracking_ended: writes are not tracked any more
 * @start: guest address
 * @size: bytes
 *
 * The memory is owed: it was not mapped meanwhile.
 *
 * Context: BQL.
 */
void prefault_background_tracking_ended(hwaddr start, uint64_t size);

/**
 * prefault_background_ledger: the ledger
 *
 * Context: any thread, after prefault_background_set_up().
 *
 * Returns: the ledger, which has a lock of its own.
 */
PrefaultLedger *prefault_background_ledger(void);

/**
 * prefault_background_figures: how far the run under way is
 *
 * Context: BQL.
 *
 * Returns: its figures, zeros if there is none.
 */
PrefaultFigures prefault_background_figures(void);

#endif /* HW_CORE_PREFAULT_BACKGROUND_H */
