/*
 * Prefault: QMP commands
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-prefault.h"
#include "background.h"
#include "counts.h"
#include "due.h"
#include "hold.h"
#include "lifecycle.h"
#include "options.h"
#include "pins.h"
#include "report.h"
#include "setup.h"

/* What is not done for this guest, and why; NULL if all is */
static char *qmp_left_out(const PrefaultView *view)
{
    const char *exempt = prefault_due_exempt();
    const char *cannot_map = view->config.cannot_map;
    const char *part = view->status == PREFAULT_STATUS_COMPLETED ? view->error
                                                                 : NULL;

    if (exempt) {
        return g_strdup_printf("all: %s", exempt);
    }
    if (cannot_map && part) {
        return g_strdup_printf("mapping: %s; a part: %s", cannot_map, part);
    }
    if (cannot_map) {
        return g_strdup_printf("mapping: %s", cannot_map);
    }
    return part ? g_strdup_printf("a part: %s", part) : NULL;
}

PrefaultInfo *qmp_query_prefault(Error **errp)
{
    PrefaultView view = prefault_lifecycle_view();
    PrefaultInfo *info = g_new0(PrefaultInfo, 1);
    bool begun = view.status != PREFAULT_STATUS_NONE;

    info->mode = prefault_options_mode(NULL);
    info->can_map = prefault_can_map();
    info->status = view.status;
    info->left_out = qmp_left_out(&view);
    if (view.status != PREFAULT_STATUS_COMPLETED) {
        info->error = g_strdup(view.error);
    }
    if (view.config.backend && (begun || prefault_due_exempt())) {
        info->retention = g_new0(PrefaultRetention, 1);
        info->retention->keep = prefault_options_keep();
        view.config.backend->retention(info->retention);
        info->exits = view.config.backend->exits();
        info->has_exits = info->exits;
    }
    if (view.config.in_use) {
        info->conversions = view.config.in_use->conversions();
    }
    prefault_report_owed(prefault_background_ledger(), info);
    if (begun) {
        info->has_trigger = true;
        info->trigger = view.trigger;
        prefault_report_figures(&view.figures, info);
        info->has_holding = view.status == PREFAULT_STATUS_ACTIVE;
        info->holding = prefault_hold_now() != PREFAULT_HOLD_NONE;
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
    if (!prefault_is_wanted() ||
        prefault_options_keep() != PREFAULT_KEEP_LOCK) {
        error_setg(errp, "Nothing is locked: that takes prefault-keep=lock");
    } else if (prefault_lifecycle_view().status == PREFAULT_STATUS_ACTIVE) {
        error_setg(errp, "A prefault run is under way: wait for its end, or "
                   "cancel it");
    } else {
        prefault_options_set_unlocked(true);
        prefault_pins_end();
    }
}
