/*
 * What the user asked of prefault
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_OPTIONS_H
#define HW_CORE_PREFAULT_OPTIONS_H

#include "qapi/qapi-types-common.h"

/**
 * prefault_options_mode: the mode that was asked for
 * @errp: set if the machine and the accelerator were told different modes; NULL
 *        if that was ruled out before
 *
 * Context: BQL.
 *
 * Returns: the mode, off if none was given.
 */
OnOffAuto prefault_options_mode(Error **errp);

/**
 * prefault_options_threads: the number of workers that was asked for
 *
 * Context: BQL.
 *
 * Returns: the number, 0 if none was given.
 */
unsigned prefault_options_threads(void);

#endif /* HW_CORE_PREFAULT_OPTIONS_H */
