/*
 * The hold: the one reason why a guest that should run does not
 *
 * All state is protected by the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qapi/error.h"
#include "qapi/qapi-types-run-state.h"
#include "hw/core/prefault.h"
#include "hold.h"
#include "system/cpu-timers.h"
#include "system/cpus.h"
#include "system/runstate.h"
#include "trace.h"

static struct {
    PrefaultHold how;           /* atomic: vCPUs' threads read it */
    RunState start_state;       /* in any other the start is given up */
    bool wake;                  /* once started, the guest is to wake up */
} hold;

void prefault_hold(PrefaultHold how)
{
    assert(bql_locked());
    if (how == PREFAULT_HOLD_START && runstate_check(RUN_STATE_INMIGRATE)) {
        /* It has come: 'stop' and 'cont' are about the guest from now on */
        runstate_set(RUN_STATE_PAUSED);
    }
    hold.start_state = runstate_get();
    hold.wake = false;
    qatomic_set(&hold.how, how);
    trace_prefault_hold(how, RunState_str(hold.start_state));
    if (how == PREFAULT_HOLD_RESUME) {
        cpu_disable_ticks();
    }
}

PrefaultHold prefault_hold_now(void)
{
    assert(bql_locked());
    return hold.how;
}

PrefaultHold prefault_hold_drop(void)
{
    PrefaultHold how = hold.how;

    assert(bql_locked());
    qatomic_set(&hold.how, PREFAULT_HOLD_NONE);
    return how;
}

static void hold_give_up(void)
{
    warn_report("prefault: the guest's start was given up, because its run "
                "state changed while it waited");
}

/* Is a held start still right?  Somebody may have changed the run state */
static bool hold_may_start(void)
{
    bool may = runstate_check(hold.start_state);

    if (!may) {
        hold_give_up();
    }
    return may;
}

bool prefault_hold_take(bool ready)
{
    prefault_hold_drop();
    return ready && hold_may_start();
}

static void hold_release_start(void)
{
    if (!hold_may_start()) {
        return;
    }
    vm_start();
    if (hold.wake && runstate_check(RUN_STATE_SUSPENDED)) {
        qemu_system_wakeup_request(QEMU_WAKEUP_REASON_OTHER, NULL);
    }
}

static void hold_release_resume(bool ready)
{
    if (ready) {
        cpu_enable_ticks();
        resume_all_vcpus();
    } else {
        vm_stop(RUN_STATE_PAUSED);
    }
}

void prefault_hold_release(bool ready)
{
    PrefaultHold how = prefault_hold_drop();

    trace_prefault_release(how, ready);
    switch (how) {
    case PREFAULT_HOLD_NONE:
        break;
    case PREFAULT_HOLD_START:
        if (ready) {
            hold_release_start();
        }
        break;
    case PREFAULT_HOLD_RESUME:
        hold_release_resume(ready);
        break;
    }
}

void prefault_hold_reset(void)
{
    assert(bql_locked());
    if (hold.how != PREFAULT_HOLD_START) {
        return;
    }
    if (runstate_check(hold.start_state)) {
        hold.start_state = RUN_STATE_PRELAUNCH;
    } else {
        prefault_hold_drop();
        hold_give_up();
    }
}

bool prefault_is_holding(void)
{
    return qatomic_read(&hold.how) == PREFAULT_HOLD_RESUME;
}

void prefault_wake_when_started(void)
{
    assert(bql_locked());
    hold.wake = hold.how == PREFAULT_HOLD_START;
}

bool prefault_refuse_dump(Error **errp)
{
    assert(bql_locked());
    if (hold.how != PREFAULT_HOLD_START) {
        return false;
    }
    error_setg(errp, "The guest is about to start, once its memory is "
               "prefaulted: 'stop' it first");
    return true;
}

bool prefault_give_start_up(void)
{
    assert(bql_locked());
    if (hold.how != PREFAULT_HOLD_START) {
        return false;
    }
    vm_stop(RUN_STATE_PAUSED);
    return true;
}
