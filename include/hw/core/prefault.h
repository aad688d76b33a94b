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
 * @set_up: get ready for what prefault needs to last; if that is not possible
 *          as asked for, @errp says why, in a whole sentence.  Context: BQL,
 *          once the machine is complete, only if memory can be mapped.
 * @begin: a run begins: the vCPUs are stopped and stay so.  Context: BQL.
 * @map: one attempt to map; see PrefaultEngineOps.  Context: worker thread,
 *       between @begin and @end, never while the memory map changes.
 * @kick: see PrefaultEngineOps.  Context: any thread.
 * @end: the run is over; what it mapped is to stay mapped from now on.
 *       Context: BQL.
 * @map_later: no run; map what the host has in memory while the guest runs.
 *             Context: BQL.
 * @retention: fill in the figures of what stays mapped.  Context: BQL.
 * @conversions: the figures of conversions between private and shared memory;
 *               NULL if the guest has no private memory.  Context: BQL.
 */
typedef struct PrefaultBackend {
    bool (*in_use)(void);
    bool (*can_map)(Error **errp);
    bool (*set_up)(Error **errp);
    void (*begin)(void);
    int (*map)(unsigned worker, hwaddr gpa, uint64_t size, uint64_t *mapped);
    void (*kick)(QemuThread *thread);
    void (*end)(void);
    void (*map_later)(void);
    void (*retention)(PrefaultRetention *figures);
    PrefaultConversions *(*conversions)(void);
} PrefaultBackend;

/**
 * prefault_accel_class_init: give an accelerator its prefault properties
 * @oc: class of the accelerator
 * @backend: how it maps; static storage
 *
 * Context: class initialisation.
 */
void prefault_accel_class_init(ObjectClass *oc, const PrefaultBackend *backend);

/**
 * prefault_machine_class_init: give machines their prefault property
 * @oc: class of all machines
 *
 * Context: class initialisation.
 */
void prefault_machine_class_init(ObjectClass *oc);

/**
 * prefault_set_backend: there is an accelerator that can map guest memory
 * @backend: how; static storage.  Whether it is in use is asked later
 *
 * Context: class initialisation.
 */
void prefault_set_backend(const PrefaultBackend *backend);

/**
 * prefault_set_on_off_auto: set an option that takes on, off or auto
 * @v: what was given for it
 * @name: of the option
 * @value: filled with what was given; left alone on failure
 *
 * Context: BQL.
 *
 * Returns: false if it is none of the three, or if it is too late: options
 * shape
 *          what happens from the first start on.
 */
bool prefault_set_on_off_auto(Visitor *v, const char *name, OnOffAuto *value,
                              Error **errp);

/**
 * prefault_is_wanted: was a mode other than off chosen?
 *
 * Context: BQL, after the options were read.
 */
bool prefault_is_wanted(void);

/**
 * prefault_enable: a mode was chosen
 *
 * What the mode needs is checked when the machine is complete: with mode on,
 * QEMU exits with a message if another accelerator is in use, if this one
 * cannot map memory, or if the host has not enough memory.
 *
 * Context: BQL, while options are parsed.
 */
void prefault_enable(void);

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
 * prefault_hold_resume: do the vCPUs of a running guest have to wait?
 *
 * Called where the vCPUs of a guest that is in run state running are about to
 * be let go, as after a reset.  If memory has to be looked at again, this
 * starts the workers and stops the guest's clock; both go on from the main loop
 * when the workers are done.
 *
 * Context: BQL.
 *
 * Returns: true if the caller must not let the vCPUs go now.
 */
bool prefault_hold_resume(void);

/**
 * prefault_cancel_start: forget who waits, end the run
 *
 * Called where the guest is stopped, also when QEMU quits or saves a snapshot.
 * Waits until the workers are gone.  Does nothing if there is no run.
 *
 * Context: BQL.
 */
void prefault_cancel_start(void);

/**
 * prefault_start: begin a run without a start that waits for it
 * @errp: set if that cannot be done now
 *
 * Context: BQL, main thread.
 *
 * Returns: false if that cannot be done now.
 */
bool prefault_start(Error **errp);

/**
 * prefault_cancel: end a run, as its user asked for
 * @errp: set if nothing runs
 *
 * Waits until the workers are gone.  With mode auto a guest that waited goes
 * on; with mode on it stays stopped, or is stopped if it was being reset.
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
