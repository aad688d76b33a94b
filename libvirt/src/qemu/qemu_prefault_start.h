/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qemu_prefault_start.h: starts that QEMU's prefault holds
 *
 * QEMU answers 'cont' at once, holds the guest until its memory is mapped, and
 * then sends the event RESUME.  In between the domain is paused as libvirt sees
 * it (VIR_DOMAIN_PAUSED_STARTING_UP), and runs by itself when that is over; or
 * it never runs, because the run failed or was cancelled.
 */

#pragma once

#include "qemu_domain.h"

/**
 * qemuPrefaultHoldsStart:
 * @vm: a domain
 *
 * Context: @vm is locked.
 *
 * Returns: whether it was told to run, and does not yet.  Its leases are taken
 * and its interfaces are up.
 */
bool qemuPrefaultHoldsStart(virDomainObj *vm);

/**
 * qemuPrefaultIsStarting:
 * @vm: a domain that is to be told to run
 * @asyncJob: the job that it has
 *
 * Its leases must not be taken again.
 *
 * Context: @vm is locked and has the job; the lock is dropped while QEMU answers.
 *
 * Returns: whether it was told to run before, and QEMU holds it still.
 */
bool qemuPrefaultIsStarting(virDomainObj *vm,
                            virDomainAsyncJob asyncJob);

/**
 * qemuPrefaultStop:
 * @vm: a domain that is stopped now, if it runs, and goes on afterwards
 * @reason: why it is stopped
 * @asyncJob: the job that it has
 * @stopped: set to true if its start was held; otherwise left alone
 *
 * Gives up a start that is held, so that the guest does not start to run
 * meanwhile.  The domain counts as one that ran.
 *
 * Context: @vm is locked and has the job; the lock is dropped while QEMU answers.
 *
 * Returns: 0, or -1 with an error reported if QEMU could not be told to stop.
 */
int qemuPrefaultStop(virDomainObj *vm,
                     virDomainPausedReason reason,
                     virDomainAsyncJob asyncJob,
                     bool *stopped);

/**
 * qemuPrefaultFollowStart:
 * @vm: a domain that was told to run
 * @asyncJob: the job that it has
 *
 * Takes what became of the start from QEMU, unless the event RESUME came.  If it
 * is held, the domain is VIR_DOMAIN_PAUSED_STARTING_UP from now on, also where
 * libvirt took it for running (after a fake reboot); if QEMU gave it up it is
 * VIR_DOMAIN_PAUSED_API_ERROR, without leases and interfaces, and can be
 * resumed.  A lifecycle event tells of either, unless the domain was paused
 * before and is held.  The status is saved.  With VIR_ASYNC_JOB_START a failure is
 * left to qemuPrefaultRunEnded(), so that its event follows that of the start.
 *
 * Context: @vm is locked and has the job; the lock is dropped while QEMU answers.
 */
void qemuPrefaultFollowStart(virDomainObj *vm,
                             virDomainAsyncJob asyncJob);

/**
 * qemuPrefaultEndsStart:
 * @vm: a domain
 * @eventName: an event of its QEMU
 *
 * Context: @vm is locked.
 *
 * Returns: whether qemuPrefaultRunEnded() is to be called in a worker thread.
 */
bool qemuPrefaultEndsStart(virDomainObj *vm,
                           const char *eventName);

/**
 * qemuPrefaultRunEnded:
 * @vm: a domain of which qemuPrefaultEndsStart() said so
 *
 * As qemuPrefaultFollowStart().
 *
 * Context: worker thread; @vm is locked and has no job.
 */
void qemuPrefaultRunEnded(virDomainObj *vm);

/**
 * qemuPrefaultGiveUpStart:
 * @vm: a domain whose QEMU has just been told to stop
 *
 * A start that was held does not happen any more: the domain is paused for the
 * reason that the stop was for, and a lifecycle event tells.
 *
 * Context: @vm is locked.
 */
void qemuPrefaultGiveUpStart(virDomainObj *vm);

/**
 * qemuPrefaultMayMigrate:
 * @vm: a domain that is to be migrated to another host
 *
 * One whose start is held would be taken for a paused one, also by clients that
 * manage the migration, and would stay paused there.
 *
 * Context: @vm is locked.
 *
 * Returns: false, with VIR_ERR_OPERATION_INVALID reported, if its start is held.
 */
bool qemuPrefaultMayMigrate(virDomainObj *vm);

/**
 * qemuPrefaultReconnect:
 * @vm: a domain that libvirt finds again after its own restart
 *
 * libvirt kills a domain that is still starting up, because it did not get to
 * start it.  One whose start is held was started, and so was one whose start
 * failed meanwhile.  As qemuPrefaultFollowStart() afterwards.
 *
 * Context: @vm is locked, has a job and an open monitor; the lock is dropped
 * while QEMU answers.
 */
void qemuPrefaultReconnect(virDomainObj *vm);
