/*
 * What the user asked of prefault
 *
 * The properties of accelerator and machine.  Both take a mode, because a
 * second -machine option adds to the first while a second -accel option is a
 * fallback: only the former can be appended to a command line made elsewhere.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-common.h"
#include "qapi/util.h"
#include "qapi/visitor.h"
#include "qemu/cutils.h"
#include "hw/core/prefault.h"
#include "hw/qdev-core.h"
#include "options.h"

/* More is a slip of the hand: no host has more CPUs */
#define THREADS_MAX 4096

/* An option that takes a mode; the class property's opaque */
typedef struct ModeOption {
    const char *option;
    bool given;
    OnOffAuto mode;
} ModeOption;

static ModeOption on_accel = {
    .option = "-accel", .mode = ON_OFF_AUTO_OFF,
};
static ModeOption on_machine = {
    .option = "-machine", .mode = ON_OFF_AUTO_OFF,
};
static unsigned threads;

OnOffAuto prefault_options_mode(Error **errp)
{
    if (on_accel.given && on_machine.given &&
        on_accel.mode != on_machine.mode) {
        error_setg(errp, "%s prefault=%s and %s prefault=%s differ: give one "
                   "of them, or the same twice",
                   on_machine.option, OnOffAuto_str(on_machine.mode),
                   on_accel.option, OnOffAuto_str(on_accel.mode));
        return ON_OFF_AUTO_OFF;
    }
    return on_machine.given ? on_machine.mode : on_accel.mode;
}

bool prefault_is_wanted(void)
{
    return prefault_options_mode(NULL) != ON_OFF_AUTO_OFF;
}

unsigned prefault_options_threads(void)
{
    return threads;
}

/* Options shape what happens from the first start on */
static bool options_may_change(const char *name, Error **errp)
{
    if (phase_check(PHASE_MACHINE_READY)) {
        error_setg(errp, "%s cannot be changed any more: give it on the "
                   "command line", name);
        return false;
    }
    return true;
}

static void get_mode(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    ModeOption *option = opaque;

    visit_type_OnOffAuto(v, name, &option->mode, errp);
}

bool prefault_set_on_off_auto(Visitor *v, const char *name, OnOffAuto *value,
                              Error **errp)
{
    g_autofree char *str = NULL;
    int mode;

    /* As a string, for an error that says what would work */
    if (!options_may_change(name, errp) ||
        !visit_type_str(v, name, &str, errp)) {
        return false;
    }
    mode = qapi_enum_parse(&OnOffAuto_lookup, str, -1, NULL);
    if (mode < 0) {
        error_setg(errp, "%s=%s is none of on, off and auto", name, str);
        return false;
    }
    *value = mode;
    return true;
}

static void set_mode(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    ModeOption *option = opaque;

    if (prefault_set_on_off_auto(v, name, &option->mode, errp)) {
        option->given = true;
        prefault_enable();
    }
}

static void get_threads(Object *obj, Visitor *v, const char *name,
                        void *opaque, Error **errp)
{
    uint32_t value = threads;

    visit_type_uint32(v, name, &value, errp);
}

static void set_threads(Object *obj, Visitor *v, const char *name,
                        void *opaque, Error **errp)
{
    g_autofree char *str = NULL;
    unsigned value;

    if (!options_may_change(name, errp) ||
        !visit_type_str(v, name, &str, errp)) {
        return;
    }
    if (qemu_strtoui(str, NULL, 10, &value) < 0 || !value ||
        value > THREADS_MAX) {
        error_setg(errp, "prefault-threads=%s is not a number from 1 to %d",
                   str, THREADS_MAX);
        return;
    }
    threads = value;
}

static void add_mode_property(ObjectClass *oc, ModeOption *option)
{
    object_class_property_add(oc, "prefault", "OnOffAuto", get_mode, set_mode,
                              NULL, option);
    object_class_property_set_description(oc, "prefault",
        "Populate guest memory and map it in stage-2 page tables before the "
        "guest runs (KVM)");
}

void prefault_accel_class_init(ObjectClass *oc, const PrefaultBackend *backend)
{
    add_mode_property(oc, &on_accel);
    object_class_property_add(oc, "prefault-threads", "uint32", get_threads,
                              set_threads, NULL, NULL);
    object_class_property_set_description(oc, "prefault-threads",
        "Threads that prefault guest memory (default: as many as CPUs that "
        "QEMU may use, one for each 64 MiB at most)");
    prefault_set_backend(backend);
}

void prefault_machine_class_init(ObjectClass *oc)
{
    add_mode_property(oc, &on_machine);
}
