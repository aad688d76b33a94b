/*
 * Prefault: guest memory populated and mapped before the guest runs
 *
 * The life cycle: when prefault runs, and what waits for it.  QEMU's run state
 * code calls the hooks below; an accelerator says how to map memory and which
 * mode its user asked for.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_H
#define HW_CORE_PREFAULT_H

#include "exec/hwaddr.h"
#include "qapi/qapi-types-common.h"
#include "qapi/qapi-types-prefault.h"
#include "qemu/thread.h"

/**
 * PrefaultBackend: how an accelerator maps guest memory
 *
 * @in_use: whether this accelerator runs the guest.  Context: BQL, once the
 *          machine is complete.
 * @can_map: whether memory can be mapped at all; if not, @errp says what is
 *           missing, in words that can go on a sentence.  Context: BQL, once
 *           the machine is complete, only if @in_use.
 * @begin: a run begins: the vCPUs are stopped and stay so.  Context: BQL.
 * @map: one attempt to map; see PrefaultEngineOps.  Context: worker thread,
 *       between @begin and @end, never while the memory map changes.
 * @kick: see PrefaultEngineOps.  Context: any thread.
 * @end: the run is over.  Context: BQL.
 */
typedef struct PrefaultBackend {
    bool (*in_use)(void);
    bool (*can_map)(Error **errp);
    void (*begin)(void);
    int (*map)(unsigned worker, hwaddr gpa, uint64_t size, uint64_t *mapped);
    void (*kick)(QemuThread *thread);
    void (*end)(void);
} PrefaultBackend;

/**
 * prefault_configure: take the user's choice
 * @mode: off, on or auto; the last call counts
 * @backend: how to map; static storage
 *
 * What the mode needs is checked when the machine is complete: with mode on,
 * QEMU exits with a message if another accelerator is in use or this one cannot
 * map memory.
 *
 * Context: BQL, while options are parsed.
 */
void prefault_configure(OnOffAuto mode, const PrefaultBackend *backend);

/**
 * prefault_get_mode: the user's choice
 *
 * Context: BQL.
 *
 * Returns: the mode; off unless prefault_configure() was called.
 */
OnOffAuto prefault_get_mode(void);

/**
 * prefault_hold_start: does the start of the guest have to wait?
 * @step_pending: a debugger is going to step single vCPUs: there is nobody who
 *                would do that later, so prefault runs inside the call
 *
 * Called where the guest is about to be started, before anything is told to
 * anybody.  If memory is not ready yet, this starts the workers; the guest is
 * started from the main loop when they are done.
 *
 * Context: BQL.
 *
 * Returns: true if the caller must not start the guest now.
 */
bool prefault_hold_start(bool step_pending);

/**
 * prefault_cancel_start: forget a start that waits, end the run it waits for
 *
 * Called where the guest is stopped, also when QEMU quits or saves a snapshot.
 * Waits until the workers are gone.  Does nothing if no start waits.
 *
 * Context: BQL.
 */
void prefault_cancel_start(void);

/**
 * prefault_cancel: end a run, as its user asked for
 * @errp: set if nothing runs
 *
 * Waits until the workers are gone.  With mode auto the guest is started if
 * its start waited; with mode on it stays stopped.
 *
 * Context: BQL, main thread.
 *
 * Returns: false if nothing runs.
 */
bool prefault_cancel(Error **errp);

/**
 * prefault_query: what happened and what happens
 *
 * Context: BQL.
 *
 * Returns: a filled in structure for qapi_free_PrefaultInfo(); never NULL.
 */
PrefaultInfo *prefault_query(void);

#endif /* HW_CORE_PREFAULT_H */
