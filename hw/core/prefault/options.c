/*
 * The user's options for prefault
 *
 * The properties of accelerator and machine.  Both take a mode, because a
 * second -machine option adds to the first while a second -accel option is a
 * fallback: only the former can be appended to a command line made elsewhere.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-prefault.h"
#include "qapi/util.h"
#include "qapi/visitor.h"
#include "hw/core/prefault-backend.h"
#include "hw/core/prefault-compat.h"
#include "options.h"

/* A larger number is a typing error: no host has more CPUs */
#define THREADS_MAX 4096

/* An option that takes one of some words; the class property's opaque */
typedef struct WordOption {
    const char *option;         /* where it is given, if that matters */
    const QEnumLookup *words;
    const char *valid;          /* all of them, for an error */
    bool given;
    int value;
} WordOption;

#define MODE_OPTION(where) {                    \
    .option = (where),                          \
    .words = &PrefaultMode_lookup,              \
    .valid = "on, off, auto and background",    \
}

static WordOption options_accel = MODE_OPTION("-accel");
static WordOption options_machine = MODE_OPTION("-machine");
static WordOption options_keep = {
    .words = &PrefaultKeep_lookup,
    .valid = "on, off, auto and lock",
    .value = PREFAULT_KEEP_AUTO,
};
static WordOption options_restore = {
    .words = &PrefaultRestore_lookup,
    .valid = "hold, background, none and auto",
    .value = PREFAULT_RESTORE_AUTO,
};
static WordOption options_slot_zap = {
    .words = &OnOffAuto_lookup,
    .valid = "on, off and auto",
    .value = ON_OFF_AUTO_AUTO,
};
static unsigned options_threads;
static bool options_no_check;
static bool options_unlocked;

PrefaultMode prefault_options_mode(Error **errp)
{
    if (options_accel.given && options_machine.given &&
        options_accel.value != options_machine.value) {
        error_setg(errp, "%s prefault=%s and %s prefault=%s differ: give one "
                   "of them, or the same twice",
                   options_machine.option,
                   PrefaultMode_str(options_machine.value),
                   options_accel.option, PrefaultMode_str(options_accel.value));
        return PREFAULT_MODE_OFF;
    }
    return options_machine.given ? options_machine.value : options_accel.value;
}

bool prefault_is_wanted(void)
{
    return prefault_options_mode(NULL) != PREFAULT_MODE_OFF;
}

unsigned prefault_options_threads(void)
{
    return options_threads;
}

bool prefault_options_check(void)
{
    return !options_no_check;
}

PrefaultKeep prefault_options_keep(void)
{
    return options_unlocked && options_keep.value == PREFAULT_KEEP_LOCK
           ? PREFAULT_KEEP_ON : options_keep.value;
}

void prefault_options_set_unlocked(bool unlocked)
{
    options_unlocked = unlocked;
}

PrefaultRestore prefault_options_restore(void)
{
    return options_restore.value;
}

OnOffAuto prefault_slot_zap_all(void)
{
    return options_slot_zap.value;
}

/* Options are fixed once the machine is complete: their mode is then in use */
static bool options_may_change(const char *name, Error **errp)
{
    if (phase_check(PHASE_MACHINE_READY)) {
        error_setg(errp, "%s cannot be changed any more: give it on the "
                   "command line", name);
        return false;
    }
    return true;
}

static void options_get_word(Object *obj, Visitor *v, const char *name,
                             void *opaque, Error **errp)
{
    WordOption *option = opaque;
    int value = option->value;

    visit_type_enum(v, name, &value, option->words, errp);
}

static void options_set_word(Object *obj, Visitor *v, const char *name,
                             void *opaque, Error **errp)
{
    WordOption *option = opaque;
    g_autofree char *str = NULL;
    int value;

    /* As a string, for an error that lists the values that would work */
    if (!options_may_change(name, errp) ||
        !visit_type_str(v, name, &str, errp)) {
        return;
    }
    value = qapi_enum_parse(option->words, str, -1, NULL);
    if (value < 0) {
        error_setg(errp, "%s=%s is none of %s", name, str, option->valid);
        return;
    }
    option->value = value;
    option->given = true;
}

static void options_get_threads(Object *obj, Visitor *v, const char *name,
                                void *opaque, Error **errp)
{
    uint32_t value = options_threads;

    visit_type_uint32(v, name, &value, errp);
}

static void options_set_threads(Object *obj, Visitor *v, const char *name,
                                void *opaque, Error **errp)
{
    uint32_t value;

    if (!options_may_change(name, errp)) {
        return;
    }
    /* Drop the visitor's error: it would tell of a type, not of a range */
    if (!visit_type_uint32(v, name, &value, NULL) || !value ||
        value > THREADS_MAX) {
        error_setg(errp, "prefault-threads takes a number from 1 to %d",
                   THREADS_MAX);
        return;
    }
    options_threads = value;
}

static bool options_get_check(Object *obj, Error **errp)
{
    return !options_no_check;
}

static void options_set_check(Object *obj, bool value, Error **errp)
{
    if (options_may_change("prefault-check", errp)) {
        options_no_check = !value;
    }
}

/* The accelerator has them all, and the machine, which libvirt can set */
static void options_add(ObjectClass *oc, WordOption *mode)
{
    object_class_property_add(oc, "prefault", "PrefaultMode", options_get_word,
                              options_set_word, NULL, mode);
    object_class_property_set_description(
        oc, "prefault",
        "Populate guest memory and map it in stage-2 page tables before the "
        "guest runs, or behind it (KVM)");
    object_class_property_add_bool(oc, "prefault-check", options_get_check,
                                   options_set_check);
    object_class_property_set_description(
        oc, "prefault-check",
        "Look at the host's limits before guest memory is taken, and stop "
        "before the kernel has to kill (default: on)");
    object_class_property_add(oc, "prefault-keep", "PrefaultKeep",
                              options_get_word, options_set_word, NULL,
                              &options_keep);
    object_class_property_set_description(
        oc, "prefault-keep",
        "Keep the host from taking mappings away (default: auto, where that "
        "costs the guest nothing; lock: pin the memory, too)");
    object_class_property_add(oc, "prefault-restore", "PrefaultRestore",
                              options_get_word, options_set_word, NULL,
                              &options_restore);
    object_class_property_set_description(
        oc, "prefault-restore",
        "What a restored or migrated guest waits for (default: auto, hold if "
        "it comes from a file and background if by a socket; none: no "
        "prefault)");
    object_class_property_add(oc, "prefault-threads", "uint32",
                              options_get_threads, options_set_threads, NULL,
                              NULL);
    object_class_property_set_description(
        oc, "prefault-threads",
        "Threads that prefault guest memory (default: as many as CPUs that "
        "QEMU may use, one for each 64 MiB at most)");
    object_class_property_add(oc, "slot-zap-all", "OnOffAuto",
                              options_get_word, options_set_word, NULL,
                              &options_slot_zap);
    object_class_property_set_description(
        oc, "slot-zap-all",
        "With prefault: let KVM drop all mappings of guest memory when one "
        "memslot is deleted (auto: only if a VFIO device is present)");
}

void prefault_options_add_to_accel(ObjectClass *oc)
{
    options_add(oc, &options_accel);
}

void prefault_options_add_to_machine(ObjectClass *oc)
{
    options_add(oc, &options_machine);
}
