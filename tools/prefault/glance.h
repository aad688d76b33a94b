/*
 * What query-prefault answers, for people
 *
 * Members that are missing, or of another type than they should be, are taken
 * for 0, or left out.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_PREFAULT_GLANCE_H
#define TOOLS_PREFAULT_GLANCE_H

#include "qobject/qdict.h"

/**
 * prefault_glance_progress: how far a run is, in less than a terminal's line
 * @info: of query-prefault, while a run is active or none was started
 * @bar: whether a bar comes first
 *
 * Returns: the text, without a line's end; to be freed by the caller
 */
char *prefault_glance_progress(const QDict *info, bool bar);

/**
 * prefault_glance: all that matters of a run; what is 0 is left out
 * @info: of query-prefault
 *
 * Returns: a line for each; to be freed by the caller
 */
char *prefault_glance(const QDict *info);

#endif
