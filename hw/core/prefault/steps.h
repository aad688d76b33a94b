/*
 * The steps of a run: its workers' operations on a chunk
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_STEPS_H
#define HW_CORE_PREFAULT_STEPS_H

#include "hw/core/prefault-backend.h"
#include "known.h"
#include "ledger.h"
#include "places.h"
#include "qemu/main-loop.h"
#include "room.h"
#include "work.h"

/**
 * PrefaultStepsKind: the kind of a run
 * @PREFAULT_STEPS_HELD: the guest is held: a failure ends the run, and memory
 *                       that cannot be mapped yet is owed
 * @PREFAULT_STEPS_HELD_AUTO: the same, but what cannot be had is left out
 * @PREFAULT_STEPS_POPULATE: likewise without mapping, if the host cannot map
 * @PREFAULT_STEPS_OWED: the guest may run: owed memory is mapped and settled,
 *                       in paced steps; a page that cannot be had is left out
 * @PREFAULT_STEPS_HERE: the same, on the calling vCPU's thread and not paced
 */
typedef enum PrefaultStepsKind {
    PREFAULT_STEPS_HELD,
    PREFAULT_STEPS_HELD_AUTO,
    PREFAULT_STEPS_POPULATE,
    PREFAULT_STEPS_OWED,
    PREFAULT_STEPS_HERE,
} PrefaultStepsKind;

/**
 * PrefaultSteps: the state of a run for its workers, their operations' opaque
 * @backend: the backend that maps; NULL to populate only
 * @via: the way by which it maps
 * @vcpus: from its @begin; NULL without
 * @known: memory that was done once, and what of it still is; NULL: none
 * @returned: the guest has given memory back
 * @may_write: what is present may be made writable
 * @room: asked before memory is taken; NULL: it is not asked
 * @generation: of the memory map that the plan is of
 * @places: of the plan's chunks; NULL if they do not matter
 * @ledger: mapped memory is settled there, memory left for later is owed
 * @done: scheduled by the last worker
 * @unplaced: errno of a worker that could not go to its place, or 0; atomic
 *
 * All but the last do not change while there are workers.
 */
typedef struct PrefaultSteps {
    const PrefaultBackend *backend;
    PrefaultVia via;
    GPtrArray *vcpus;
    PrefaultKnown *known;
    bool returned;
    bool may_write;
    PrefaultRoom *room;
    unsigned generation;
    const PrefaultPlaces *places;
    PrefaultLedger *ledger;
    QEMUBH *done;
    int unplaced;
} PrefaultSteps;

/**
 * prefault_steps_ops: the operations of a kind of run
 * @kind: the kind
 *
 * Context: any thread.
 *
 * Returns: operations whose opaque is a PrefaultSteps.
 */
const PrefaultOps *prefault_steps_ops(PrefaultStepsKind kind);

#endif /* HW_CORE_PREFAULT_STEPS_H */
