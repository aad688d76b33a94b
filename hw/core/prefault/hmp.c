/*
 * Prefault: `info prefault` in the human monitor
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "qapi/qapi-commands-prefault.h"
#include "qapi/type-helpers.h"
#include "monitor/monitor.h"

#define BAR_WIDTH 40

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
    if (info->has_q_private) {
        g_string_append_printf(buf, "private:   %" PRIu64 " KiB, %" PRIu64
                               " KiB of it mapped\n", info->q_private / KiB,
                               info->private_mapped / KiB);
    }
    if (info->has_mapped_now) {
        g_string_append_printf(buf, "now:       %" PRIu64 " KiB mapped, as "
                               "KVM counts\n", info->mapped_now / KiB);
    }
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
    if (info->has_threads_left_behind) {
        g_string_append_printf(buf, "left behind: %" PRIu32 " threads of runs "
                               "that are over\n", info->threads_left_behind);
    }
    if (info->has_balanced) {
        g_string_append_printf(buf, "balanced:  NUMA balancing works on %"
                               PRIu64 " KiB\n", info->balanced / KiB);
    }
    if (info->has_swapped) {
        g_string_append_printf(buf, "swapped:   %" PRIu64 " KiB in swap\n",
                               info->swapped / KiB);
    }
}

static void hmp_time(GString *buf, const PrefaultInfo *info)
{
    g_string_append_printf(buf, "elapsed:   %" PRIu64 " ms\n",
                           info->elapsed_ms);
    if (info->has_rate) {
        g_string_append_printf(buf, "rate:      %" PRIu64 " MiB/s\n",
                               info->rate / MiB);
    }
    if (info->has_remaining_ms) {
        g_string_append_printf(buf, "time left: %" PRIu64 " ms\n",
                               info->remaining_ms);
    }
}

static void hmp_retention(GString *buf, const PrefaultRetention *figures)
{
    g_string_append_printf(buf, "memslots:  %" PRIu64 " kept, %" PRIu64
                           " dropped in changes of the memory map\n",
                           figures->slots_kept, figures->slots_dropped);
    g_string_append_printf(buf, "refilled:  %" PRIu64 " KiB, pending: %" PRIu64
                           " KiB\n", figures->refilled / KiB,
                           figures->refill_pending / KiB);
    if (figures->lost) {
        g_string_append_printf(buf, "lost:      %" PRIu64 " KiB taken by the "
                               "host, %" PRIu64 " KiB mapped again\n",
                               figures->lost / KiB, figures->remapped / KiB);
    }
    if (figures->returned) {
        g_string_append_printf(buf, "returned:  %" PRIu64 " KiB given back by "
                               "the guest\n", figures->returned / KiB);
    }
    if (figures->locked) {
        g_string_append_printf(buf, "locked:    %" PRIu64 " KiB pinned\n",
                               figures->locked / KiB);
    }
    if (figures->slot_zap_all) {
        g_string_append_printf(buf, "quirk:     KVM drops all mappings when a "
                               "memslot is deleted\n");
    }
}

static void hmp_owed(GString *buf, const PrefaultOwedList *owed)
{
    for (; owed; owed = owed->next) {
        g_string_append_printf(buf, "owed:      %" PRIu64 " KiB (%s)\n",
                               owed->value->bytes / KiB,
                               PrefaultOwedReason_str(owed->value->reason));
    }
}

static void hmp_exits(GString *buf, const PrefaultExitList *exits)
{
    for (; exits; exits = exits->next) {
        g_string_append_printf(buf, "exits:     %s\n",
                               PrefaultExit_str(exits->value));
    }
}

static void hmp_conversions(GString *buf, const PrefaultConversions *figures)
{
    g_string_append_printf(buf, "converted: to private %" PRIu64 " times, %"
                           PRIu64 " KiB; to shared %" PRIu64 " times, %" PRIu64
                           " KiB\n", figures->to_private,
                           figures->to_private_bytes / KiB, figures->to_shared,
                           figures->to_shared_bytes / KiB);
    g_string_append_printf(buf, "           explicit %" PRIu64 ", implicit %"
                           PRIu64 ", failed %" PRIu64 "; prefaulted %" PRIu64
                           " KiB, pending %" PRIu64 " KiB\n",
                           figures->q_explicit, figures->implicit,
                           figures->failures, figures->prefaulted / KiB,
                           figures->prefault_pending / KiB);
    if (figures->kept || figures->poisoned) {
        g_string_append_printf(buf, "           not given back: %" PRIu64
                               " KiB, poisoned pages: %" PRIu64 "\n",
                               figures->kept / KiB, figures->poisoned);
    }
}

static HumanReadableText *hmp_info_prefault(Error **errp)
{
    g_autoptr(PrefaultInfo) info = qmp_query_prefault(errp);
    g_autoptr(GString) buf = g_string_new(NULL);

    g_string_append_printf(buf, "prefault:  %s (mode %s)\n",
                           PrefaultStatus_str(info->status),
                           PrefaultMode_str(info->mode));
    if (info->status != PREFAULT_STATUS_NONE) {
        hmp_figures(buf, info);
        hmp_time(buf, info);
    }
    if (info->retention) {
        hmp_retention(buf, info->retention);
    }
    hmp_exits(buf, info->exits);
    if (info->has_owed_for) {
        hmp_owed(buf, info->owed_for);
    }
    if (info->conversions) {
        hmp_conversions(buf, info->conversions);
    }
    if (info->left_out) {
        g_string_append_printf(buf, "left out:  %s\n", info->left_out);
    }
    if (info->error) {
        g_string_append_printf(buf, "error:     %s\n", info->error);
    }
    return human_readable_text_from_str(buf);
}

static void hmp_register(void)
{
    monitor_register_hmp_info_hrt("prefault", hmp_info_prefault);
}
type_init(hmp_register)
