/*
 * Prefault's needs are checked once, when the machine is complete
 *
 * Guarantees: with mode on, QEMU exits with a message if memory cannot be
 * mapped, or is known not to suffice; with auto neither is refused, and the
 * reason is noted in PrefaultConfig.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/notify.h"
#include "qapi/error.h"
#include "system/runstate.h"
#include "system/system.h"
#include "hw/core/prefault.h"
#include "lifecycle.h"
#include "managed.h"
#include "memory-keep.h"
#include "memory.h"
#include "options.h"
#include "setup.h"

static const PrefaultBackend *setup_offered;  /* NULL: no accelerator has one */

bool prefault_can_map(void)
{
    assert(bql_locked());
    return setup_offered && setup_offered->in_use() &&
           setup_offered->can_map(NULL);
}

/* Returns false if memory cannot be mapped, or neither mapped nor populated */
static bool setup_backend(PrefaultConfig *config, Error **errp)
{
    if (!setup_offered || !setup_offered->in_use()) {
        config->exempt = "the KVM accelerator is not in use";
        error_setg(errp, "%s", config->exempt);
        return false;
    }
    config->in_use = setup_offered;
    if (!setup_offered->can_map(errp)) {
        return false;
    }
    config->backend = setup_offered;
    return true;
}

/*
 * Check the host's memory now, also if the guest comes by migration: its stream
 * would be what takes the memory
 */
static bool setup_memory(Error **errp)
{
    g_auto(PrefaultMemory) memory = {};
    g_autoptr(PrefaultRoom) room = NULL;

    if (!prefault_options_check()) {
        return true;
    }
    prefault_memory_read(&memory, NULL);
    room = prefault_memory_room(&memory, true, 0);
    return prefault_room_suffices(room, errp);
}

/* Returns false if memory that is to be pinned cannot be */
static bool setup_pins(Error **errp)
{
    g_auto(PrefaultMemory) memory = {};

    if (prefault_options_keep() != PREFAULT_KEEP_LOCK) {
        return true;
    }
    prefault_memory_read(&memory, NULL);
    return prefault_memory_begin_pinning(&memory, errp);
}

/*
 * A guest that comes from another host sees no difference, and is not turned
 * away for what is a matter of its speed
 */
static void setup_take_incoming(PrefaultConfig *config)
{
    if (config->mode == PREFAULT_MODE_ON &&
        runstate_check(RUN_STATE_INMIGRATE)) {
        warn_report("prefault=on: %s; the guest is incoming, and is taken as "
                    "with prefault=auto", config->cannot_map);
        config->mode = PREFAULT_MODE_AUTO;
    }
}

static const char *const setup_exits[PREFAULT_EXIT__MAX] = {
    [PREFAULT_EXIT_EXECUTION] =
        "kvm.nx_huge_pages is in force: the guest exits when it first executes "
        "code in each huge page; kvm.nx_huge_pages=off, for a host whose "
        "guests are trusted, avoids that",
    [PREFAULT_EXIT_ACCESS_TRACKING] =
        "this host's EPT has no accessed bits (kvm_intel.eptad=N): the guest "
        "exits when it first accesses each page, though all is mapped",
};

/* Of what no option of QEMU's changes the operator should know beforehand */
static void setup_tell_exits(const PrefaultBackend *backend)
{
    g_autoptr(PrefaultExitList) exits = backend->exits();

    for (PrefaultExitList *e = exits; e; e = e->next) {
        warn_report("prefault: %s", setup_exits[e->value]);
    }
}

static void setup_machine_done(Notifier *notifier, void *data)
{
    PrefaultConfig config = {};
    const char *advice = "";
    Error *err = NULL;

    config.mode = prefault_options_mode(&err);
    if (err) {
        error_report_err(err);
        exit(EXIT_FAILURE);
    }
    if (config.mode == PREFAULT_MODE_OFF) {
        return;
    }
    if (!setup_backend(&config, &err)) {
        config.cannot_map = g_strdup(error_get_pretty(err));
        advice = config.exempt
                 ? "; prefault=auto starts the guest, and does nothing"
                 : "; prefault=auto does what this host can do";
        setup_take_incoming(&config);
    } else if (config.mode == PREFAULT_MODE_ON && !setup_memory(&err)) {
        advice = "; prefault=auto takes what there is, prefault-check=off does "
                 "not ask";
    } else if (config.mode == PREFAULT_MODE_ON) {
        setup_pins(&err);
    }
    if (err && config.mode == PREFAULT_MODE_ON) {
        error_report("prefault=on: %s%s", error_get_pretty(err), advice);
        exit(EXIT_FAILURE);
    }
    /* With auto this is no error: a query reports config.cannot_map */
    g_clear_pointer(&err, error_free);
    if (config.backend && !config.backend->set_up(&err)) {
        error_report_err(err);
        exit(EXIT_FAILURE);
    }
    if (config.backend) {
        setup_tell_exits(config.backend);
    }
    prefault_lifecycle_set_up(config);
    prefault_managed_watch();
}

void prefault_accel_class_init(ObjectClass *oc, const PrefaultBackend *backend)
{
    setup_offered = backend;
    prefault_options_add_to_accel(oc);
}

/* Every machine has the option, whichever accelerator runs it */
void prefault_machine_class_init(ObjectClass *oc)
{
    static Notifier notifier = { .notify = setup_machine_done };

    prefault_options_add_to_machine(oc);
    qemu_add_machine_init_done_notifier(&notifier);
}
