/*
 * Prefault: guest memory populated and mapped before the guest runs
 *
 * The interface to the rest of QEMU.  A guest that has to wait for its memory
 * is held: its start is put off, or, if it was reset while it ran, its vCPUs do
 * not run.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_H
#define HW_CORE_PREFAULT_H

#include "io/channel.h"
#include "qom/object.h"
#include "qemu/typedefs.h"

/**
 * prefault_machine_class_init: give machines their prefault property
 * @oc: class of all machines
 *
 * Context: class initialisation.
 */
void prefault_machine_class_init(ObjectClass *oc);

/**
 * prefault_hold_start: does the start of the guest have to wait?
 * @step_pending: a debugger is going to step single vCPUs.  No code would do
 *                that later, so the run takes place inside the call
 *
 * Called where the guest is about to be started, before handlers and QMP learn
 * of it.  If memory is not ready yet, this starts the workers; the guest is
 * started from the main loop when they are done.
 *
 * Context: BQL; main loop with @step_pending, and the BQL is free meanwhile.
 *
 * Returns: true if the caller must not start the guest now.  With @step_pending
 * that is so if memory is not ready, or if another thread has changed the run
 * state.
 */
bool prefault_hold_start(bool step_pending);

/**
 * prefault_hold_resume: do the vCPUs of a running guest have to wait?
 *
 * Called where the vCPUs of a guest that is in run state running are about to
 * be let go, as after a reset.  If memory has to be prefaulted again, this
 * starts the workers and stops the guest's clock; vCPUs and clock go on from
 * the main loop when the workers are done.
 *
 * Context: BQL.
 *
 * Returns: true if the caller must not let the vCPUs go now.
 */
bool prefault_hold_resume(void);

/**
 * prefault_is_holding: are vCPUs held that could run otherwise?
 *
 * A guest that was reset is held in run state running.  So the run state alone
 * would let a vCPU run that is plugged meanwhile.
 *
 * Context: BQL, or a vCPU's thread, which is kicked when the answer changes.
 *
 * Returns: true if no vCPU may run.
 */
bool prefault_is_holding(void);

/**
 * prefault_cancel_start: forget the hold, end the run
 *
 * Called where the guest is stopped, also when QEMU quits or saves a snapshot.
 * Waits until the workers are gone.  Does nothing if there is no run.
 *
 * Context: BQL.
 */
void prefault_cancel_start(void);

/**
 * prefault_give_start_up: if a start waits, give it up and pause the guest
 *
 * Context: BQL.
 *
 * Returns: false if none waits: nothing was done.
 */
bool prefault_give_start_up(void);

/**
 * prefault_wake_when_started: a guest whose start is held is to wake up
 *
 * Called where a snapshot of a suspended guest was loaded into one that ran.
 * Does nothing if no start waits.
 *
 * Context: BQL.
 */
void prefault_wake_when_started(void);

/**
 * prefault_refuse_dump: is the guest going to start while it is dumped?
 * @errp: set if so
 *
 * Context: BQL.
 *
 * Returns: true if there must be no dump now: a start waits.
 */
bool prefault_refuse_dump(Error **errp);

/**
 * prefault_returned: some memory was given back to the host
 * @rb: its RAM block
 * @offset: where in the block, in bytes
 * @size: bytes
 *
 * By the guest (balloon, free page reporting, virtio-mem), or because QEMU
 * needs it no more: no loss that prefault has to make good.
 *
 * Context: any thread.
 */
void prefault_returned(RAMBlock *rb, uint64_t offset, uint64_t size);

/**
 * prefault_refuse_plug: must some memory not be plugged in?
 * @mr: the memory of a device, not mapped yet
 * @errp: set if so
 *
 * With mode on it is refused if the host has no room for it.  What a device
 * plugs in parts later (virtio-mem) is not looked at.
 *
 * Context: BQL.
 *
 * Returns: true if so.
 */
bool prefault_refuse_plug(MemoryRegion *mr, Error **errp);

/**
 * prefault_plugged: some memory was plugged in
 * @mr: the memory of a device
 * @addr: guest address where it is mapped now
 *
 * A guest that is stopped waits for it when it is started; behind one that runs
 * it is populated and mapped.  Does nothing while the machine is made.
 *
 * Context: BQL.
 */
void prefault_plugged(MemoryRegion *mr, uint64_t addr);

/**
 * prefault_before_pinning: a device is about to pin guest memory
 * @as: the address space that it sees
 * @errp: set if, with mode on, the host has no room for it
 *
 * Populates all of it, with several threads, each near its memory: what pins it
 * would do so with one, page by page.  Waits until that is done.  Does nothing
 * if the device sees memory through an IOMMU of its own, or comes by CPR, with
 * memory that is there already.
 *
 * Context: BQL.
 *
 * Returns: false if the device must not be had.
 */
bool prefault_before_pinning(const AddressSpace *as, Error **errp);

/**
 * prefault_restoring: a guest is about to come
 * @channel: by which
 *
 * A file, a pipe or a command means that it is restored, and may wait until its
 * memory is ready; a socket means that it comes from another QEMU, and should
 * not.
 *
 * Context: BQL, before any of it is read.
 */
void prefault_restoring(QIOChannel *channel);

#endif /* HW_CORE_PREFAULT_H */
