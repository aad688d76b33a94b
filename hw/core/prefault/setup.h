/*
 * What prefault needs, looked at once the machine is complete
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_SETUP_H
#define HW_CORE_PREFAULT_SETUP_H

#include "hw/core/prefault.h"

/**
 * PrefaultSetup: what was asked for, and what this host can do of it
 * @mode: on or auto
 * @backend: who maps; NULL to populate only
 * @accel: the accelerator that is in use, or NULL; perhaps it cannot map
 * @cannot_map: why @backend is NULL, or NULL
 * @exempt: why prefault does nothing at all, or NULL
 */
typedef struct PrefaultSetup {
    OnOffAuto mode;
    const PrefaultBackend *backend;
    const PrefaultBackend *accel;
    const char *cannot_map;
    const char *exempt;
} PrefaultSetup;

/**
 * prefault_set_up: begin the life cycle
 * @setup: its strings and its backend live as long as QEMU
 *
 * Context: BQL, once, when the machine is complete.
 */
void prefault_set_up(PrefaultSetup setup);

#endif /* HW_CORE_PREFAULT_SETUP_H */
