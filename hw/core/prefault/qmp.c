/*
 * Prefault: QMP commands and their human monitor counterpart
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "qapi/qapi-commands-prefault.h"
#include "qapi/type-helpers.h"
#include "monitor/monitor.h"
#include "hw/core/prefault.h"

#define BAR_WIDTH 40

PrefaultInfo *qmp_query_prefault(Error **errp)
{
    return prefault_query();
}

void qmp_prefault_cancel(Error **errp)
{
    prefault_cancel(errp);
}

static void hmp_bar(GString *buf, const PrefaultInfo *info)
{
    /* Mapping comes last, but some hosts cannot map */
    uint64_t done = (info->mapped ?: info->populated) + info->failed;
    double part = info->total ? (double)done / info->total : 1;
    int filled = part * BAR_WIDTH;

    g_string_append_c(buf, '[');
    for (int i = 0; i < BAR_WIDTH; i++) {
        g_string_append_c(buf, i < filled ? '#' : '.');
    }
    g_string_append_printf(buf, "] %d%%\n", (int)(part * 100));
}

static void hmp_figures(GString *buf, const PrefaultInfo *info)
{
    PrefaultSkipList *skip;

    hmp_bar(buf, info);
    g_string_append_printf(buf, "total:     %" PRIu64 " KiB\n",
                           info->total / KiB);
    g_string_append_printf(buf, "populated: %" PRIu64 " KiB\n",
                           info->populated / KiB);
    g_string_append_printf(buf, "mapped:    %" PRIu64 " KiB\n",
                           info->mapped / KiB);
    if (info->failed) {
        g_string_append_printf(buf, "failed:    %" PRIu64 " KiB\n",
                               info->failed / KiB);
    }
    for (skip = info->skips; skip; skip = skip->next) {
        g_string_append_printf(buf, "skipped:   %" PRIu64 " KiB (%s)\n",
                               skip->value->bytes / KiB,
                               PrefaultSkipReason_str(skip->value->reason));
    }
    g_string_append_printf(buf, "threads:   %" PRIu32 "\n", info->threads);
    g_string_append_printf(buf, "elapsed:   %" PRIu64 " ms\n",
                           info->elapsed_ms);
}

static HumanReadableText *hmp_info_prefault(Error **errp)
{
    g_autoptr(PrefaultInfo) info = prefault_query();
    g_autoptr(GString) buf = g_string_new(NULL);

    g_string_append_printf(buf, "prefault:  %s (mode %s)\n",
                           PrefaultStatus_str(info->status),
                           OnOffAuto_str(info->mode));
    if (info->status != PREFAULT_STATUS_NONE) {
        hmp_figures(buf, info);
    }
    if (info->left_out) {
        g_string_append_printf(buf, "left out:  %s\n", info->left_out);
    }
    if (info->error) {
        g_string_append_printf(buf, "error:     %s\n", info->error);
    }
    return human_readable_text_from_str(buf);
}

static void prefault_register_hmp(void)
{
    monitor_register_hmp_info_hrt("prefault", hmp_info_prefault);
}
type_init(prefault_register_hmp)
