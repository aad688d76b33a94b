/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qemu_prefault.c: QEMU's prefault: command line, validation, statistics
 */

#include <config.h>

#include "qemu_prefault.h"
#include "qemu_monitor.h"
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
    { VIR_DOMAIN_STATS_PREFAULT_HOLDING, NULL, "holding" },
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
    { VIR_DOMAIN_STATS_PREFAULT_BYTES_SWAPPED, NULL, "swapped" },
    { VIR_DOMAIN_STATS_PREFAULT_BYTES_OWED, NULL, "owed" },
    { VIR_DOMAIN_STATS_PREFAULT_BYTES_RETURNED, "retention", "returned" },
    { VIR_DOMAIN_STATS_PREFAULT_BYTES_LOCKED, "retention", "locked" },
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


/* A QEMU that has not heard of it is off, too */
static bool
qemuPrefaultIsWanted(const virDomainDef *def)
{
    virDomainPrefault state = qemuPrefaultState(def);

    return state != VIR_DOMAIN_PREFAULT_ABSENT &&
        state != VIR_DOMAIN_PREFAULT_OFF;
}


bool
qemuPrefaultLocksMemory(const virDomainDef *def)
{
    return qemuPrefaultIsWanted(def) &&
        def->kvm_features->prefault.keep == VIR_DOMAIN_PREFAULT_KEEP_LOCK;
}


bool
qemuPrefaultLeavesOut(const virDomainDef *def,
                      virQEMUCapsFlags flag)
{
    /* <qemu:commandline> may ask QEMU for prefault as well */
    if (flag == QEMU_CAPS_PREFAULT || flag == QEMU_CAPS_PREFAULT_MAP)
        return !qemuPrefaultIsWanted(def) && !def->namespaceData;

    return flag == QEMU_CAPS_SW_PROTECTED_VM &&
        (!def->sec || def->sec->sectype != VIR_DOMAIN_LAUNCH_SECURITY_SW_PROTECTED);
}


/* The guest takes away what prefault has done, and that is nobody's mistake */
static void
qemuPrefaultWarnOfReporting(const virDomainDef *def)
{
    if (def->memballoon &&
        def->memballoon->free_page_reporting == VIR_TRISTATE_SWITCH_ON &&
        !qemuPrefaultLocksMemory(def))
        VIR_WARN("Domain '%s' has prefault and freePageReporting='on': memory that the guest reports as free is not mapped any more, and costs page faults when the guest uses it again",
                 def->name);
}


int
qemuPrefaultValidate(const virDomainDef *def,
                     virQEMUCaps *qemuCaps)
{
    if (!qemuPrefaultIsWanted(def))
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

    qemuPrefaultWarnOfReporting(def);
    return 0;
}


static void
qemuPrefaultAccelOption(virBuffer *buf,
                        const char *name,
                        unsigned int value,
                        const char *word)
{
    if (value != 0)
        virBufferAsprintf(buf, ",%s=%s", name, word);
}


void
qemuPrefaultAccelOptions(virBuffer *buf,
                         const virDomainDef *def)
{
    const virDomainPrefaultDef *prefault;

    if (!qemuPrefaultIsWanted(def))
        return;

    prefault = &def->kvm_features->prefault;
    virBufferAsprintf(buf, ",prefault=%s",
                      virDomainPrefaultTypeToString(qemuPrefaultState(def)));
    if (prefault->threads != 0)
        virBufferAsprintf(buf, ",prefault-threads=%u", prefault->threads);
    qemuPrefaultAccelOption(buf, "slot-zap-all", prefault->slotZapAll,
                            virDomainPrefaultSlotZapAllTypeToString(prefault->slotZapAll));
    qemuPrefaultAccelOption(buf, "prefault-keep", prefault->keep,
                            virDomainPrefaultKeepTypeToString(prefault->keep));
    qemuPrefaultAccelOption(buf, "prefault-restore", prefault->restore,
                            virDomainPrefaultRestoreTypeToString(prefault->restore));
}


virJSONValue *
qemuPrefaultAsk(qemuMonitor *mon)
{
    g_autofree char *reply = NULL;
    g_autoptr(virJSONValue) json = NULL;
    virErrorPtr before = NULL;

    virErrorPreserveLast(&before);
    if (qemuMonitorArbitraryCommand(mon, QUERY, -1, &reply, false) == 0)
        json = virJSONValueFromString(reply);
    /* Restoring none would leave that of the query */
    virResetLastError();
    virErrorRestore(&before);

    return json ? virJSONValueObjectStealObject(json, "return") : NULL;
}


virJSONValue *
qemuPrefaultQuery(virDomainObj *vm,
                  virDomainAsyncJob asyncJob,
                  bool *running)
{
    qemuDomainObjPrivate *priv = vm->privateData;
    virJSONValue *info;

    if (qemuDomainObjEnterMonitorAsync(vm, asyncJob) < 0)
        return NULL;

    info = qemuPrefaultAsk(priv->mon);
    if (info && running && qemuMonitorGetStatus(priv->mon, running, NULL) < 0)
        g_clear_pointer(&info, virJSONValueFree);
    qemuDomainObjExitMonitor(vm);

    return info;
}


static void
qemuPrefaultAddStat(virTypedParamList *params,
                    const char *name,
                    virJSONValue *object,
                    const char *member)
{
    const char *text = virJSONValueObjectGetString(object, member);
    unsigned long long number;
    bool truth;

    if (text)
        virTypedParamListAddString(params, text, "%s", name);
    else if (virJSONValueObjectGetBoolean(object, member, &truth) == 0)
        virTypedParamListAddBoolean(params, truth, "%s", name);
    else if (virJSONValueObjectGetNumberUlong(object, member, &number) == 0)
        virTypedParamListAddULLong(params, number, "%s", name);
}


void
qemuPrefaultGetStats(virDomainObj *vm,
                     virTypedParamList *params)
{
    g_autoptr(virJSONValue) info = qemuPrefaultQuery(vm, VIR_ASYNC_JOB_NONE, NULL);
    size_t i;

    if (!info)
        return;

    for (i = 0; i < G_N_ELEMENTS(stats); i++) {
        virJSONValue *object = info;

        if (stats[i].object)
            object = virJSONValueObjectGetObject(info, stats[i].object);

        if (object)
            qemuPrefaultAddStat(params, stats[i].name, object, stats[i].member);
    }
}
