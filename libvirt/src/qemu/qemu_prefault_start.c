/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qemu_prefault_start.c: starts that QEMU's prefault holds
 */

#include <config.h>

#include "qemu_prefault_start.h"
#include "qemu_prefault.h"
#include "qemu_process.h"
#include "domain_interface.h"
#include "domain_event.h"
#include "virerror.h"
#include "virlog.h"
#include "locking/domain_lock.h"

#define VIR_FROM_THIS VIR_FROM_QEMU

VIR_LOG_INIT("qemu.qemu_prefault_start");


/*
 * 'cont' sets the reason, and the event RESUME takes it.  So it is left over after
 * a 'cont' to a QEMU that ran already, which sends no RESUME: whether a domain
 * runs is for QEMU to say.
 */
static bool
qemuPrefaultIsPending(virDomainObj *vm)
{
    qemuDomainObjPrivate *priv = vm->privateData;

    return priv->runningReason != VIR_DOMAIN_RUNNING_UNKNOWN;
}


bool
qemuPrefaultHoldsStart(virDomainObj *vm)
{
    int reason;

    return virDomainObjGetState(vm, &reason) == VIR_DOMAIN_PAUSED &&
        reason == VIR_DOMAIN_PAUSED_STARTING_UP &&
        qemuPrefaultIsPending(vm);
}


static void
qemuPrefaultPause(virDomainObj *vm,
                  virDomainPausedReason reason)
{
    qemuDomainObjPrivate *priv = vm->privateData;
    virObjectEvent *event = NULL;

    virDomainObjSetState(vm, VIR_DOMAIN_PAUSED, reason);
    event = virDomainEventLifecycleNewFromObj(vm, VIR_DOMAIN_EVENT_SUSPENDED,
                                              qemuDomainPausedReasonToSuspendedEvent(reason));
    virObjectEventStateQueue(priv->driver->domainEventState, event);
}


static void
qemuPrefaultStartHeld(virDomainObj *vm)
{
    /* Who sees a paused domain resumed need not hear that it stays paused */
    if (virDomainObjGetState(vm, NULL) == VIR_DOMAIN_PAUSED)
        virDomainObjSetState(vm, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP);
    else
        qemuPrefaultPause(vm, VIR_DOMAIN_PAUSED_STARTING_UP);
}


static void
qemuPrefaultStartFailed(virDomainObj *vm,
                        const char *why)
{
    qemuDomainObjPrivate *priv = vm->privateData;

    VIR_WARN("Domain '%s' does not run: %s", vm->def->name, NULLSTR(why));
    priv->runningReason = VIR_DOMAIN_RUNNING_UNKNOWN;
    qemuPrefaultPause(vm, VIR_DOMAIN_PAUSED_API_ERROR);

    /* As for any domain that is stopped */
    ignore_value(virDomainInterfaceStopDevices(vm->def));
    if (virDomainLockProcessPause(priv->driver->lockManager, vm, &priv->lockState) < 0)
        VIR_WARN("Unable to release lease on %s", vm->def->name);
}


/* Without a run, or beside one that holds nothing, RESUME is to come */
static bool
qemuPrefaultHasEnded(virJSONValue *info)
{
    const char *status = virJSONValueObjectGetString(info, "status");

    return STRNEQ_NULLABLE(status, "none") && STRNEQ_NULLABLE(status, "active");
}


void
qemuPrefaultFollowStart(virDomainObj *vm,
                        virDomainAsyncJob asyncJob)
{
    qemuDomainObjPrivate *priv = vm->privateData;
    g_autoptr(virJSONValue) info = NULL;
    bool running = false;
    bool holding = false;

    if (!qemuPrefaultIsPending(vm) ||
        !virQEMUCapsGet(priv->qemuCaps, QEMU_CAPS_PREFAULT))
        return;

    /* What QEMU sent before the answer was handled before it, RESUME too */
    info = qemuPrefaultQuery(vm, asyncJob, &running);
    if (!info || !qemuPrefaultIsPending(vm) || !virDomainObjIsActive(vm))
        return;

    ignore_value(virJSONValueObjectGetBoolean(info, "holding", &holding));

    if (running) {
        priv->runningReason = VIR_DOMAIN_RUNNING_UNKNOWN;
    } else if (holding) {
        qemuPrefaultStartHeld(vm);
    } else if (qemuPrefaultHasEnded(info) &&
               asyncJob != VIR_ASYNC_JOB_START) {
        /* Who starts a domain tells of the start first: see RunEnded() */
        qemuPrefaultStartFailed(vm, virJSONValueObjectGetString(info, "error"));
    }

    qemuDomainSaveStatus(vm);
}


bool
qemuPrefaultIsStarting(virDomainObj *vm,
                       virDomainAsyncJob asyncJob)
{
    if (!qemuPrefaultHoldsStart(vm))
        return false;

    /* It may have ended, one way or the other, and no worker told us yet */
    qemuPrefaultFollowStart(vm, asyncJob);

    return qemuPrefaultHoldsStart(vm) ||
        virDomainObjGetState(vm, NULL) == VIR_DOMAIN_RUNNING;
}


bool
qemuPrefaultEndsStart(virDomainObj *vm,
                      const char *eventName)
{
    qemuDomainObjPrivate *priv = vm->privateData;

    /* Who stops a domain sets the reason, and knows what becomes of the start */
    return STREQ(eventName, "PREFAULT_COMPLETED") &&
        qemuPrefaultIsPending(vm) &&
        priv->pausedReason == VIR_DOMAIN_PAUSED_UNKNOWN;
}


void
qemuPrefaultRunEnded(virDomainObj *vm)
{
    if (!qemuPrefaultIsPending(vm) ||
        virDomainObjBeginJob(vm, VIR_JOB_MODIFY) < 0)
        return;

    if (virDomainObjIsActive(vm))
        qemuPrefaultFollowStart(vm, VIR_ASYNC_JOB_NONE);

    virDomainObjEndJob(vm);
}


int
qemuPrefaultStop(virDomainObj *vm,
                 virDomainPausedReason reason,
                 virDomainAsyncJob asyncJob,
                 bool *stopped)
{
    qemuDomainObjPrivate *priv = vm->privateData;

    if (!qemuPrefaultHoldsStart(vm))
        return 0;

    *stopped = true;
    return qemuProcessStopCPUs(priv->driver, vm, reason, asyncJob);
}


void
qemuPrefaultGiveUpStart(virDomainObj *vm)
{
    qemuDomainObjPrivate *priv = vm->privateData;

    /* No event STOP comes of a guest that did not run yet */
    if (qemuPrefaultHoldsStart(vm)) {
        qemuPrefaultPause(vm, priv->pausedReason);
        priv->pausedReason = VIR_DOMAIN_PAUSED_UNKNOWN;
        qemuDomainSaveStatus(vm);
    }

    priv->runningReason = VIR_DOMAIN_RUNNING_UNKNOWN;
}


bool
qemuPrefaultMayMigrate(virDomainObj *vm)
{
    if (!qemuPrefaultHoldsStart(vm))
        return true;

    virReportError(VIR_ERR_OPERATION_INVALID,
                   _("domain '%1$s' is starting up, its memory is being mapped: wait until it runs, or suspend it"),
                   vm->def->name);
    return false;
}


void
qemuPrefaultReconnect(virDomainObj *vm)
{
    qemuDomainObjPrivate *priv = vm->privateData;
    g_autoptr(virJSONValue) info = NULL;
    bool holding = false;
    int reason;

    if (virDomainObjGetState(vm, &reason) != VIR_DOMAIN_PAUSED ||
        !virQEMUCapsGet(priv->qemuCaps, QEMU_CAPS_PREFAULT))
        return;

    info = qemuPrefaultQuery(vm, VIR_ASYNC_JOB_NONE, NULL);
    if (!info || virDomainObjGetState(vm, NULL) != VIR_DOMAIN_PAUSED)
        return;

    /*
     * The last status that was saved may be older than 'cont'; before 'cont'
     * there is no run, and so no trigger
     */
    ignore_value(virJSONValueObjectGetBoolean(info, "holding", &holding));
    if (holding ||
        (reason == VIR_DOMAIN_PAUSED_STARTING_UP &&
         virJSONValueObjectGetString(info, "trigger"))) {
        priv->runningReason = VIR_DOMAIN_RUNNING_BOOTED;
        qemuPrefaultFollowStart(vm, VIR_ASYNC_JOB_NONE);
    }
}
