/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qemu_prefault.c: QEMU's prefault: command line, validation, statistics
 */

#include <config.h>

#include "qemu_prefault.h"
#include "qemu_process.h"
#include "domain_prefault.h"
#include "virerror.h"
#include "virjson.h"
#include "virlog.h"

#define VIR_FROM_THIS VIR_FROM_QEMU

VIR_LOG_INIT("qemu.qemu_prefault");

#define QUERY "{\"execute\":\"query-prefault\"}"

/* Where query-prefault's answer has each statistic */
static const struct {
    const char *name;
    const char *object;     /* member of the answer that has it, NULL for itself */
    const char *member;
} stats[] = {
    { VIR_DOMAIN_STATS_PREFAULT_MODE, NULL, "mode" },
    { VIR_DOMAIN_STATS_PREFAULT_STATUS, NULL, "status" },
    { VIR_DOMAIN_STATS_PREFAULT_TRIGGER, NULL, "trigger" },
    { VIR_DOMAIN_STATS_PREFAULT_ERROR, NULL, "error" },
    { VIR_DOMAIN_STATS_PREFAULT_LEFT_OUT, NULL, "left-out" },
    { VIR_DOMAIN_STATS_PREFAULT_BYTES_TOTAL, NULL, "total" },
    { VIR_DOMAIN_STATS_PREFAULT_BYTES_POPULATED, NULL, "populated" },
    { VIR_DOMAIN_STATS_PREFAULT_BYTES_MAPPED, NULL, "mapped" },
    { VIR_DOMAIN_STATS_PREFAULT_BYTES_MAPPED_NOW, NULL, "mapped-now" },
    { VIR_DOMAIN_STATS_PREFAULT_BYTES_PRIVATE, NULL, "private" },
    { VIR_DOMAIN_STATS_PREFAULT_BYTES_PRIVATE_MAPPED, NULL, "private-mapped" },
    { VIR_DOMAIN_STATS_PREFAULT_BYTES_SKIPPED, NULL, "skipped" },
    { VIR_DOMAIN_STATS_PREFAULT_BYTES_FAILED, NULL, "failed" },
    { VIR_DOMAIN_STATS_PREFAULT_BYTES_BALANCED, NULL, "balanced" },
    { VIR_DOMAIN_STATS_PREFAULT_THREADS, NULL, "threads" },
    { VIR_DOMAIN_STATS_PREFAULT_ELAPSED, NULL, "elapsed-ms" },
    { VIR_DOMAIN_STATS_PREFAULT_REMAINING, NULL, "remaining-ms" },
    { VIR_DOMAIN_STATS_PREFAULT_RATE, NULL, "rate" },
    { VIR_DOMAIN_STATS_PREFAULT_SLOTS_KEPT, "retention", "slots-kept" },
    { VIR_DOMAIN_STATS_PREFAULT_SLOTS_DROPPED, "retention", "slots-dropped" },
    { VIR_DOMAIN_STATS_PREFAULT_REFILL_BYTES, "retention", "refilled" },
    { VIR_DOMAIN_STATS_PREFAULT_REFILL_PENDING, "retention", "refill-pending" },
    { VIR_DOMAIN_STATS_PREFAULT_LOST_BYTES, "retention", "lost" },
    { VIR_DOMAIN_STATS_PREFAULT_LOST_REMAPPED, "retention", "remapped" },
    { VIR_DOMAIN_STATS_PREFAULT_CONVERSIONS_TO_PRIVATE_COUNT, "conversions", "to-private" },
    { VIR_DOMAIN_STATS_PREFAULT_CONVERSIONS_TO_PRIVATE_BYTES, "conversions", "to-private-bytes" },
    { VIR_DOMAIN_STATS_PREFAULT_CONVERSIONS_TO_SHARED_COUNT, "conversions", "to-shared" },
    { VIR_DOMAIN_STATS_PREFAULT_CONVERSIONS_TO_SHARED_BYTES, "conversions", "to-shared-bytes" },
    { VIR_DOMAIN_STATS_PREFAULT_CONVERSIONS_FAILED, "conversions", "failures" },
};


static virDomainPrefault
qemuPrefaultState(const virDomainDef *def)
{
    if (def->features[VIR_DOMAIN_FEATURE_KVM] != VIR_TRISTATE_SWITCH_ON)
        return VIR_DOMAIN_PREFAULT_ABSENT;

    return def->kvm_features->features[VIR_DOMAIN_KVM_PREFAULT];
}


int
qemuPrefaultValidate(const virDomainDef *def,
                     virQEMUCaps *qemuCaps)
{
    if (qemuPrefaultState(def) == VIR_DOMAIN_PREFAULT_ABSENT)
        return 0;

    if (def->virtType != VIR_DOMAIN_VIRT_KVM) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("prefault is only supported with domains of type 'kvm', this one is of type '%1$s'"),
                       virDomainVirtTypeToString(def->virtType));
        return -1;
    }

    if (!virQEMUCapsGet(qemuCaps, QEMU_CAPS_PREFAULT)) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("prefault is not available with this QEMU binary '%1$s'"),
                       NULLSTR(def->emulator));
        return -1;
    }

    return 0;
}


void
qemuPrefaultAccelOptions(virBuffer *buf,
                         const virDomainDef *def)
{
    virDomainPrefault state = qemuPrefaultState(def);

    if (state != VIR_DOMAIN_PREFAULT_ABSENT)
        virBufferAsprintf(buf, ",prefault=%s",
                          virDomainPrefaultTypeToString(state));
}


static virJSONValue *
qemuPrefaultQuery(virDomainObj *vm)
{
    qemuDomainObjPrivate *priv = vm->privateData;
    g_autofree char *reply = NULL;
    g_autoptr(virJSONValue) json = NULL;
    g_autoptr(virJSONValue) answer = NULL;
    int rc;

    qemuDomainObjEnterMonitor(vm);
    rc = qemuMonitorArbitraryCommand(priv->mon, QUERY, -1, &reply, false);
    qemuDomainObjExitMonitor(vm);

    if (rc < 0 || !(json = virJSONValueFromString(reply)))
        return NULL;

    if (!(answer = virJSONValueObjectStealObject(json, "return")))
        VIR_DEBUG("query-prefault answers %s", reply);

    return g_steal_pointer(&answer);
}


static void
qemuPrefaultAddStat(virTypedParamList *params,
                    const char *name,
                    virJSONValue *object,
                    const char *member)
{
    const char *text = virJSONValueObjectGetString(object, member);
    unsigned long long number;

    if (text)
        virTypedParamListAddString(params, text, "%s", name);
    else if (virJSONValueObjectGetNumberUlong(object, member, &number) == 0)
        virTypedParamListAddULLong(params, number, "%s", name);
}


void
qemuPrefaultGetStats(virDomainObj *vm,
                     virTypedParamList *params)
{
    g_autoptr(virJSONValue) info = qemuPrefaultQuery(vm);
    size_t i;

    if (!info) {
        virResetLastError();
        return;
    }

    for (i = 0; i < G_N_ELEMENTS(stats); i++) {
        virJSONValue *object = info;

        if (stats[i].object)
            object = virJSONValueObjectGetObject(info, stats[i].object);

        if (object)
            qemuPrefaultAddStat(params, stats[i].name, object, stats[i].member);
    }
}


bool
qemuPrefaultHoldsStart(virDomainObj *vm)
{
    qemuDomainObjPrivate *priv = vm->privateData;

    /* The reason is set by 'cont' and taken by the event RESUME */
    return virDomainObjGetState(vm, NULL) == VIR_DOMAIN_PAUSED &&
        priv->runningReason != VIR_DOMAIN_RUNNING_UNKNOWN;
}


int
qemuPrefaultStopBeforeSave(virDomainObj *vm,
                           bool *wasRunning)
{
    qemuDomainObjPrivate *priv = vm->privateData;

    if (!qemuPrefaultHoldsStart(vm))
        return 0;

    *wasRunning = true;
    return qemuProcessStopCPUs(priv->driver, vm, VIR_DOMAIN_PAUSED_SAVE,
                               VIR_ASYNC_JOB_SAVE);
}


void
qemuPrefaultGiveUpStart(virDomainObj *vm)
{
    qemuDomainObjPrivate *priv = vm->privateData;

    /* No event STOP comes of a guest that did not run yet */
    if (qemuPrefaultHoldsStart(vm)) {
        virDomainObjSetState(vm, VIR_DOMAIN_PAUSED, priv->pausedReason);
        priv->pausedReason = VIR_DOMAIN_PAUSED_UNKNOWN;
    }

    priv->runningReason = VIR_DOMAIN_RUNNING_UNKNOWN;
}


void
qemuPrefaultReconnect(virDomainObj *vm)
{
    qemuDomainObjPrivate *priv = vm->privateData;
    g_autoptr(virJSONValue) info = NULL;
    const char *trigger;
    int reason;

    if (virDomainObjGetState(vm, &reason) != VIR_DOMAIN_PAUSED)
        return;

    /* Before 'cont' there is no run, and so no trigger */
    info = qemuPrefaultQuery(vm);
    virResetLastError();
    if (!info || !(trigger = virJSONValueObjectGetString(info, "trigger")))
        return;

    if (reason == VIR_DOMAIN_PAUSED_STARTING_UP)
        virDomainObjSetState(vm, VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_UNKNOWN);

    if (STRNEQ(trigger, "request") &&
        STREQ_NULLABLE(virJSONValueObjectGetString(info, "status"), "active"))
        priv->runningReason = VIR_DOMAIN_RUNNING_BOOTED;
}
