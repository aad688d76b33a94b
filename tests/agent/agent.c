/*
 * prefault test agent: runs programs next to the KVM under test and puts a
 * time stamp on everything they say.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One static program, on a virtio-serial or serial port inside the test bed's
 * L1 (agent DEVICE) or on a host (agent, on its standard input, which must be a
 * socket).  Times are CLOCK_MONOTONIC of the machine it runs on, in
 * ns, taken right before a write and right after a read.  It guarantees that
 * nothing it started outlives it: when the control channel closes, all
 * children are killed and reaped, and it exits.
 *
 * Requests and reports are lines; words are separated by one space and
 * %-encoded (agent-proto.c); TEXT is the rest of the line as it came.
 *
 *   spawn ID [NAME=VALUE...] -- ARGV...   started ID PID
 *   qmp ID PATH                           connected ID NS (when it is there)
 *   send ID TEXT                          sent ID NS
 *   kill ID SIGNAL
 *   cat TAG PATH                          file TAG ERRNO HEX
 *   write TAG PATH DATA                   file TAG ERRNO
 *   ping TAG                              pong TAG NS
 *
 *   recv ID NS TEXT        a line from the QMP socket
 *   out ID NS TEXT         a line of standard output;  err: standard error
 *   exit ID NS CODE        exit status, or minus the signal; the last of ID
 *   error ID TEXT          a request that could not be done
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "agent-proto.h"

enum { MAX_PROCS = 16, CONNECT_POLL_MS = 2, MAX_FILE = 4 << 20 };
enum { MAX_READ = 64 << 10 };   /* /proc/sys has no memory for much more */
enum { OUT, ERR, QMP, STREAMS };

static const char *const stream_names[STREAMS] = { "out", "err", "recv" };

struct proc {
    char id[32];                /* empty: the entry is free */
    pid_t pid;                  /* 0: reaped */
    int status;
    long long ended;
    char *qmp_path;             /* not NULL: still trying to connect */
    struct stream streams[STREAMS];
};

static struct proc procs[MAX_PROCS];
static struct stream control;

static struct proc *find_proc(const char *id)
{
    for (struct proc *p = procs; p < procs + MAX_PROCS; p++) {
        if (!strcmp(p->id, id)) {
            return p;
        }
    }
    return NULL;
}

static void child_exec(char **words, int out, int err)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    dup2(open("/dev/null", O_RDONLY), 0);
    dup2(out, 1);
    dup2(err, 2);
    for (; *words && strcmp(*words, "--"); words++) {
        putenv(*words);
    }
    if (*words && words[1]) {
        execvp(words[1], words + 1);
    }
    dprintf(2, "agent: cannot run %s: %s\n",
            *words && words[1] ? words[1] : "nothing", strerror(errno));
    _exit(127);
}

static void do_spawn(const char *id, char **words)
{
    struct proc *p = find_proc("");
    int out[2], err[2];

    if (!p || find_proc(id) || strlen(id) >= sizeof(p->id)) {
        report("error %s no free process entry, or the name is taken", id);
        return;
    }
    if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) {
        report("error %s pipe: %s", id, strerror(errno));
        return;
    }
    strcpy(p->id, id);
    p->pid = fork();
    if (!p->pid) {
        child_exec(words, out[1], err[1]);
    }
    close(out[1]);
    close(err[1]);
    stream_open(&p->streams[OUT], out[0]);
    stream_open(&p->streams[ERR], err[0]);
    report("started %s %d", id, (int)p->pid);
}

static void try_connect(struct proc *p)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strncpy(address.sun_path, p->qmp_path, sizeof(address.sun_path) - 1);
    if (connect(fd, (void *)&address, sizeof(address))) {
        close(fd);
        return;
    }
    free(p->qmp_path);
    p->qmp_path = NULL;
    stream_open(&p->streams[QMP], fd);
    report("connected %s %lld", p->id, now_ns());
}

static void do_send(struct proc *p, const char *text)
{
    long long sent = now_ns();
    char *line;
    int size = asprintf(&line, "%s\n", text), failed;

    /* In one piece: after a complete quit, QEMU may close before the newline */
    failed = size < 0 || p->streams[QMP].fd <= 0 ||
             write_all(p->streams[QMP].fd, line, size);
    if (size >= 0) {
        free(line);
    }
    if (failed) {
        report("error %s QMP is not connected", p->id);
        return;
    }
    report("sent %s %lld", p->id, sent);
}

static void do_cat(const char *tag, const char *path)
{
    static unsigned char data[MAX_FILE];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = 0, n = fd < 0 ? -1 : 1;
    int error = 0;

    while (n > 0 && size <= MAX_FILE - MAX_READ) {
        n = read(fd, data + size, MAX_READ);
        size += n > 0 ? n : 0;
    }
    if (n < 0) {
        error = errno;
    }
    if (fd >= 0) {
        close(fd);
    }
    report_hex(tag, error, data, size);
}

static void do_write(const char *tag, const char *path, const char *data)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int error = fd < 0 || write_all(fd, data, strlen(data)) ? errno : 0;

    if (fd >= 0) {
        close(fd);
    }
    report("file %s %d", tag, error);
}

/* Requests that need a process. */
static void proc_request(const char *what, struct proc *p, char *text)
{
    if (!strcmp(what, "send")) {
        do_send(p, text);
    } else if (!strcmp(what, "qmp")) {
        unescape(text);
        free(p->qmp_path);
        p->qmp_path = strdup(text);
    } else if (!strcmp(what, "kill")) {
        if (p->pid > 0) {
            kill(p->pid, atoi(text));
        }
    } else {
        report("error %s unknown request %s", p->id, what);
    }
}

static void request(char *line)
{
    char *what = strsep(&line, " "), *id = line ? strsep(&line, " ") : "";
    char *text = line ? line : "", *words[MAX_WORDS];
    struct proc *p;

    if (!strcmp(what, "ping")) {
        report("pong %s %lld", id, now_ns());
    } else if (!strcmp(what, "spawn")) {
        split_words(text, words);
        do_spawn(id, words);
    } else if (!strcmp(what, "cat")) {
        unescape(text);
        do_cat(id, text);
    } else if (!strcmp(what, "write")) {
        split_words(text, words);
        do_write(id, words[0] ? words[0] : "", words[0] && words[1] ? words[1] : "");
    } else {
        p = *id ? find_proc(id) : NULL;
        if (p) {
            proc_request(what, p, text);
        } else {
            report("error %s no such process", id);
        }
    }
}

static void reap(void)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (struct proc *p = procs; p < procs + MAX_PROCS; p++) {
            if (p->id[0] && p->pid == pid) {
                p->pid = 0;
                p->ended = now_ns();
                p->status = WIFEXITED(status) ? WEXITSTATUS(status)
                                              : -WTERMSIG(status);
            }
        }
    }
}

/* A process is over when it was reaped and all it said was passed on. */
static void report_exit(struct proc *p)
{
    if (!p->id[0] || p->pid || p->streams[OUT].fd || p->streams[ERR].fd ||
        p->streams[QMP].fd) {
        return;
    }
    free(p->qmp_path);
    report("exit %s %lld %d", p->id, p->ended, p->status);
    memset(p, 0, sizeof(*p));
}

static void pass_on(struct proc *p, int s)
{
    struct stream *stream = &p->streams[s];
    long long when;
    char *line;

    stream_fill(stream);
    when = now_ns();
    while ((line = stream_line(stream))) {
        report("%s %s %lld %s", stream_names[s], p->id, when, line);
    }
}

static void watchdog(void)
{
    for (struct proc *p = procs; p < procs + MAX_PROCS; p++) {
        if (p->id[0] && p->pid > 0) {
            kill(-p->pid, SIGKILL);
            kill(p->pid, SIGKILL);
        }
    }
    while (wait(NULL) > 0) {
    }
    exit(0);
}

static void poll_once(void)
{
    struct pollfd fds[1 + MAX_PROCS * STREAMS] = { { control.fd, POLLIN, 0 } };
    int from[1 + MAX_PROCS * STREAMS], n = 1, connecting = 0;
    char *line;

    for (int i = 0; i < MAX_PROCS * STREAMS; i++) {
        struct proc *p = &procs[i / STREAMS];

        connecting |= p->qmp_path != NULL;
        if (p->streams[i % STREAMS].fd > 0) {
            from[n] = i;
            fds[n++] = (struct pollfd){ p->streams[i % STREAMS].fd, POLLIN, 0 };
        }
    }
    /* SIGCHLD interrupts; the bound is for one that came before the call */
    poll(fds, n, connecting ? CONNECT_POLL_MS : 100);
    for (int i = 1; i < n; i++) {
        if (fds[i].revents) {
            pass_on(&procs[from[i] / STREAMS], from[i] % STREAMS);
        }
    }
    if (fds[0].revents) {
        stream_fill(&control);
    }
    while ((line = stream_line(&control))) {
        request(line);
    }
}

/*
 * While there is any VM, KVM's notifiers in the scheduler are switched on: with
 * the first and after the last VM the kernel patches its own code, on all CPUs
 * (preempt_notifier_key; with vCPUs apic_sw_disabled).  An emulated machine may
 * lose such a race between its CPUs: one goes on with the old code, or with the
 * breakpoint that was there for a moment, and the kernel panics.  So the bed
 * keeps a VM with a vCPU that never runs.  Its descriptors are never closed.
 */
static void keep_a_vm(void)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);

    if (vm >= 0 && !ioctl(vm, KVM_CREATE_IRQCHIP, 0)) {
        ioctl(vm, KVM_CREATE_VCPU, 0);
    }
}

/* A serial port carries bytes as they are, as fast as it can. */
static void make_raw(int fd)
{
    struct termios how;

    if (!tcgetattr(fd, &how)) {
        cfmakeraw(&how);
        cfsetspeed(&how, B115200);
        tcsetattr(fd, TCSANOW, &how);
    }
}

static void on_child(int number)
{
    (void)number;       /* only there to interrupt poll() */
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = on_child };
    int fd = argc > 1 ? open(argv[1], O_RDWR | O_CLOEXEC | O_NOCTTY) : 0;

    if (fd < 0 || (fd == 0 && (fd = fcntl(0, F_DUPFD_CLOEXEC, 3)) < 0)) {
        fprintf(stderr, "agent: %s: %s\n", argv[1], strerror(errno));
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGCHLD, &action, NULL);
    make_raw(fd);
    stream_open(&control, fd);
    report_to(fd);
    keep_a_vm();
    report("hello 1");
    while (control.fd) {
        poll_once();
        reap();
        for (struct proc *p = procs; p < procs + MAX_PROCS; p++) {
            if (p->id[0] && p->qmp_path) {
                try_connect(p);
            }
            report_exit(p);
        }
    }
    watchdog();
}
