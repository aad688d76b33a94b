/*
 * Resets of the machine, as prefault sees them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/core/prefault-compat.h"
#include "qemu/main-loop.h"
#include "qom/object.h"
#include "system/reset.h"
#include "reset.h"

static void (*reset_happened)(bool loaded);

/* Resets come to an object of QOM */
#define TYPE_RESET_WATCHER "prefault-reset-watcher"
OBJECT_DECLARE_SIMPLE_TYPE(ResetWatcher, RESET_WATCHER)

struct ResetWatcher {
    Object parent_obj;
    ResettableState state;
};

OBJECT_DEFINE_SIMPLE_TYPE_WITH_INTERFACES(ResetWatcher, reset_watcher,
                                          RESET_WATCHER, OBJECT,
                                          { TYPE_RESETTABLE_INTERFACE },
                                          { })

static ResettableState *reset_watcher_get_state(Object *obj)
{
    return &RESET_WATCHER(obj)->state;
}

/*
 * A guest that wakes up from S3 finds its memory and its memslots as they were
 */
static void reset_watcher_hold(Object *obj, ResetType type)
{
    if (type != RESET_TYPE_WAKEUP) {
        reset_happened(type == RESET_TYPE_SNAPSHOT_LOAD);
    }
}

static void reset_watcher_init(Object *obj)
{
}

static void reset_watcher_finalize(Object *obj)
{
}

static void reset_watcher_class_init(ObjectClass *oc, PrefaultClassData *data)
{
    ResettableClass *rc = RESETTABLE_CLASS(oc);

    rc->get_state = reset_watcher_get_state;
    rc->phases.hold = reset_watcher_hold;
}

void prefault_reset_watch(void (*happened)(bool loaded))
{
    assert(bql_locked());
    reset_happened = happened;
    qemu_register_resettable(object_new(TYPE_RESET_WATCHER));
}
