/*
 * Prefault: QMP commands
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qapi/qapi-commands-prefault.h"
#include "qapi/qapi-commands-stats.h"
#include "lifecycle.h"

/* KVM's statistics of mapped pages, and how much memory one of each maps */
static const struct {
    const char *name;
    uint64_t bytes;
} qmp_mapped_pages[] = {
    { "pages_4k", 4 * KiB },
    { "pages_2m", 2 * MiB },
    { "pages_1g", 1 * GiB },
};

static uint64_t qmp_bytes_of_stat(const Stats *stat)
{
    for (int i = 0; i < ARRAY_SIZE(qmp_mapped_pages); i++) {
        if (g_str_equal(stat->name, qmp_mapped_pages[i].name) &&
            stat->value->type == QTYPE_QNUM) {
            return stat->value->u.scalar * qmp_mapped_pages[i].bytes;
        }
    }
    return 0;
}

/* Ask for these statistics alone: KVM has dozens, and queries are frequent */
static StatsFilter *qmp_mapped_pages_filter(void)
{
    StatsFilter *filter = g_new0(StatsFilter, 1);
    StatsRequest *request = g_new0(StatsRequest, 1);

    request->provider = STATS_PROVIDER_KVM;
    request->has_names = true;
    for (int i = 0; i < ARRAY_SIZE(qmp_mapped_pages); i++) {
        QAPI_LIST_PREPEND(request->names, g_strdup(qmp_mapped_pages[i].name));
    }
    filter->target = STATS_TARGET_VM;
    filter->has_providers = true;
    QAPI_LIST_PREPEND(filter->providers, request);
    return filter;
}

/*
 * Ask KVM how much the guest's page tables map now.  An error is dropped: a
 * kernel may have no such statistics, and the member is optional.
 */
static void qmp_add_mapped_now(PrefaultInfo *info)
{
    g_autoptr(StatsFilter) filter = qmp_mapped_pages_filter();
    StatsResultList *results, *r;
    StatsList *s;

    results = qmp_query_stats(filter, NULL);
    for (r = results; r; r = r->next) {
        for (s = r->value->stats; s; s = s->next) {
            info->mapped_now += qmp_bytes_of_stat(s->value);
            info->has_mapped_now |= qmp_bytes_of_stat(s->value) > 0;
        }
    }
    qapi_free_StatsResultList(results);
}

PrefaultInfo *qmp_query_prefault(Error **errp)
{
    PrefaultInfo *info = prefault_query();

    if (info->status != PREFAULT_STATUS_NONE) {
        qmp_add_mapped_now(info);
    }
    return info;
}

void qmp_prefault_start(Error **errp)
{
    prefault_start(errp);
}

void qmp_prefault_cancel(Error **errp)
{
    prefault_cancel(errp);
}
