/*
 * qemu-prefault: follow a guest's prefault run over QMP
 *
 * It looks twice a second, and once more when PREFAULT_COMPLETED comes.  It
 * changes nothing: whoever interrupts it leaves the guest's run alone.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <getopt.h>
#include "qapi/error.h"
#include "qemu-version.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "connection.h"
#include "glance.h"

#define LOOK_US (G_USEC_PER_SEC / 2)
#define LINE_US G_USEC_PER_SEC  /* where there is no terminal */
#define TIMEOUT_MOST_S (10 * 365 * 86400)

#define CLEAR_LINE "\r\033[K"

typedef struct Options {
    const char *socket;
    bool quiet;                 /* print nothing but an error */
    bool once;                  /* look once, and do not wait */
    uint64_t timeout_s;         /* 0 if there is none */
} Options;

/* What was printed of how far it is */
typedef struct Display {
    bool terminal;
    int64_t next;               /* no line before this moment */
    char *last;
} Display;

static const char prefault_help[] =
"usage: qemu-prefault [OPTION...] SOCKET\n"
"\n"
"Shows how far QEMU is with the prefault run of its guest, until the run has\n"
"ended.  SOCKET is a QMP monitor that no other client uses:\n"
"    qemu-system-x86_64 -accel kvm,prefault=on\n"
"                       -qmp unix:SOCKET,server=on,wait=off ...\n"
"\n"
"  --wait             print nothing but an error: the exit status tells\n"
"  --status           look once, and do not wait\n"
"  --timeout SECONDS  wait no longer than that\n"
"  -h, --help         print this\n"
"  -V, --version      print the version\n"
"\n"
"Exit status: 0 completed, 1 failed, 2 usage, 3 cancelled, 4 there is no run\n"
"and will be none, 5 QEMU does not answer or has ended, 6 not ended in time.\n";

static G_NORETURN void prefault_misused(const char *what, const char *word)
{
    error_report("%s%s: try 'qemu-prefault --help'", what, word);
    exit(PREFAULT_EXIT_USAGE);
}

static uint64_t prefault_seconds(const char *word)
{
    uint64_t seconds;

    if (qemu_strtou64(word, NULL, 10, &seconds) || !seconds ||
        seconds > TIMEOUT_MOST_S) {
        prefault_misused("--timeout takes a number of seconds from 1, not ",
                         word);
    }
    return seconds;
}

static void prefault_option(Options *options, int c, char **argv)
{
    switch (c) {
    case 'w':
        options->quiet = true;
        break;
    case 's':
        options->once = true;
        break;
    case 't':
        options->timeout_s = prefault_seconds(optarg);
        break;
    case 'h':
        fputs(prefault_help, stdout);
        exit(0);
    case 'V':
        printf("qemu-prefault version " QEMU_FULL_VERSION "\n");
        exit(0);
    case ':':
        prefault_misused("a value is missing after ", argv[optind - 1]);
    default:
        prefault_misused("no such option: ", argv[optind - 1]);
    }
}

/* Does not return for --help, --version and what is wrong */
static Options prefault_parse(int argc, char **argv)
{
    static const struct option prefault_options[] = {
        { "wait", no_argument, NULL, 'w' },
        { "status", no_argument, NULL, 's' },
        { "timeout", required_argument, NULL, 't' },
        { "help", no_argument, NULL, 'h' },
        { "version", no_argument, NULL, 'V' },
        { }
    };
    Options options = { };
    int c;

    opterr = 0;
    while ((c = getopt_long(argc, argv, ":hV", prefault_options, NULL)) != -1) {
        prefault_option(&options, c, argv);
    }
    if (optind == argc) {
        prefault_misused("SOCKET is missing", "");
    }
    if (optind + 1 < argc) {
        prefault_misused("one SOCKET is enough, and there is also ",
                         argv[optind + 1]);
    }
    if (options.quiet && options.once) {
        prefault_misused("--wait and --status exclude each other", "");
    }
    options.socket = argv[optind];
    return options;
}

/* There is no run */
static PrefaultExit prefault_judge_none(const Options *options, bool running,
                                        const QDict *info, Error **errp)
{
    const char *left_out = qdict_get_try_str(info, "left-out");

    if (g_strcmp0(qdict_get_try_str(info, "mode"), "off") == 0) {
        error_setg(errp, "%s: prefault is off: start QEMU with -accel "
                   "kvm,prefault=on", options->socket);
        return PREFAULT_EXIT_NOT_THERE;
    }
    if (running) {
        error_setg(errp, "%s: the guest runs, and no prefault run was begun%s"
                   "%s%s: prefault-start begins one where the host can",
                   options->socket, left_out ? " (" : "", left_out ?: "",
                   left_out ? ")" : "");
        return PREFAULT_EXIT_NOT_THERE;
    }
    error_setg(errp, "%s: no prefault run has begun yet: 'cont' or "
               "prefault-start begins it", options->socket);
    return PREFAULT_EXIT_NOT_ENDED;
}

/* What an answer means for the exit status; errp is set unless completed */
static PrefaultExit prefault_judge(const Options *options, bool running,
                                   const QDict *info, Error **errp)
{
    const char *status = qdict_get_try_str(info, "status") ?: "missing";
    const char *why = qdict_get_try_str(info, "error") ?: "no reason given";

    if (g_str_equal(status, "completed")) {
        return PREFAULT_EXIT_COMPLETED;
    }
    if (g_str_equal(status, "none")) {
        return prefault_judge_none(options, running, info, errp);
    }
    if (g_str_equal(status, "active")) {
        error_setg(errp, "%s: the prefault run goes on, and has not ended yet: "
                   "follow it again, or longer", options->socket);
        return PREFAULT_EXIT_NOT_ENDED;
    }
    if (g_str_equal(status, "failed") || g_str_equal(status, "cancelled")) {
        error_setg(errp, "%s: the prefault run %s: %s: 'cont' or "
                   "prefault-start begins another", options->socket,
                   status[0] == 'f' ? "failed" : "was cancelled", why);
        return status[0] == 'f' ? PREFAULT_EXIT_FAILED
                                : PREFAULT_EXIT_CANCELLED;
    }
    error_setg(errp, "%s: QEMU answers query-prefault with a status that is "
               "not known here (%s): use the qemu-prefault of that QEMU",
               options->socket, status);
    return PREFAULT_EXIT_NO_ANSWER;
}

/*
 * Look once; @info is NULL if QEMU has not told.  Once the guest runs its run
 * has begun, if it has any: asked in this order, "running" without a run means
 * that there will be none.
 */
static PrefaultExit prefault_look(const Options *options, PrefaultConnection *c,
                                  QDict **info, Error **errp)
{
    g_autoptr(QDict) state = NULL;
    PrefaultExit status;

    qobject_unref(*info);
    *info = NULL;
    status = prefault_connection_ask(c, "query-status", &state, errp);
    if (!status) {
        status = prefault_connection_ask(c, "query-prefault", info, errp);
    }
    return status ?: prefault_judge(options,
                                    qdict_get_try_bool(state, "running", false),
                                    *info, errp);
}

static void prefault_show(const Options *options, Display *display,
                          const QDict *info)
{
    int64_t now = g_get_monotonic_time();
    g_autofree char *text = NULL;

    if (options->quiet) {
        return;
    }
    text = prefault_glance_progress(info, display->terminal);
    if (display->terminal) {
        printf(CLEAR_LINE "%s", text);
    } else if (now >= display->next && g_strcmp0(text, display->last)) {
        puts(text);
    } else {
        return;
    }
    fflush(stdout);
    display->next = now + LINE_US;
    g_free(display->last);
    display->last = g_steal_pointer(&text);
}

/* Take the bar away, so that what follows has the line for itself */
static void prefault_show_end(Display *display)
{
    if (display->terminal && display->last) {
        fputs(CLEAR_LINE, stdout);
        fflush(stdout);
    }
    g_clear_pointer(&display->last, g_free);
}

/* Look again and again until it is clear how it ends; @info is the last look */
static PrefaultExit prefault_follow(const Options *options,
                                    PrefaultConnection *c, int64_t deadline,
                                    QDict **info, Error **errp)
{
    Display display = { .terminal = isatty(STDOUT_FILENO) };
    PrefaultExit status, waited;

    for (;;) {
        int64_t next = MIN(g_get_monotonic_time() + LOOK_US, deadline);
        Error *why = NULL;

        status = prefault_look(options, c, info, &why);
        if (options->once || status != PREFAULT_EXIT_NOT_ENDED || !*info) {
            error_propagate(errp, why);
            break;
        }
        prefault_show(options, &display, *info);
        waited = prefault_connection_wait(c, next, errp);
        if (!waited && g_get_monotonic_time() >= deadline) {
            error_propagate(errp, why);
            break;
        }
        error_free(why);
        if (waited) {
            status = waited;
            break;
        }
    }
    prefault_show_end(&display);
    return status;
}

/* A run that has ended is told by the glance, or else by the error */
static void prefault_tell(const Options *options, const QDict *info,
                          PrefaultExit status, Error *err)
{
    bool ended = status == PREFAULT_EXIT_COMPLETED ||
                 status == PREFAULT_EXIT_FAILED ||
                 status == PREFAULT_EXIT_CANCELLED;
    bool glance = info && !options->quiet && (ended || options->once);

    if (glance) {
        g_autofree char *text = prefault_glance(info);

        fputs(text, stdout);
        fflush(stdout);
    }
    if (err && !(glance && ended)) {
        error_report_err(err);
    } else {
        error_free(err);
    }
}

int main(int argc, char **argv)
{
    g_autoptr(PrefaultConnection) c = NULL;
    g_autoptr(QDict) info = NULL;
    int64_t deadline = INT64_MAX;
    Error *err = NULL;
    PrefaultExit status;
    Options options;

    error_init(argv[0]);
    options = prefault_parse(argc, argv);
    if (options.timeout_s) {
        deadline = g_get_monotonic_time() +
                   options.timeout_s * G_USEC_PER_SEC;
    }
    status = prefault_connection_open(options.socket, "PREFAULT_COMPLETED",
                                      deadline, &c, &err);
    if (!status) {
        status = prefault_follow(&options, c, deadline, &info, &err);
    }
    prefault_tell(&options, info, status, err);
    return status;
}
