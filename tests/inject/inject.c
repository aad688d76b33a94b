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
 *   CALL      ioctl, madvise, fallocate, sched_setaffinity,
 *             pthread_setaffinity_np
 *   SELECTOR  ioctl: the request, madvise: the advice, fallocate: the mode;
 *             a name of the table below, a number, or '*' for all
 *   ARGUMENT  a number.  ioctl: the third argument itself; madvise and
 *             fallocate: the length
 *   errno=E   fail with E (name or number) without calling; 0: pretend
 *             success without calling
 *   return=N  return N without calling
 *   shrink=N  KVM_PRE_FAULT_MEMORY only: map at most N bytes, and report
 *             that partial progress as the kernel does
 *   delay-ms=N, delay-us=N   sleep before the call
 *   from=N, count=N          only calls N .. N+count-1 of those that match
 *                            (from 1; count 0, the default, is for ever)
 *
 * Of several rules that apply to one call all delays are slept, and the first
 * that decides a result decides.  Counters are atomic.  At exit each rule's
 * count is written to standard error, or appended to the file
 * PREFAULT_INJECT_LOG, as "inject: RULE: calls=N hits=N": a test can prove
 * that what it injected happened.  A rule that cannot be understood ends the
 * program with status 2 before its main().
 *
 * Only calls through the dynamic linker are seen: not syscall(), not libc's
 * own, not those of a static program.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../agent/kvm-pre-fault.h"

enum call {
    CALL_IOCTL,
    CALL_MADVISE,
    CALL_FALLOCATE,
    CALL_SCHED_SETAFFINITY,
    CALL_PTHREAD_SETAFFINITY_NP,
    CALLS,
};

static const char *const call_names[CALLS] = {
    "ioctl", "madvise", "fallocate", "sched_setaffinity",
    "pthread_setaffinity_np",
};

#define NAME(call, number) { call, #number, (unsigned int)(number) }
static const struct {
    enum call call;
    const char *name;
    unsigned long value;
} selectors[] = {
    NAME(CALL_IOCTL, KVM_PRE_FAULT_MEMORY),
    NAME(CALL_IOCTL, KVM_RUN),
    NAME(CALL_IOCTL, KVM_CHECK_EXTENSION),
    NAME(CALL_IOCTL, KVM_ENABLE_CAP),
    NAME(CALL_IOCTL, KVM_CREATE_VCPU),
    NAME(CALL_IOCTL, KVM_SET_USER_MEMORY_REGION),
    { CALL_IOCTL, "KVM_SET_USER_MEMORY_REGION2", 0x40a0ae49 },
    { CALL_IOCTL, "KVM_SET_MEMORY_ATTRIBUTES", 0x4020aed2 },
    NAME(CALL_IOCTL, KVM_GET_DIRTY_LOG),
    { CALL_MADVISE, "MADV_POPULATE_READ", 22 },
    { CALL_MADVISE, "MADV_POPULATE_WRITE", 23 },
    NAME(CALL_MADVISE, MADV_HUGEPAGE),
    NAME(CALL_MADVISE, MADV_DONTNEED),
    NAME(CALL_FALLOCATE, FALLOC_FL_PUNCH_HOLE),
};

struct rule {
    char *text;
    enum call call;
    int any, has_argument, decides;     /* decides: errno= or return= */
    unsigned long selector, argument, shrink, from, count, delay_us;
    int error;
    long result;
    atomic_ulong calls, hits;
};

enum { MAX_RULES = 64 };
static struct rule rules[MAX_RULES];
static int nr_rules;

static void bad(const char *rule, const char *what)
{
    fprintf(stderr, "inject: bad rule '%s': %s\n", rule, what);
    _exit(2);
}

static unsigned long number(const char *rule, const char *text)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(text, &end, 0);
    if (end == text || *end || errno) {
        bad(rule, "not a number");
    }
    return value;
}

static int error_number(const char *rule, const char *text)
{
    for (int e = 1; e < 134; e++) {
        const char *name = strerrorname_np(e);

        if (name && !strcmp(name, text)) {
            return e;
        }
    }
    return strcmp(text, "EOPNOTSUPP") ? (int)number(rule, text) : EOPNOTSUPP;
}

static void parse_selector(struct rule *rule, char *text)
{
    char *argument = strchr(text, '/');

    if (argument) {
        *argument++ = 0;
        rule->has_argument = 1;
        rule->argument = number(rule->text, argument);
    }
    rule->any = !strcmp(text, "*");
    for (size_t i = 0; i < sizeof(selectors) / sizeof(selectors[0]); i++) {
        if (selectors[i].call == rule->call &&
            !strcmp(text, selectors[i].name)) {
            rule->selector = selectors[i].value;
            return;
        }
    }
    if (!rule->any) {
        rule->selector = number(rule->text, text);
    }
}

static void parse_option(struct rule *rule, char *key)
{
    char *value = strchr(key, '=');

    if (!value) {
        bad(rule->text, "an option without '='");
    }
    *value++ = 0;
    if (!strcmp(key, "errno")) {
        rule->decides = 1;
        rule->error = error_number(rule->text, value);
    } else if (!strcmp(key, "return")) {
        rule->decides = 1;
        rule->result = number(rule->text, value);
    } else if (!strcmp(key, "shrink") &&
               rule->selector == (unsigned int)KVM_PRE_FAULT_MEMORY) {
        rule->shrink = number(rule->text, value);
    } else if (!strcmp(key, "delay-ms")) {
        rule->delay_us = 1000 * number(rule->text, value);
    } else if (!strcmp(key, "delay-us")) {
        rule->delay_us = number(rule->text, value);
    } else if (!strcmp(key, "from")) {
        rule->from = number(rule->text, value);
    } else if (!strcmp(key, "count")) {
        rule->count = number(rule->text, value);
    } else {
        bad(rule->text, "an option that does not exist or does not fit");
    }
}

static void parse_rule(char *text)
{
    struct rule *rule = &rules[nr_rules];
    char *part, *copy = strdup(text);

    if (nr_rules == MAX_RULES) {
        bad(text, "too many rules");
    }
    rule->text = text;
    rule->from = 1;
    part = strsep(&copy, ":");
    while (rule->call < CALLS && strcmp(part, call_names[rule->call])) {
        rule->call++;
    }
    if (rule->call == CALLS) {
        bad(text, "a call that is not interposed");
    }
    part = strsep(&copy, ":");
    if (!part) {
        bad(text, "no selector");
    }
    parse_selector(rule, part);
    while ((part = strsep(&copy, ":"))) {
        parse_option(rule, part);
    }
    nr_rules++;
}

__attribute__((constructor)) static void inject_start(void)
{
    const char *env = getenv("PREFAULT_INJECT");
    char *text = env ? strdup(env) : NULL, *rule;

    while ((rule = strsep(&text, ";"))) {
        rule += strspn(rule, " \n");
        if (*rule) {
            parse_rule(rule);
        }
    }
}

__attribute__((destructor)) static void inject_end(void)
{
    const char *path = getenv("PREFAULT_INJECT_LOG");
    FILE *out = path ? fopen(path, "a") : stderr;

    for (int i = 0; out && i < nr_rules; i++) {
        fprintf(out, "inject: %s: calls=%lu hits=%lu\n", rules[i].text,
                rules[i].calls, rules[i].hits);
    }
    if (out && path) {
        fclose(out);
    }
}

/* Count the call for @rule; tell whether the rule applies to it. */
static int rule_hit(struct rule *rule, enum call call,
                    unsigned long selector, unsigned long argument)
{
    unsigned long n;

    if (rule->call != call || (!rule->any && rule->selector != selector) ||
        (rule->has_argument && rule->argument != argument)) {
        return 0;
    }
    n = atomic_fetch_add(&rule->calls, 1) + 1;
    if (n < rule->from || (rule->count && n >= rule->from + rule->count)) {
        return 0;
    }
    atomic_fetch_add(&rule->hits, 1);
    return 1;
}

/* The rule that decides the call's result or size, after all delays. */
static const struct rule *inject(enum call call, unsigned long selector,
                                 unsigned long argument)
{
    const struct rule *decision = NULL;
    unsigned long delay_us = 0;

    for (struct rule *rule = rules; rule < rules + nr_rules; rule++) {
        if (rule_hit(rule, call, selector, argument)) {
            delay_us += rule->delay_us;
            if (!decision && (rule->decides || rule->shrink)) {
                decision = rule;
            }
        }
    }
    if (delay_us) {
        struct timespec left = { delay_us / 1000000,
                                 delay_us % 1000000 * 1000 };

        /* a signal must not shorten it: tests count on the time */
        while (nanosleep(&left, &left) && errno == EINTR) {
        }
    }
    return decision;
}

static long decided(const struct rule *rule)
{
    if (rule->error) {
        errno = rule->error;
        return -1;
    }
    return rule->result;
}

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

int ioctl(int fd, unsigned long request, ...)
{
    const struct rule *rule;
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    rule = inject(CALL_IOCTL, (unsigned int)request, (unsigned long)arg);
    if (rule && rule->shrink && !rule->decides) {
        return shrunk_pre_fault(fd, arg, rule->shrink);
    }
    return rule ? decided(rule) : REAL(ioctl)(fd, request, arg);
}

int madvise(void *address, size_t length, int advice)
{
    const struct rule *rule = inject(CALL_MADVISE, advice, length);

    return rule ? decided(rule) : REAL(madvise)(address, length, advice);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
    const struct rule *rule = inject(CALL_FALLOCATE, mode, length);

    return rule ? decided(rule) : REAL(fallocate)(fd, mode, offset, length);
}

int sched_setaffinity(pid_t pid, size_t size, const cpu_set_t *set)
{
    const struct rule *rule = inject(CALL_SCHED_SETAFFINITY, 0, 0);

    return rule ? decided(rule) : REAL(sched_setaffinity)(pid, size, set);
}

int pthread_setaffinity_np(pthread_t thread, size_t size, const cpu_set_t *set)
{
    const struct rule *rule = inject(CALL_PTHREAD_SETAFFINITY_NP, 0, 0);

    /* this one returns its error number instead of setting errno */
    return rule ? (rule->error ? rule->error : (int)rule->result)
                : REAL(pthread_setaffinity_np)(thread, size, set);
}
