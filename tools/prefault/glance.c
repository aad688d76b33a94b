/*
 * What query-prefault answers, for people
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "qobject/qlist.h"
#include "glance.h"

#define BAR_WIDTH 24
#define MINUTES_FROM_S 120

static uint64_t glance_number(const QDict *info, const char *name)
{
    return info ? MAX(qdict_get_try_int(info, name, 0), 0) : 0;
}

static const char *glance_word(const QDict *info, const char *name)
{
    return qdict_get_try_str(info, name) ?: "unknown";
}

/* Mapping comes last, but some hosts cannot map */
static uint64_t glance_done(const QDict *info)
{
    bool maps = qdict_get_try_bool(info, "can-map", true);

    return glance_number(info, maps ? "mapped" : "populated") +
           glance_number(info, "failed");
}

static void glance_bar(GString *text, double part)
{
    int filled = part * BAR_WIDTH;

    g_string_append_c(text, '[');
    for (int i = 0; i < BAR_WIDTH; i++) {
        g_string_append_c(text, i < filled ? '#' : '.');
    }
    g_string_append(text, "] ");
}

static void glance_speed(GString *text, const QDict *info)
{
    g_autofree char *rate = size_to_str(glance_number(info, "rate"));
    uint64_t seconds = DIV_ROUND_UP(glance_number(info, "remaining-ms"), 1000);

    if (glance_number(info, "rate")) {
        g_string_append_printf(text, ", %s/s", rate);
    }
    if (seconds >= MINUTES_FROM_S) {
        g_string_append_printf(text, ", %" PRIu64 " min left", seconds / 60);
    } else if (seconds) {
        g_string_append_printf(text, ", %" PRIu64 " s left", seconds);
    }
}

char *prefault_glance_progress(const QDict *info, bool bar)
{
    uint64_t total = glance_number(info, "total");
    uint64_t done = MIN(glance_done(info), total);
    g_autofree char *of = size_to_str(total);
    g_autofree char *so_far = size_to_str(done);
    double part = total ? (double)done / total : 1;
    GString *text = g_string_new(NULL);

    if (!qdict_haskey(info, "total")) {
        g_string_append(text,
                        "no run has begun: waiting for the guest's start");
        return g_string_free(text, false);
    }
    if (bar) {
        glance_bar(text, part);
    }
    g_string_append_printf(text, "%3d%%  %s of %s", (int)(part * 100), so_far,
                           of);
    glance_speed(text, info);
    return g_string_free(text, false);
}

static void glance_kib(GString *text, const char *label, uint64_t bytes)
{
    if (bytes) {
        g_string_append_printf(text, "%-10s %" PRIu64 " KiB\n", label,
                               bytes / KiB);
    }
}

/* A line for each reason in a list */
static void glance_reasons(GString *text, const char *label, const QDict *info,
                           const char *name)
{
    const QList *list = qobject_to(QList, qdict_get(info, name));
    const QListEntry *entry;

    if (!list) {
        return;
    }
    QLIST_FOREACH_ENTRY(list, entry) {
        const QDict *item = qobject_to(QDict, qlist_entry_obj(entry));

        if (item) {
            g_string_append_printf(text, "%-10s %" PRIu64 " KiB (%s)\n", label,
                                   glance_number(item, "bytes") / KiB,
                                   glance_word(item, "reason"));
        }
    }
}

static void glance_sentence(GString *text, const char *label,
                            const QDict *info, const char *name)
{
    const char *sentence = qdict_get_try_str(info, name);

    if (sentence) {
        g_string_append_printf(text, "%-10s %s\n", label, sentence);
    }
}

static void glance_run(GString *text, const QDict *info)
{
    uint64_t ms = glance_number(info, "elapsed-ms");
    bool maps = qdict_get_try_bool(info, "can-map", true);

    g_string_append_printf(text, "%-10s %" PRIu64 " of %" PRIu64 " KiB\n",
                           maps ? "mapped:" : "populated:",
                           glance_number(info, maps ? "mapped" : "populated")
                           / KiB, glance_number(info, "total") / KiB);
    g_string_append_printf(text, "%-10s %" PRIu64 ", for %" PRIu64 ".%03"
                           PRIu64 " s\n", "threads:",
                           glance_number(info, "threads"), ms / 1000,
                           ms % 1000);
}

char *prefault_glance(const QDict *info)
{
    GString *text = g_string_new(NULL);
    const QDict *retention = qdict_get_qdict(info, "retention");

    g_string_append_printf(text, "%-10s %s (mode %s%s%s)\n", "status:",
                           glance_word(info, "status"),
                           glance_word(info, "mode"),
                           qdict_haskey(info, "trigger") ? ", trigger " : "",
                           qdict_get_try_str(info, "trigger") ?: "");
    if (qdict_haskey(info, "total")) {
        glance_run(text, info);
    }
    glance_reasons(text, "owed:", info, "owed-for");
    glance_kib(text, "lost:", glance_number(retention, "lost"));
    glance_kib(text, "remapped:", glance_number(retention, "remapped"));
    glance_kib(text, "returned:", glance_number(retention, "returned"));
    glance_reasons(text, "skipped:", info, "skips");
    glance_kib(text, "failed:", glance_number(info, "failed"));
    glance_sentence(text, "left out:", info, "left-out");
    glance_sentence(text, "error:", info, "error");
    return g_string_free(text, false);
}
