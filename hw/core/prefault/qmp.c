/*
 * Prefault: QMP commands
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/qapi-commands-prefault.h"
#include "counts.h"
#include "lifecycle.h"

PrefaultInfo *qmp_query_prefault(Error **errp)
{
    PrefaultInfo *info = prefault_query();

    if (info->status != PREFAULT_STATUS_NONE) {
        info->has_mapped_now = prefault_counts_mapped(&info->mapped_now);
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
