/*
 * What a guest that is about to run waits for
 *
 * All state is protected by the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "io/channel-command.h"
#include "io/channel-file.h"
#include "qapi/qapi-types-migration.h"
#include "migration/options.h"
#include "migration/misc.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "hw/core/prefault.h"
#include "system/runstate.h"
#include "due.h"
#include "memory.h"
#include "options.h"
#include "trace.h"

static struct {
    PrefaultMode mode;
    bool can_map;
    const char *exempt;         /* why nothing is ever done, or NULL */
    bool ready;                 /* the guest may start at once */
    bool declined;              /* it was restored, and nothing was done */
    PrefaultTrigger trigger;    /* of what is next, unless @ready */
    bool from_file;             /* the guest comes from a file, or a pipe */
} due;

void prefault_due_set_up(PrefaultMode mode, bool can_map, const char *exempt)
{
    assert(bql_locked());
    due.mode = mode;
    due.can_map = can_map;
    due.exempt = exempt;
    if (runstate_check(RUN_STATE_INMIGRATE)) {
        due.trigger = PREFAULT_TRIGGER_RESTORE;
    }
}

/*
 * A live migration comes by a socket, perhaps inside TLS.  Several channels may
 * come one after another, and are all alike.
 */
void prefault_restoring(QIOChannel *channel)
{
    due.from_file =
        object_dynamic_cast(OBJECT(channel), TYPE_QIO_CHANNEL_FILE) ||
        object_dynamic_cast(OBJECT(channel), TYPE_QIO_CHANNEL_COMMAND);
}

/* Run states from which the guest goes on without waiting */
static bool due_must_go_on(void)
{
    return runstate_check(RUN_STATE_FINISH_MIGRATE) ||
           runstate_check(RUN_STATE_COLO) || runstate_check(RUN_STATE_DEBUG);
}

/*
 * After postcopy the guest has run: there is nothing to hold any more.  Nor
 * must a replica wait, whose state is loaded again soon.  A held run would
 * leave all memory of a ballooned guest alone.
 */
static bool due_cannot_be_held(void)
{
    return migration_in_incoming_postcopy() || due_must_go_on() ||
           migrate_colo() || prefault_memory_is_ballooned();
}

static PrefaultRestore due_way_of_restored(void)
{
    PrefaultRestore way = prefault_options_restore();
    bool from_file =
        due.from_file || due.trigger == PREFAULT_TRIGGER_SNAPSHOT_LOAD;

    if (way == PREFAULT_RESTORE_AUTO) {
        way = from_file && due.mode != PREFAULT_MODE_BACKGROUND
              ? PREFAULT_RESTORE_HOLD : PREFAULT_RESTORE_BACKGROUND;
    }
    return way == PREFAULT_RESTORE_HOLD && due_cannot_be_held()
           ? PREFAULT_RESTORE_BACKGROUND : way;
}

static PrefaultRestore due_choose(void)
{
    if (due.trigger == PREFAULT_TRIGGER_RESTORE ||
        due.trigger == PREFAULT_TRIGGER_SNAPSHOT_LOAD) {
        return due_way_of_restored();
    }
    return due.mode == PREFAULT_MODE_BACKGROUND || due_must_go_on()
           ? PREFAULT_RESTORE_BACKGROUND : PREFAULT_RESTORE_HOLD;
}

PrefaultRestore prefault_due_way(PrefaultTrigger *trigger)
{
    PrefaultRestore way;

    assert(bql_locked());
    if (due.ready || due.exempt) {
        return PREFAULT_RESTORE_NONE;
    }
    way = due_choose();
    trace_prefault_due_way(PrefaultTrigger_str(due.trigger),
                           PrefaultRestore_str(way));
    if (way == PREFAULT_RESTORE_NONE ||
        (way == PREFAULT_RESTORE_BACKGROUND && !due.can_map)) {
        due.ready = true;
        due.declined = true;
        return PREFAULT_RESTORE_NONE;
    }
    *trigger = due.trigger;
    return way;
}

bool prefault_due_is_ready(void)
{
    assert(bql_locked());
    return due.ready;
}

void prefault_due_set_ready(bool ready, bool completed)
{
    assert(bql_locked());
    due.ready = ready;
    due.declined = false;
    if (completed) {
        due.trigger = PREFAULT_TRIGGER_START;
    }
}

bool prefault_due_reset(bool loaded)
{
    assert(bql_locked());
    if (runstate_check(RUN_STATE_INMIGRATE) || due.exempt) {
        return false;
    }
    if (loaded) {
        due.trigger = PREFAULT_TRIGGER_SNAPSHOT_LOAD;
    } else if (due.ready) {
        due.trigger = PREFAULT_TRIGGER_RESET;
    } else if (due.trigger == PREFAULT_TRIGGER_RESTORE) {
        /* Nothing of what was restored is left */
        due.trigger = PREFAULT_TRIGGER_START;
    }
    due.ready = false;
    due.declined = false;
    trace_prefault_reset(PrefaultTrigger_str(due.trigger));
    return true;
}

void prefault_due_plugged(void)
{
    assert(bql_locked());
    if (due.ready && !due.declined && !runstate_is_live(runstate_get()) &&
        !runstate_check(RUN_STATE_INMIGRATE) &&
        due.mode != PREFAULT_MODE_BACKGROUND) {
        due.trigger = PREFAULT_TRIGGER_PLUG;
        due.ready = false;
    }
}

bool prefault_due_may_run(bool *behind, Error **errp)
{
    bool live = runstate_is_live(runstate_get());

    assert(bql_locked());
    if (due.exempt) {
        error_setg(errp, "Guest memory is not prefaulted: %s", due.exempt);
        return false;
    }
    if (runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "Guest memory is not prefaulted: the guest comes by "
                   "migration");
        return false;
    }
    *behind = live || due_must_go_on();
    if (*behind && !due.can_map) {
        error_setg(errp, "The guest is running, and its memory cannot be "
                   "mapped in advance: 'stop' it first");
        return false;
    }
    return true;
}

bool prefault_due_is_exempt(void)
{
    assert(bql_locked());
    return due.exempt;
}

const char *prefault_due_exempt(void)
{
    assert(bql_locked());
    return due.exempt ?: !due.declined ? NULL
           : due.can_map ? "the guest was restored, and prefault-restore=none"
           : "the guest does not wait, and its memory cannot be mapped";
}
