/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qemuprefaulttest.c: what libvirt makes of query-prefault's answers
 */

#include <config.h>

#include "testutils.h"
#include "testutilsqemu.h"
#include "qemumonitortestutils.h"
#include "locking/lock_manager.h"
#include "qemu/qemu_conf.h"
#include "qemu/qemu_prefault_caps.h"
#include "qemu/qemu_prefault_start.h"

#define LIBVIRT_QEMU_CAPSPRIV_H_ALLOW
#include "qemu/qemu_capspriv.h"

#define VIR_FROM_THIS VIR_FROM_NONE

#define ACTIVE "{\"return\":{\"mode\":\"on\",\"status\":\"active\",\"holding\":true},\"id\":\"libvirt-1\"}"
#define FAILED "{\"return\":{\"mode\":\"on\",\"status\":\"failed\",\"error\":\"no memory\"},\"id\":\"libvirt-1\"}"
#define CANCELLED "{\"return\":{\"mode\":\"on\",\"status\":\"cancelled\"},\"id\":\"libvirt-1\"}"
#define COMPLETED "{\"return\":{\"mode\":\"on\",\"status\":\"completed\"},\"id\":\"libvirt-1\"}"
#define REQUESTED "{\"return\":{\"mode\":\"on\",\"status\":\"active\",\"holding\":false},\"id\":\"libvirt-1\"}"
#define OFF "{\"return\":{\"mode\":\"off\",\"status\":\"none\"},\"id\":\"libvirt-1\"}"
#define NO_ANSWER "{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"none\"},\"id\":\"libvirt-1\"}"
#define RUNS "{\"return\":{\"running\":true,\"status\":\"running\"},\"id\":\"libvirt-2\"}"
#define STOPPED "{\"return\":{\"running\":false,\"status\":\"prelaunch\"},\"id\":\"libvirt-2\"}"
#define CAN_MAP "{\"return\":{\"mode\":\"off\",\"can-map\":true,\"status\":\"none\"},\"id\":\"libvirt-1\"}"
#define CANNOT_MAP "{\"return\":{\"mode\":\"off\",\"can-map\":false,\"status\":\"none\"},\"id\":\"libvirt-1\"}"

static virQEMUDriver driver;

typedef struct {
    virDomainState state;
    int reason;
    virDomainRunningReason pending;     /* UNKNOWN: no start is */
} testState;

typedef struct {
    testState before;
    const char *answer;                 /* NULL: nobody is to ask */
    const char *running;                /* likewise */
    testState after;
    virDomainAsyncJob job;
} testFollowed;


static virDomainObj *
testDomain(testState state)
{
    virDomainObj *vm = virDomainObjNew(driver.xmlopt);
    qemuDomainObjPrivate *priv;

    if (!vm)
        return NULL;

    priv = vm->privateData;
    priv->qemuCaps = virQEMUCapsNew();
    virQEMUCapsSet(priv->qemuCaps, QEMU_CAPS_PREFAULT);
    vm->def = virDomainDefNew(driver.xmlopt);
    vm->def->name = g_strdup("prefault");
    vm->def->id = 7;
    virDomainObjSetState(vm, state.state, state.reason);
    priv->runningReason = state.pending;

    return vm;
}


static int
testCompare(virDomainObj *vm,
            testState wanted)
{
    qemuDomainObjPrivate *priv = vm->privateData;
    int reason;
    virDomainState state = virDomainObjGetState(vm, &reason);

    if (state == wanted.state && reason == wanted.reason &&
        priv->runningReason == wanted.pending)
        return 0;

    VIR_TEST_VERBOSE("state %d, reason %d, pending %d: wanted %d, %d, %d",
                     state, reason, priv->runningReason,
                     wanted.state, wanted.reason, wanted.pending);
    return -1;
}


static qemuMonitorTest *
testMonitor(virDomainObj *vm,
            const char *answer,
            const char *running)
{
    g_autoptr(qemuMonitorTest) test = qemuMonitorTestNew(driver.xmlopt, vm,
                                                         NULL, NULL);

    if (!test ||
        (answer && qemuMonitorTestAddItem(test, "query-prefault", answer) < 0) ||
        (running && qemuMonitorTestAddItem(test, "query-status", running) < 0))
        return NULL;

    return g_steal_pointer(&test);
}


static int
testFollow(const void *opaque)
{
    const testFollowed *data = opaque;
    virDomainObj *vm = testDomain(data->before);
    qemuMonitorTest *test = vm ? testMonitor(vm, data->answer, data->running) : NULL;
    int ret = -1;

    if (test) {
        qemuDomainObjPrivate *priv = vm->privateData;

        priv->mon = qemuMonitorTestGetMonitor(test);
        virObjectUnlock(priv->mon);
        vm->job->asyncJob = data->job;
        vm->job->asyncOwner = virThreadSelfID();
        qemuPrefaultFollowStart(vm, data->job);
        virObjectLock(priv->mon);
        priv->mon = NULL;
        ret = testCompare(vm, data->after);
    }

    qemuMonitorTestFree(test);
    virDomainObjEndAPI(&vm);
    return ret;
}


static int
testGiveUp(const void *opaque)
{
    const testFollowed *data = opaque;
    virDomainObj *vm = testDomain(data->before);
    qemuDomainObjPrivate *priv;
    int ret;

    if (!vm)
        return -1;

    priv = vm->privateData;
    priv->pausedReason = VIR_DOMAIN_PAUSED_USER;
    qemuPrefaultGiveUpStart(vm);
    ret = testCompare(vm, data->after);

    virDomainObjEndAPI(&vm);
    return ret;
}


typedef struct {
    virDomainVirtType type;
    const char *answer;                 /* NULL: a QEMU without prefault */
    bool supported;
    bool on;
} testCapable;


static int
testDomainCaps(const void *opaque)
{
    const testCapable *data = opaque;
    g_autoptr(virQEMUCaps) qemuCaps = virQEMUCapsNew();
    g_autoptr(virDomainCaps) caps = virDomainCapsNew("/q", "pc", VIR_ARCH_X86_64,
                                                     data->type);
    g_autoptr(qemuMonitorTest) test = testMonitor(NULL, data->answer, NULL);
    g_autofree char *xml = NULL;

    if (!test)
        return -1;

    if (data->answer)
        virQEMUCapsSet(qemuCaps, QEMU_CAPS_PREFAULT);
    qemuPrefaultProbe(qemuCaps, qemuMonitorTestGetMonitor(test));
    qemuPrefaultFillDomainCaps(qemuCaps, caps);
    xml = virDomainCapsFormat(caps);

    if (!!strstr(xml, "<prefault supported='yes'>") == data->supported &&
        !!strstr(xml, "<value>on</value>") == data->on)
        return 0;

    VIR_TEST_VERBOSE("%s", xml);
    return -1;
}


#define STATE(state, reason, pending) \
    { VIR_DOMAIN_ ## state, VIR_DOMAIN_ ## state ## _ ## reason, \
      VIR_DOMAIN_RUNNING_ ## pending }

static int
mymain(void)
{
    int ret = 0;

    if (qemuTestDriverInit(&driver) < 0)
        return EXIT_FAILURE;

    virEventRegisterDefaultImpl();
    driver.lockManager = virLockManagerPluginNew("nop", "qemu",
                                                 driver.config->configBaseDir, 0);
    if (!driver.lockManager)
        return EXIT_FAILURE;

#define DO_START(name, function, ...) \
    do { \
        const testFollowed data = { __VA_ARGS__ }; \
        if (virTestRun("prefault " name, function, &data) < 0) \
            ret = -1; \
    } while (0)

    DO_START("start is held", testFollow,
             STATE(PAUSED, STARTING_UP, BOOTED), ACTIVE, STOPPED,
             STATE(PAUSED, STARTING_UP, BOOTED));
    DO_START("resume is held", testFollow,
             STATE(PAUSED, USER, UNPAUSED), ACTIVE, STOPPED,
             STATE(PAUSED, STARTING_UP, UNPAUSED));
    DO_START("fake reboot is held", testFollow,
             STATE(RUNNING, BOOTED, BOOTED), ACTIVE, STOPPED,
             STATE(PAUSED, STARTING_UP, BOOTED));
    DO_START("start failed", testFollow,
             STATE(PAUSED, STARTING_UP, BOOTED), FAILED, STOPPED,
             STATE(PAUSED, API_ERROR, UNKNOWN));
    DO_START("start was cancelled", testFollow,
             STATE(PAUSED, STARTING_UP, BOOTED), CANCELLED, STOPPED,
             STATE(PAUSED, API_ERROR, UNKNOWN));
    DO_START("fake reboot failed", testFollow,
             STATE(RUNNING, BOOTED, BOOTED), FAILED, STOPPED,
             STATE(PAUSED, API_ERROR, UNKNOWN));
    DO_START("memory was ready, and the start was given up", testFollow,
             STATE(PAUSED, STARTING_UP, BOOTED), COMPLETED, STOPPED,
             STATE(PAUSED, API_ERROR, UNKNOWN));
    DO_START("start failed, whose end is not told yet", testFollow,
             STATE(PAUSED, STARTING_UP, BOOTED), FAILED, STOPPED,
             STATE(PAUSED, STARTING_UP, BOOTED), VIR_ASYNC_JOB_START);
    DO_START("it ran before it was told to", testFollow,
             STATE(RUNNING, UNPAUSED, UNPAUSED), COMPLETED, RUNS,
             STATE(RUNNING, UNPAUSED, UNKNOWN));
    DO_START("a run that holds nothing", testFollow,
             STATE(PAUSED, STARTING_UP, BOOTED), REQUESTED, STOPPED,
             STATE(PAUSED, STARTING_UP, BOOTED));
    DO_START("nothing was to be prefaulted", testFollow,
             STATE(PAUSED, STARTING_UP, BOOTED), OFF, STOPPED,
             STATE(PAUSED, STARTING_UP, BOOTED));
    DO_START("no answer", testFollow,
             STATE(PAUSED, STARTING_UP, BOOTED), NO_ANSWER, NULL,
             STATE(PAUSED, STARTING_UP, BOOTED));
    DO_START("it runs", testFollow,
             STATE(RUNNING, BOOTED, UNKNOWN), NULL, NULL,
             STATE(RUNNING, BOOTED, UNKNOWN));
    DO_START("it was paused", testFollow,
             STATE(PAUSED, USER, UNKNOWN), NULL, NULL,
             STATE(PAUSED, USER, UNKNOWN));

    DO_START("stop gives a held start up", testGiveUp,
             STATE(PAUSED, STARTING_UP, BOOTED), NULL, NULL,
             STATE(PAUSED, USER, UNKNOWN));
    DO_START("stop of a paused domain that was resumed once", testGiveUp,
             STATE(PAUSED, IOERROR, UNPAUSED), NULL, NULL,
             STATE(PAUSED, IOERROR, UNKNOWN));
    DO_START("stop of one that runs is for its event", testGiveUp,
             STATE(RUNNING, BOOTED, UNKNOWN), NULL, NULL,
             STATE(RUNNING, BOOTED, UNKNOWN));

#define DO_CAPS(name, ...) \
    do { \
        const testCapable data = { __VA_ARGS__ }; \
        if (virTestRun("prefault " name, testDomainCaps, &data) < 0) \
            ret = -1; \
    } while (0)

    DO_CAPS("host that can map", VIR_DOMAIN_VIRT_KVM, CAN_MAP, true, true);
    DO_CAPS("host that cannot map", VIR_DOMAIN_VIRT_KVM, CANNOT_MAP, true, false);
    DO_CAPS("QEMU that does not tell", VIR_DOMAIN_VIRT_KVM, NO_ANSWER, true, false);
    DO_CAPS("QEMU without it", VIR_DOMAIN_VIRT_KVM, NULL, false, false);
    DO_CAPS("no KVM", VIR_DOMAIN_VIRT_QEMU, CAN_MAP, false, false);

    virLockManagerPluginUnref(driver.lockManager);
    driver.lockManager = NULL;
    qemuTestDriverFree(&driver);
    return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

VIR_TEST_MAIN(mymain)
