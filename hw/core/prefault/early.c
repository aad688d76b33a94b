/*
 * Memory is populated before a device pins it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "hw/core/prefault.h"
#include "hw/core/prefault-backend.h"
#include "migration/cpr.h"
#include "hw/core/prefault-compat.h"
#include "options.h"
#include "run.h"
#include "trace.h"

/* Whoever began it waits for it */
static void early_done(void)
{
}

/* VFIO pins: that need not be done twice */
static PrefaultKeep early_keep(void)
{
    PrefaultKeep keep = prefault_options_keep();

    return keep == PREFAULT_KEEP_LOCK ? PREFAULT_KEEP_ON : keep;
}

bool prefault_before_pinning(const AddressSpace *as, Error **errp)
{
    g_autoptr(PrefaultRun) run = NULL;
    PrefaultMode mode = prefault_options_mode(NULL);
    PrefaultFigures figures;
    const char *error;

    assert(bql_locked());
    if (mode == PREFAULT_MODE_OFF || as != &address_space_memory ||
        cpr_is_incoming()) {
        return true;
    }
    run = prefault_run_new(NULL, early_done);
    prefault_run_begin(run, NULL, (PrefaultRunWish) {
        .threads = prefault_options_threads(),
        .all = mode == PREFAULT_MODE_ON,
        .check = prefault_options_check(),
        .keep = early_keep(),
    }, false);
    prefault_run_join(run);
    figures = prefault_run_figures(run);
    trace_prefault_before_pinning(figures.progress.populated, figures.threads,
                                  figures.elapsed_ns);
    error = prefault_run_error(run);
    if (error && mode == PREFAULT_MODE_ON) {
        error_setg(errp, "prefault=on: %s", error);
        return false;
    }
    return true;
}
