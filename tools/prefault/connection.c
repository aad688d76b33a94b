/*
 * A client's connection to a QMP monitor
 *
 * QEMU's own parser finds where a message ends, so that a monitor with
 * pretty=on is no other than one without.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <poll.h>
#include <sys/un.h>
#include "qapi/error.h"
#include "qemu/sockets.h"
#include "qemu/units.h"
#include "qobject/json-parser.h"
#include "connection.h"

#define GREETING_US (5 * G_USEC_PER_SEC)
#define ANSWER_US (30 * G_USEC_PER_SEC)
#define RETRY_US (50 * 1000)    /* while a monitor's queue of clients is full */
#define MESSAGE_BYTES MiB       /* query-prefault's answer takes 2 KiB */

#define HOW_TO_HAVE_ONE \
    "start QEMU with -qmp unix:PATH,server=on,wait=off"

struct PrefaultConnection {
    char *path;
    const char *event;
    int64_t deadline;
    int fd;
    JSONMessageParser parser;
    size_t unparsed;            /* bytes since the last message */
    QDict *message;             /* no event, and not taken yet, or NULL */
    bool event_came;            /* since the last answer */
    bool nonsense;              /* what came is no QMP */
};

static void connection_emit(void *opaque, QObject *json, Error *err)
{
    PrefaultConnection *c = opaque;
    QDict *message = qobject_to(QDict, json);
    const char *event;

    c->unparsed = 0;
    if (!message) {
        c->nonsense = true;
        error_free(err);
        qobject_unref(json);
        return;
    }
    event = qdict_get_try_str(message, "event");
    if (event) {
        c->event_came |= g_str_equal(event, c->event);
    } else if (!c->message) {
        c->event_came = false;
        c->message = message;
        return;
    }
    qobject_unref(message);
}

static PrefaultExit connection_gone(PrefaultConnection *c, Error **errp)
{
    error_setg(errp, "%s: QEMU has closed the connection: it has ended, and "
               "its log says why", c->path);
    return PREFAULT_EXIT_NO_ANSWER;
}

/* Take what there is, without waiting */
static PrefaultExit connection_receive(PrefaultConnection *c, Error **errp)
{
    char buffer[4096];
    ssize_t got = RETRY_ON_EINTR(recv(c->fd, buffer, sizeof(buffer), 0));

    if (got < 0 && errno == EAGAIN) {
        return PREFAULT_EXIT_COMPLETED;
    }
    if (got <= 0) {
        return connection_gone(c, errp);
    }
    c->unparsed += got;
    json_message_parser_feed(&c->parser, buffer, got);
    if (c->nonsense || c->unparsed > MESSAGE_BYTES) {
        error_setg(errp, "%s: what answers there does not speak QMP: name the "
                   "socket of QEMU's -qmp, not of -monitor, a guest agent or "
                   "another program", c->path);
        return PREFAULT_EXIT_NO_ANSWER;
    }
    return PREFAULT_EXIT_COMPLETED;
}

/* Wait for more until a moment; the caller looks at what came, and when */
static PrefaultExit connection_listen(PrefaultConnection *c, int64_t until,
                                      Error **errp)
{
    struct pollfd pfd = { .fd = c->fd, .events = POLLIN };
    int64_t left = until - g_get_monotonic_time();
    /* Rounded up, or the last millisecond would be spent in a busy loop */
    int ms = left <= 0 ? 0 : MIN(left / 1000 + 1, INT_MAX);

    if (poll(&pfd, 1, ms) <= 0) {
        return PREFAULT_EXIT_COMPLETED;     /* a signal: look again */
    }
    return connection_receive(c, errp);
}

static PrefaultExit connection_late(PrefaultConnection *c, Error **errp)
{
    error_setg(errp, "%s: QEMU has not answered before the time of --timeout "
               "was over: give it more", c->path);
    return PREFAULT_EXIT_NOT_ENDED;
}

/*
 * Wait for a message until @end.  Returns PREFAULT_EXIT_COMPLETED without one
 * if that is before the deadline, and none came.
 */
static PrefaultExit connection_next(PrefaultConnection *c, int64_t end,
                                    QDict **message, Error **errp)
{
    int64_t until = MIN(end, c->deadline);

    *message = NULL;
    while (!c->message) {
        PrefaultExit status;

        if (g_get_monotonic_time() >= until) {
            return until == end ? PREFAULT_EXIT_COMPLETED
                                : connection_late(c, errp);
        }
        status = connection_listen(c, until, errp);
        if (status) {
            return status;
        }
    }
    *message = g_steal_pointer(&c->message);
    return PREFAULT_EXIT_COMPLETED;
}

/* A command is so short that it always fits into an idle socket */
static PrefaultExit connection_send(PrefaultConnection *c, const char *command,
                                    Error **errp)
{
    g_autofree char *text = g_strdup_printf("{\"execute\": \"%s\"}\r\n",
                                            command);
    size_t length = strlen(text);

    if (RETRY_ON_EINTR(send(c->fd, text, length, MSG_NOSIGNAL)) !=
        (ssize_t)length) {
        return connection_gone(c, errp);
    }
    return PREFAULT_EXIT_COMPLETED;
}

static PrefaultExit connection_refused(PrefaultConnection *c, int error,
                                       Error **errp)
{
    const char *remedy;

    switch (error) {
    case EACCES:
        remedy = "be root, or the user that QEMU runs as";
        break;
    case ENAMETOOLONG:
        remedy = "107 characters are the most: go to its folder first, or make "
                 "a link to it";
        break;
    default:
        remedy = "is QEMU running?  For a monitor there " HOW_TO_HAVE_ONE;
    }
    error_setg(errp, "%s: %s: %s", c->path, strerror(error), remedy);
    return PREFAULT_EXIT_NO_ANSWER;
}

static PrefaultExit connection_not_greeted(PrefaultConnection *c, Error **errp)
{
    error_setg(errp, "%s: nobody greets within 5 s: another client has this "
               "monitor (libvirt its own), or QEMU is still starting; for "
               "another monitor " HOW_TO_HAVE_ONE, c->path);
    return PREFAULT_EXIT_NO_ANSWER;
}

/*
 * While a client has the monitor others wait in the kernel's queue.  When that
 * is full connecting fails with EAGAIN, and would block otherwise.
 */
static PrefaultExit connection_dial(PrefaultConnection *c, int64_t end,
                                    Error **errp)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (strlen(c->path) >= sizeof(address.sun_path)) {
        return connection_refused(c, ENAMETOOLONG, errp);
    }
    g_strlcpy(address.sun_path, c->path, sizeof(address.sun_path));
    c->fd = qemu_socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) {
        return connection_refused(c, errno, errp);
    }
    while (connect(c->fd, (struct sockaddr *)&address, sizeof(address))) {
        if (errno != EAGAIN && errno != EINTR) {
            return connection_refused(c, errno, errp);
        }
        if (g_get_monotonic_time() >= MIN(end, c->deadline)) {
            return end <= c->deadline ? connection_not_greeted(c, errp)
                                      : connection_late(c, errp);
        }
        g_usleep(RETRY_US);
    }
    return PREFAULT_EXIT_COMPLETED;
}

static PrefaultExit connection_be_greeted(PrefaultConnection *c, Error **errp)
{
    int64_t end = g_get_monotonic_time() + GREETING_US;
    g_autoptr(QDict) greeting = NULL;
    PrefaultExit status = connection_dial(c, end, errp);

    if (!status) {
        status = connection_next(c, end, &greeting, errp);
    }
    if (!status && !greeting) {
        status = connection_not_greeted(c, errp);
    }
    if (!status && !qdict_haskey(greeting, "QMP")) {
        error_setg(errp, "%s: what answers there greets with no QMP: name the "
                   "socket of QEMU's -qmp", c->path);
        status = PREFAULT_EXIT_NO_ANSWER;
    }
    return status;
}

PrefaultExit prefault_connection_open(const char *path, const char *event,
                                      int64_t deadline,
                                      PrefaultConnection **connection,
                                      Error **errp)
{
    g_autoptr(PrefaultConnection) c = g_new0(PrefaultConnection, 1);
    g_autoptr(QDict) nothing = NULL;
    PrefaultExit status;

    c->path = g_strdup(path);
    c->event = event;
    c->deadline = deadline;
    c->fd = -1;
    json_message_parser_init(&c->parser, connection_emit, c, NULL);
    status = connection_be_greeted(c, errp);
    if (!status) {
        status = prefault_connection_ask(c, "qmp_capabilities", &nothing, errp);
    }
    *connection = status ? NULL : g_steal_pointer(&c);
    return status;
}

/* What an answer that is none says */
static PrefaultExit connection_refusal(PrefaultConnection *c,
                                       const char *command,
                                       const QDict *message, Error **errp)
{
    QDict *error = qdict_get_qdict(message, "error");
    const char *class = error ? qdict_get_try_str(error, "class") : NULL;
    const char *desc = error ? qdict_get_try_str(error, "desc") : NULL;

    if (g_strcmp0(class, "CommandNotFound") == 0) {
        error_setg(errp, "%s: this QEMU has no %s: start the guest with a QEMU "
                   "that is built with prefault", c->path, command);
        return PREFAULT_EXIT_NOT_THERE;
    }
    error_setg(errp, "%s: QEMU does not answer %s, but says: %s: its log may "
               "say more", c->path, command, desc ?: "nothing that is known");
    return PREFAULT_EXIT_NO_ANSWER;
}

PrefaultExit prefault_connection_ask(PrefaultConnection *c,
                                     const char *command, QDict **answer,
                                     Error **errp)
{
    g_autoptr(QDict) message = NULL;
    PrefaultExit status = connection_send(c, command, errp);

    *answer = NULL;
    if (!status) {
        status = connection_next(c, g_get_monotonic_time() + ANSWER_US,
                                 &message, errp);
    }
    if (status) {
        return status;
    }
    if (!message) {
        error_setg(errp, "%s: QEMU does not answer %s within 30 s: look "
                   "whether it is stopped, or hangs", c->path, command);
        return PREFAULT_EXIT_NO_ANSWER;
    }
    *answer = qobject_ref(qobject_to(QDict, qdict_get(message, "return")));
    return *answer ? PREFAULT_EXIT_COMPLETED
                   : connection_refusal(c, command, message, errp);
}

PrefaultExit prefault_connection_wait(PrefaultConnection *c, int64_t until,
                                      Error **errp)
{
    PrefaultExit status = PREFAULT_EXIT_COMPLETED;

    while (!status && !c->event_came && g_get_monotonic_time() < until) {
        status = connection_listen(c, until, errp);
    }
    return status;
}

void prefault_connection_close(PrefaultConnection *c)
{
    if (!c) {
        return;
    }
    if (c->fd >= 0) {
        close(c->fd);
    }
    json_message_parser_destroy(&c->parser);
    qobject_unref(c->message);
    g_free(c->path);
    g_free(c);
}
