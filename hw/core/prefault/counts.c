/*
 * How much the guest's page tables map, as KVM counts it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "qapi/qapi-commands-stats.h"
#include "counts.h"

/* KVM's statistics of mapped pages, and how much memory one of each maps */
static const struct {
    const char *name;
    uint64_t bytes;
} counts_pages[] = {
    { "pages_4k", 4 * KiB },
    { "pages_2m", 2 * MiB },
    { "pages_1g", 1 * GiB },
};

/* Add it to *@bytes; returns false if it is another statistic */
static bool counts_add(const Stats *stat, uint64_t *bytes)
{
    for (int i = 0; i < ARRAY_SIZE(counts_pages); i++) {
        if (g_str_equal(stat->name, counts_pages[i].name) &&
            stat->value->type == QTYPE_QNUM) {
            *bytes += stat->value->u.scalar * counts_pages[i].bytes;
            return true;
        }
    }
    return false;
}

/* Ask for these statistics alone: KVM has dozens, and queries are frequent */
static StatsFilter *counts_pages_filter(void)
{
    StatsFilter *filter = g_new0(StatsFilter, 1);
    StatsRequest *request = g_new0(StatsRequest, 1);

    request->provider = STATS_PROVIDER_KVM;
    request->has_names = true;
    for (int i = 0; i < ARRAY_SIZE(counts_pages); i++) {
        QAPI_LIST_PREPEND(request->names, g_strdup(counts_pages[i].name));
    }
    filter->target = STATS_TARGET_VM;
    filter->has_providers = true;
    QAPI_LIST_PREPEND(filter->providers, request);
    return filter;
}

bool prefault_counts_mapped(uint64_t *bytes)
{
    g_autoptr(StatsFilter) filter = counts_pages_filter();
    StatsResultList *results, *r;
    StatsList *s;
    bool told = false;

    assert(bql_locked());
    /* An error is dropped: a kernel may have no such statistics */
    *bytes = 0;
    results = qmp_query_stats(filter, NULL);
    for (r = results; r; r = r->next) {
        for (s = r->value->stats; s; s = s->next) {
            told |= counts_add(s->value, bytes);
        }
    }
    qapi_free_StatsResultList(results);
    return told;
}
