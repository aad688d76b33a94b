/*
 * How qemu-prefault ends
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_PREFAULT_EXITS_H
#define TOOLS_PREFAULT_EXITS_H

/**
 * PrefaultExit: exit statuses, which scripts know: docs/usage.md has them
 *
 * Functions return them as well.  Each but the first comes with an #Error,
 * one sentence that names the socket and says what would work.
 *
 * @PREFAULT_EXIT_COMPLETED: the run has completed; of a function: go on
 * @PREFAULT_EXIT_FAILED: the run has failed
 * @PREFAULT_EXIT_USAGE: the command line is wrong
 * @PREFAULT_EXIT_CANCELLED: the run was cancelled
 * @PREFAULT_EXIT_NOT_THERE: there is no run, and waiting brings none
 * @PREFAULT_EXIT_NO_ANSWER: nobody answers, or no QEMU, or it has ended
 * @PREFAULT_EXIT_NOT_ENDED: the run has not ended, or not begun, in time
 */
typedef enum PrefaultExit {
    PREFAULT_EXIT_COMPLETED = 0,
    PREFAULT_EXIT_FAILED = 1,
    PREFAULT_EXIT_USAGE = 2,
    PREFAULT_EXIT_CANCELLED = 3,
    PREFAULT_EXIT_NOT_THERE = 4,
    PREFAULT_EXIT_NO_ANSWER = 5,
    PREFAULT_EXIT_NOT_ENDED = 6,
} PrefaultExit;

#endif
