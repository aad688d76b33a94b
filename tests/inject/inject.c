/*
 * prefault inject: makes chosen libc calls of a program fail, return early,
 * do less or take longer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An LD_PRELOAD library for tests of QEMU.  PREFAULT_INJECT holds rules
 * separated by ';':
 *
 *     CALL:SELECTOR[/ARGUMENT][:KEY=VALUE...]
 *
 *   CALL      a name of rules.c's call_names
 *   SELECTOR  ioctl: the request, madvise: the advice, fallocate: the mode,
 *             syscall: the number, set_mempolicy, get_mempolicy and mbind: the
 *             mode or the flags; a name of rules.c's selectors, a number, or
 *             '*' for all.  open: how the path begins, or '*'.
 *   ARGUMENT  a number.  ioctl: the third argument itself, of KVM_ENABLE_CAP the
 *             capability, of KVM_SET_MEMORY_ATTRIBUTES the attributes, of
 *             KVM_GET_MSRS and KVM_SET_MSRS the first register's number;
 *             madvise, fallocate and mmap: the length
 *   errno=E   fail with E (name or number) without calling; 0: pretend
 *             success without calling
 *   return=N  return N without calling
 *   shrink=N  KVM_PRE_FAULT_MEMORY only: map at most N bytes, and report
 *             that partial progress as the kernel does
 *   exit=N    KVM_RUN only, with errno= or return=: before it returns, kvm_run
 *             says exit reason N, and flags=N, gpa=N and size=N (default 0) of
 *             a memory fault
 *   vcpu=N    ioctl only: only calls on this vCPU, by its number
 *   delay-ms=N, delay-us=N   sleep before the call
 *   until-signal=N           sleep until the thread gets a signal, for N ms at
 *                            most; with errno=EINTR a call that gets nowhere
 *   when=PATH                only calls while this file is there match
 *   from=N, count=N          only calls N .. N+count-1 of those that match
 *                            (from 1; count 0, the default, is for ever)
 *
 * Of several rules that apply to one call all delays are slept, and the first
 * that decides a result decides.  Counters are atomic.  At exit each rule's
 * count is written to standard error, or appended to the file
 * PREFAULT_INJECT_LOG, as "inject: RULE: calls=N hits=N": a test can prove
 * that what it injected happened.  A fabricated exit is announced when it
 * happens, as "inject: RULE: made up", on standard error.  A rule that cannot
 * be understood ends the program with status 2 before its main().
 *
 * Only calls through the dynamic linker are seen: not libc's own, not those of a
 * static program.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../agent/kvm-pre-fault.h"
#include "kvm-private.h"
#include "rules.h"

/* The next definition of @name after ours, the real one. */
#define REAL(name) ({ \
    static __typeof__(&name) real; \
    if (!real) { \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
    } \
    real; })

static int shrunk_pre_fault(int fd, void *arg, unsigned long most)
{
    struct kvm_pre_fault_memory *range = arg;
    __u64 rest = range->size > most ? range->size - most : 0;
    int result;

    range->size -= rest;
    result = REAL(ioctl)(fd, KVM_PRE_FAULT_MEMORY, range);
    range->size += rest;
    return result;
}

/*
 * What KVM still has to do with the last exit, a read of MMIO for instance.  A
 * kick of this thread is a signal that sets immediate_exit: it has to wait, or it
 * would be lost, and QEMU sends no other until this one was seen.
 */
static int complete_last_exit(int fd, struct kvm_run *run)
{
    unsigned char immediate_exit;
    sigset_t all, before;
    int result, error;

    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    immediate_exit = run->immediate_exit;
    run->immediate_exit = 1;
    result = REAL(ioctl)(fd, KVM_RUN, 0);
    error = errno;
    run->immediate_exit = immediate_exit;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return result;
}

/*
 * The vCPU does not run.  What QEMU answered to the last exit is where the
 * fabricated exit is going to be, so that KVM takes it first; if that makes
 * another, real exit, this one is left out.
 */
static int fabricated_run(int fd, const struct rule *rule)
{
    const struct fabricated_exit *exit = &rule->exit;
    const struct memory_fault fault = {
        .flags = exit->flags, .gpa = exit->gpa, .size = exit->size,
    };
    size_t page = sysconf(_SC_PAGESIZE);
    /* Any number of mappings are of the same page: no need to know QEMU's */
    struct kvm_run *run = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED,
                               fd, 0);
    int result;

    if (run == MAP_FAILED) {
        perror("inject: kvm_run");
        _exit(2);
    }
    result = complete_last_exit(fd, run);
    if (result == -1 && errno == EINTR) {
        run->exit_reason = exit->reason;
        memcpy(&run->hw, &fault, sizeof(fault));
        /* A test waits for this: only now is the vCPU known to have left */
        fprintf(stderr, "inject: %s: made up\n", rule->text);
        result = 0;
    } else {
        fprintf(stderr, "inject: %s: left out for a real exit\n", rule->text);
        rule = NULL;
    }
    munmap(run, page);
    return rule ? rule_result(rule) : result;
}

/* The number of each vCPU, plus 1, by its file descriptor */
enum { MAX_FDS = 1024 };
static atomic_int vcpu_numbers[MAX_FDS];

static int vcpu_of(int fd)
{
    return fd >= 0 && fd < MAX_FDS ? vcpu_numbers[fd] - 1 : -1;
}

static int create_vcpu(int fd, void *number)
{
    int vcpu = REAL(ioctl)(fd, KVM_CREATE_VCPU, number);

    if (vcpu >= 0 && vcpu < MAX_FDS) {
        vcpu_numbers[vcpu] = (unsigned long)number + 1;
    }
    return vcpu;
}

static unsigned long ioctl_argument(unsigned int request, void *arg)
{
    switch (request) {
    case KVM_ENABLE_CAP:
        return ((struct kvm_enable_cap *)arg)->cap;
    case KVM_SET_MEMORY_ATTRIBUTES:
        return ((struct kvm_memory_attributes *)arg)->attributes;
    case (unsigned int)KVM_GET_MSRS:
    case KVM_SET_MSRS:
        return ((struct kvm_msrs *)arg)->entries[0].index;
    default:
        return (unsigned long)arg;
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    const struct rule *rule;
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    rule = rules_apply(CALL_IOCTL, (unsigned int)request,
                       ioctl_argument(request, arg), vcpu_of(fd));
    if (!rule) {
        return request == KVM_CREATE_VCPU ? create_vcpu(fd, arg)
                                          : REAL(ioctl)(fd, request, arg);
    }
    if (rule->exit.is_set) {
        return fabricated_run(fd, rule);
    }
    return rule->decides ? rule_result(rule)
                         : shrunk_pre_fault(fd, arg, rule->shrink);
}

int madvise(void *address, size_t length, int advice)
{
    const struct rule *rule = rules_apply(CALL_MADVISE, advice, length, -1);

    return rule ? rule_result(rule) : REAL(madvise)(address, length, advice);
}

/* QEMU's: it is compiled for large files, where this name stands for fallocate */
int fallocate64(int fd, int mode, off64_t offset, off64_t length)
{
    const struct rule *rule = rules_apply(CALL_FALLOCATE, mode, length, -1);

    return rule ? rule_result(rule)
                : REAL(fallocate64)(fd, mode, offset, length);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
    return fallocate64(fd, mode, offset, length);
}

/* Those of which nothing matters but that they are made */
#define INTERPOSE(type, name, call, selector, argument, parameters, arguments) \
    type name parameters \
    { \
        const struct rule *rule = rules_apply(call, (unsigned long)(selector), \
                                              argument, -1); \
        \
        return rule ? (type)rule_result(rule) : REAL(name) arguments; \
    }

INTERPOSE(int, sched_setaffinity, CALL_SCHED_SETAFFINITY, 0, 0,
          (pid_t pid, size_t size, const cpu_set_t *set), (pid, size, set))
INTERPOSE(int, sched_getaffinity, CALL_SCHED_GETAFFINITY, 0, 0,
          (pid_t pid, size_t size, cpu_set_t *set), (pid, size, set))
INTERPOSE(int, setpriority, CALL_SETPRIORITY, 0, 0,
          (__priority_which_t which, id_t who, int value),
          (which, who, value))
INTERPOSE(int, mincore, CALL_MINCORE, 0, size,
          (void *address, size_t size, unsigned char *pages),
          (address, size, pages))
INTERPOSE(long, set_mempolicy, CALL_SET_MEMPOLICY, mode, 0,
          (int mode, const unsigned long *nodes, unsigned long bits),
          (mode, nodes, bits))
INTERPOSE(long, get_mempolicy, CALL_GET_MEMPOLICY, flags, 0,
          (int *mode, unsigned long *nodes, unsigned long bits, void *address,
           unsigned long flags), (mode, nodes, bits, address, flags))
INTERPOSE(long, mbind, CALL_MBIND, mode, size,
          (void *address, unsigned long size, int mode,
           const unsigned long *nodes, unsigned long bits, unsigned int flags),
          (address, size, mode, nodes, bits, flags))
INTERPOSE(int, timer_create, CALL_TIMER_CREATE, 0, 0,
          (clockid_t clock, struct sigevent *event, timer_t *timer),
          (clock, event, timer))
INTERPOSE(ssize_t, pread64, CALL_PREAD, 0, size,
          (int fd, void *buffer, size_t size, off64_t offset),
          (fd, buffer, size, offset))
INTERPOSE(void *, mmap64, CALL_MMAP, 0, size,
          (void *address, size_t size, int protection, int flags, int fd,
           off64_t offset), (address, size, protection, flags, fd, offset))

long syscall(long number, ...)
{
    const struct rule *rule = rules_apply(CALL_SYSCALL, number, 0, -1);
    long a[6];
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++) {
        a[i] = va_arg(args, long);
    }
    va_end(args);
    return rule ? rule_result(rule) : REAL(syscall)(number, a[0], a[1], a[2],
                                                    a[3], a[4], a[5]);
}

int open64(const char *path, int flags, ...)
{
    const struct rule *rule = rules_apply(CALL_OPEN, (unsigned long)path, 0, -1);
    va_list args;
    int mode;

    /* It is there, or is not looked at */
    va_start(args, flags);
    mode = va_arg(args, int);
    va_end(args);
    return rule ? (int)rule_result(rule) : REAL(open64)(path, flags, mode);
}

int open(const char *path, int flags, ...) __attribute__((alias("open64")));

/* These return their error number instead of setting errno */
static int error_of(const struct rule *rule)
{
    return rule->error ? rule->error : (int)rule->result;
}

int pthread_setaffinity_np(pthread_t thread, size_t size, const cpu_set_t *set)
{
    const struct rule *rule = rules_apply(CALL_PTHREAD_SETAFFINITY_NP, 0, 0,
                                          -1);

    return rule ? error_of(rule)
                : REAL(pthread_setaffinity_np)(thread, size, set);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                   void *(*begin)(void *), void *opaque)
{
    const struct rule *rule = rules_apply(CALL_PTHREAD_CREATE, 0, 0, -1);

    return rule ? error_of(rule)
                : REAL(pthread_create)(thread, attributes, begin, opaque);
}
