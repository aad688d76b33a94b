/*
 * What prefault needs, looked at once the machine is complete
 *
 * Guarantees: with mode on, QEMU exits with a message where what that promises
 * is known to be impossible; with auto nothing is refused, and what is left out
 * is noted.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/notify.h"
#include "qapi/error.h"
#include "system/runstate.h"
#include "system/system.h"
#include "memory.h"
#include "options.h"
#include "setup.h"

static const PrefaultBackend *setup_offered;  /* NULL: no accelerator has one */

/* Returns false if memory cannot be mapped, or not populated either */
static bool setup_backend(PrefaultSetup *setup, Error **errp)
{
    if (!setup_offered || !setup_offered->in_use()) {
        setup->exempt = "the KVM accelerator is not in use";
        error_setg(errp, "%s", setup->exempt);
        return false;
    }
    setup->accel = setup_offered;
    if (!setup_offered->can_map(errp)) {
        return false;
    }
    setup->backend = setup_offered;
    return true;
}

/* Is the host's memory known to be too small?  Now is the time to say so */
static bool setup_memory(Error **errp)
{
    g_autoptr(GPtrArray) regions = NULL;
    g_autoptr(PrefaultPlaces) places = NULL;
    g_autoptr(PrefaultPlan) plan = NULL;

    if (runstate_check(RUN_STATE_INMIGRATE)) {
        return true;
    }
    plan = prefault_memory_plan(&regions, &places);
    return prefault_memory_suffices(plan, true, errp);
}

static void setup_machine_done(Notifier *notifier, void *data)
{
    PrefaultSetup setup = {};
    const char *advice = "";
    Error *err = NULL;

    setup.mode = prefault_options_mode(&err);
    if (err) {
        error_report_err(err);
        exit(EXIT_FAILURE);
    }
    if (setup.mode == ON_OFF_AUTO_OFF) {
        return;
    }
    if (!setup_backend(&setup, &err)) {
        setup.cannot_map = g_strdup(error_get_pretty(err));
        advice = "; prefault=auto does what this host can do";
    } else if (setup.mode == ON_OFF_AUTO_ON) {
        setup_memory(&err);
    }
    if (err && setup.mode == ON_OFF_AUTO_ON) {
        error_report("prefault=on: %s%s", error_get_pretty(err), advice);
        exit(EXIT_FAILURE);
    }
    g_clear_pointer(&err, error_free);
    if (setup.backend && !setup.backend->set_up(&err)) {
        error_report_err(err);
        exit(EXIT_FAILURE);
    }
    prefault_set_up(setup);
}

void prefault_set_backend(const PrefaultBackend *backend)
{
    setup_offered = backend;
}

void prefault_enable(void)
{
    static Notifier notifier = { .notify = setup_machine_done };
    static bool enabled;

    if (!enabled) {
        enabled = true;
        qemu_add_machine_init_done_notifier(&notifier);
    }
}
