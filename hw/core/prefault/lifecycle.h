/*
 * Prefault: the life cycle
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_LIFECYCLE_H
#define HW_CORE_PREFAULT_LIFECYCLE_H

#include "hw/core/prefault-backend.h"
#include "run.h"

/**
 * PrefaultConfig: the user's choice, and the limits of this host
 * @mode: any but off
 * @backend: the backend that maps; NULL to populate only
 * @in_use: the accelerator that is in use, or NULL; perhaps it cannot map
 * @cannot_map: why @backend is NULL, or NULL
 * @exempt: why prefault does nothing at all, or NULL
 */
typedef struct PrefaultConfig {
    PrefaultMode mode;
    const PrefaultBackend *backend;
    const PrefaultBackend *in_use;
    const char *cannot_map;
    const char *exempt;
} PrefaultConfig;

/**
 * prefault_lifecycle_set_up: begin the life cycle
 * @config: its strings and its backend live as long as QEMU
 *
 * Context: BQL, once, when the machine is complete.
 */
void prefault_lifecycle_set_up(PrefaultConfig config);

/**
 * prefault_start: begin a run without a start that waits for it
 * @errp: set if that cannot be done now
 *
 * Context: BQL, main thread.
 *
 * Returns: false if that cannot be done now.
 */
bool prefault_start(Error **errp);

/**
 * prefault_cancel: end a run at the user's request
 * @errp: set if nothing runs
 *
 * Waits for no worker.  With mode auto a guest that waited goes
 * on; with mode on it stays stopped, or is stopped if it was being reset.
 *
 * Context: BQL, main thread.
 *
 * Returns: false if nothing runs.
 */
bool prefault_cancel(Error **errp);

/**
 * PrefaultView: the life cycle at some moment
 * @config: as it was set up
 * @status: of the run under way, or of the last one
 * @trigger: what that was started for; undefined if there was none
 * @figures: its figures; zeros before prefault_lifecycle_set_up()
 * @error: why it did not complete, or what it left out; lives until the next
 *         one begins; or NULL
 */
typedef struct PrefaultView {
    PrefaultConfig config;
    PrefaultStatus status;
    PrefaultTrigger trigger;
    PrefaultFigures figures;
    const char *error;
} PrefaultView;

/**
 * prefault_lifecycle_view: look at the life cycle
 *
 * Context: BQL.
 *
 * Returns: how it is now.
 */
PrefaultView prefault_lifecycle_view(void);

#endif /* HW_CORE_PREFAULT_LIFECYCLE_H */
