/*
 * A prefault run: one plan worked through, and its figures
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_RUN_H
#define HW_CORE_PREFAULT_RUN_H

#include "hw/core/prefault-backend.h"
#include "engine.h"
#include "ledger.h"
#include "memory.h"
#include "qemu/main-loop.h"

/**
 * PrefaultFigures: the figures of a run, for reports
 * @total: bytes of the plan
 * @total_private: bytes of @total that are private memory
 * @skipped: bytes left alone for each reason
 * @progress: how far it is
 * @maps: true: it maps; false: it populates only
 * @active: it is under way
 * @threads: number of workers
 * @threads_wanted: number of workers that there should be
 * @balanced: bytes that NUMA balancing works on
 * @swapped: bytes of QEMU's memory in swap, once it has completed
 * @unplaced: errno of a worker that could not go to its place, or 0
 * @elapsed_ns: since the run was begun the first time
 * @worked_ns: since it was begun with this plan
 */
typedef struct PrefaultFigures {
    uint64_t total;
    uint64_t total_private;
    uint64_t skipped[PREFAULT_SKIP_REASON__MAX];
    PrefaultProgress progress;
    bool maps;
    bool active;
    unsigned threads;
    unsigned threads_wanted;
    uint64_t balanced;
    uint64_t swapped;
    int unplaced;
    int64_t elapsed_ns;
    int64_t worked_ns;
} PrefaultFigures;

typedef struct PrefaultRun PrefaultRun;

/**
 * PrefaultRunWish: how all guest memory is to be prefaulted
 * @threads: number of workers; 0 to choose
 * @all: true: a failure, or too little room on the host, ends the run; false:
 *       what cannot be had is left out
 * @check: whether to look at the room on the host
 * @keep: what is done so that mappings stay
 * @doubts: what of memory that the last run has mapped may not be mapped any
 *          more, sorted; NULL: all of it.  For the run to free.
 * @returned: the guest has given memory back: what the last run has populated
 *            is not populated again
 */
typedef struct PrefaultRunWish {
    unsigned threads;
    bool all;
    bool check;
    PrefaultKeep keep;
    GArray *doubts;
    bool returned;
} PrefaultRunWish;

/**
 * prefault_run_new: a run that was never begun
 * @ledger: memory left for later is owed there, and mapped memory is settled
 * @done: called when the workers of a run under way have nothing left to do;
 *        NULL if the run is only worked on by prefault_run_work_here().
 *        Context: BQL, main loop.
 *
 * Context: BQL.
 *
 * Returns: for prefault_run_free().
 */
PrefaultRun *prefault_run_new(PrefaultLedger *ledger, void (*done)(void));

/**
 * prefault_run_free: forget a run
 * @run: not under way; NULL does nothing
 *
 * Context: BQL.
 */
void prefault_run_free(PrefaultRun *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PrefaultRun, prefault_run_free)

/**
 * prefault_run_begin: plan for all guest memory as it is now, start workers
 * @run: not under way
 * @backend: the backend that maps, while the guest is held; NULL to populate
 *           only
 * @wish: how
 * @again: the plan has to be made again, and the clock goes on
 *
 * Context: BQL.
 */
void prefault_run_begin(PrefaultRun *run, const PrefaultBackend *backend,
                        PrefaultRunWish wish, bool again);

/**
 * prefault_run_begin_owed: plan for all owed memory, start paced workers
 * @run: not under way
 * @backend: the backend that maps, through vCPUs' threads
 * @wish: how; there are as many workers as vCPUs at most, and what has no room
 *        stays owed, whether all is wanted or not
 *
 * The guest may run.  A page that cannot be had is left out.
 *
 * Context: BQL.
 *
 * Returns: false if there is no vCPU: nothing was begun.
 */
bool prefault_run_begin_owed(PrefaultRun *run, const PrefaultBackend *backend,
                             PrefaultRunWish wish);

/**
 * prefault_run_plan_here: plan for a range, without workers
 * @run: not under way
 * @backend: the backend that maps, in the calling thread
 * @debt: the range; it is in the ledger
 *
 * Context: BQL, a vCPU's thread that is out of the guest.
 */
void prefault_run_plan_here(PrefaultRun *run, const PrefaultBackend *backend,
                            PrefaultDebt debt);

/**
 * prefault_run_work_here: work through the plan, for a while
 * @run: from prefault_run_plan_here()
 * @budget_ns: how long, unless this vCPU is asked to exit before
 *
 * Context: the same thread, without BQL.
 */
void prefault_run_work_here(PrefaultRun *run, int64_t budget_ns);

/**
 * prefault_run_stop_here: the work is over, done or not
 * @run: from prefault_run_plan_here()
 *
 * Context: BQL, the same thread.
 */
void prefault_run_stop_here(PrefaultRun *run);

/**
 * prefault_run_cancel: tell the workers to stop
 * @run: under way
 *
 * Context: BQL.
 */
void prefault_run_cancel(PrefaultRun *run);

/**
 * prefault_run_invalidate: the same, because the memory map changes
 * @run: under way; the gate is closed
 *
 * Context: BQL.
 */
void prefault_run_invalidate(PrefaultRun *run);

/**
 * prefault_run_close: take the figures, release the plan
 * @run: a run under way, whose workers are done or were told to stop
 *
 * Waits for nobody.  A worker that the kernel keeps in a call is left behind,
 * and so is what it uses; it does nothing more once the call returns.
 *
 * Context: BQL.
 *
 * Returns: how the run ended.
 */
PrefaultOutcome prefault_run_close(PrefaultRun *run);

/**
 * prefault_run_let_others: give other threads the BQL while workers work
 * @run: a run under way
 *
 * A vCPU needs it to drop a page table root that is retired
 * (kvm_own_thread_map()), and its worker gives up after a second.
 *
 * Context: BQL, which is released for a millisecond or so: afterwards the run
 * may be over, and the guest in another run state.
 *
 * Returns: false, and nothing was done, if no worker is left.
 */
bool prefault_run_let_others(PrefaultRun *run);

/**
 * prefault_run_join: wait until the run is done, then close it
 * @run: a run under way
 *
 * Context: BQL, which no vCPU gets meanwhile.  Takes as long as the run.
 *
 * Returns: how the run ended.
 */
PrefaultOutcome prefault_run_join(PrefaultRun *run);

/**
 * prefault_run_figures: how far a run is, or how the last one ended
 * @run: the run
 *
 * Context: BQL.
 *
 * Returns: its figures.
 */
PrefaultFigures prefault_run_figures(PrefaultRun *run);

/**
 * prefault_run_is_refused: has a run got nowhere, for lack of room?
 * @figures: its figures, once it is over
 *
 * Context: any thread.
 *
 * Returns: true if some memory had no room, and none was taken or mapped.
 */
static inline bool prefault_run_is_refused(const PrefaultFigures *figures)
{
    const PrefaultProgress *p = &figures->progress;

    return p->refused && !p->populated && !p->mapped;
}

/**
 * prefault_run_error: why a run did not complete, or what it left out
 * @run: the run
 *
 * Context: BQL.
 *
 * Returns: a sentence that lives until the run is begun again, or NULL.
 */
const char *prefault_run_error(const PrefaultRun *run);

/**
 * prefault_run_set_error: say why a run that is over did not complete
 * @run: over; if it has an error already, that one stays
 * @why: a sentence
 *
 * Context: BQL.
 */
void prefault_run_set_error(PrefaultRun *run, const char *why);

#endif /* HW_CORE_PREFAULT_RUN_H */
