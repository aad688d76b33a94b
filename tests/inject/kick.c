/*
 * prefault kick: a vCPU thread's signal reaches KVM_RUN, although TSan keeps
 * signals back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An LD_PRELOAD library for a QEMU with TSan, behind TSan's own.  QEMU kicks a
 * vCPU with a signal whose handler sets kvm_run's immediate_exit.  TSan runs the
 * handler only when the thread leaves the next function that TSan knows.  If that
 * is KVM_RUN itself the vCPU enters the guest, perhaps one that sleeps, and QEMU
 * waits for ever.  So the signal is noted here as soon as it comes, and told to
 * KVM; QEMU's handler runs later all the same.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { KICK = SIGUSR1 };        /* QEMU's SIG_IPI */

static void (*kept_back)(int, siginfo_t *, void *);
static __thread struct kvm_run *run;
static __thread volatile sig_atomic_t kicked;   /* since KVM_RUN returned */

static void on_kick(int number, siginfo_t *info, void *context)
{
    kicked = 1;
    if (run) {
        run->immediate_exit = 1;
    }
    kept_back(number, info, context);
}

int sigaction(int number, const struct sigaction *action,
              struct sigaction *old)
{
    static int (*real)(int, const struct sigaction *, struct sigaction *);
    struct sigaction mine;

    if (!real) {
        real = dlsym(RTLD_NEXT, "sigaction");
    }
    if (number == KICK && action && action->sa_flags & SA_SIGINFO) {
        kept_back = action->sa_sigaction;
        mine = *action;
        mine.sa_sigaction = on_kick;
        action = &mine;
    }
    return real(number, action, old);
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*real)(int, unsigned long, ...);
    void *argument;
    va_list list;
    int result;

    va_start(list, request);
    argument = va_arg(list, void *);
    va_end(list);
    if (!real) {
        real = dlsym(RTLD_NEXT, "ioctl");
    }
    if (request != KVM_RUN) {
        return real(fd, request, argument);
    }
    if (!run) {
        void *mapped = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE,
                            MAP_SHARED, fd, 0);

        run = mapped == MAP_FAILED ? NULL : mapped;
    }
    if (kicked && run) {
        run->immediate_exit = 1;
    }
    result = real(fd, request, argument);
    kicked = 0;
    return result;
}
