/*
 * A client's connection to a QMP monitor
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TOOLS_PREFAULT_CONNECTION_H
#define TOOLS_PREFAULT_CONNECTION_H

#include "qobject/qdict.h"
#include "exits.h"

/**
 * PrefaultConnection: one client's connection
 *
 * It is used by one thread, sends nothing by itself, and has one command under
 * way at most.  Whatever the other side sends, it takes 1 MiB for a message at
 * most and no wait is endless unless the caller wants it.  Moments are in
 * microseconds of g_get_monotonic_time().
 */
typedef struct PrefaultConnection PrefaultConnection;

/**
 * prefault_connection_open: connect to a monitor, and begin to speak QMP
 * @path: the monitor's UNIX socket
 * @event: the name of the event that prefault_connection_wait() waits for
 * @deadline: when the user's patience ends, INT64_MAX if it does not; holds for
 *            prefault_connection_ask(), too
 * @c: set to the connection; NULL on error
 * @errp: set on error
 *
 * A monitor has one client at a time: while another has it, connecting
 * succeeds and nobody greets.  So the greeting has to come within 5 s.
 *
 * Returns: %PREFAULT_EXIT_COMPLETED; %PREFAULT_EXIT_NO_ANSWER;
 *          %PREFAULT_EXIT_NOT_ENDED at the deadline
 */
PrefaultExit prefault_connection_open(const char *path, const char *event,
                                      int64_t deadline, PrefaultConnection **c,
                                      Error **errp);

/**
 * prefault_connection_ask: run a command
 * @c: the connection
 * @command: a command that takes no arguments
 * @answer: set to what it returned, which the caller unrefs; NULL on error
 * @errp: set on error
 *
 * An answer has to come within 30 s: a QEMU that is busy takes some.
 *
 * Returns: %PREFAULT_EXIT_COMPLETED; %PREFAULT_EXIT_NOT_THERE if QEMU does not
 *          know the command; %PREFAULT_EXIT_NO_ANSWER; %PREFAULT_EXIT_NOT_ENDED
 *          at the deadline
 */
PrefaultExit prefault_connection_ask(PrefaultConnection *c,
                                     const char *command, QDict **answer,
                                     Error **errp);

/**
 * prefault_connection_wait: wait for the event, or for a moment
 * @c: the connection
 * @until: the moment
 * @errp: set on error
 *
 * An event counts that came after the last answer: one from before is known to
 * who asked.  Other events are skipped.
 *
 * Returns: %PREFAULT_EXIT_COMPLETED when either has come;
 *          %PREFAULT_EXIT_NO_ANSWER if QEMU ends
 */
PrefaultExit prefault_connection_wait(PrefaultConnection *c, int64_t until,
                                      Error **errp);

/**
 * prefault_connection_close: let go of the monitor
 * @c: the connection, or NULL
 */
void prefault_connection_close(PrefaultConnection *c);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(PrefaultConnection, prefault_connection_close)

#endif
