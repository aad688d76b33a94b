/*
 * Prefault: QMP commands
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-prefault.h"
#include "counts.h"
#include "lifecycle.h"
#include "options.h"
#include "pins.h"

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

void qmp_prefault_unlock(Error **errp)
{
    g_autoptr(PrefaultInfo) info = prefault_query();

    if (!prefault_is_wanted() ||
        prefault_options_keep() != PREFAULT_KEEP_LOCK) {
        error_setg(errp, "Nothing is locked: that takes prefault-keep=lock");
    } else if (info->status == PREFAULT_STATUS_ACTIVE) {
        error_setg(errp, "A prefault run is under way: wait for its end, or "
                   "cancel it");
    } else {
        prefault_options_set_unlocked(true);
        prefault_pins_end();
    }
}
