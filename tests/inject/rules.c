/*
 * prefault inject: rules are read from the environment and counted
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * inject.c says what a rule looks like.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../agent/kvm-pre-fault.h"
#include "kvm-private.h"
#include "rules.h"

static const char *const call_names[CALLS] = {
    "ioctl", "madvise", "fallocate", "sched_setaffinity",
    "pthread_setaffinity_np", "set_mempolicy", "get_mempolicy", "mbind",
    "mincore", "mmap", "open", "pread", "pthread_create", "sched_getaffinity",
    "setpriority", "syscall", "timer_create",
};

#define NAME(call, number) { call, #number, (unsigned int)(number) }
static const struct {
    enum call call;
    const char *name;
    unsigned long value;
} selectors[] = {
    NAME(CALL_IOCTL, KVM_PRE_FAULT_MEMORY),
    NAME(CALL_IOCTL, KVM_RUN),
    NAME(CALL_IOCTL, KVM_CREATE_VM),
    NAME(CALL_IOCTL, KVM_CHECK_EXTENSION),
    NAME(CALL_IOCTL, KVM_ENABLE_CAP),
    NAME(CALL_IOCTL, KVM_CREATE_VCPU),
    NAME(CALL_IOCTL, KVM_SET_USER_MEMORY_REGION),
    NAME(CALL_IOCTL, KVM_SET_USER_MEMORY_REGION2),
    NAME(CALL_IOCTL, KVM_SET_MEMORY_ATTRIBUTES),
    NAME(CALL_IOCTL, KVM_CREATE_GUEST_MEMFD),
    NAME(CALL_IOCTL, KVM_GET_DIRTY_LOG),
    NAME(CALL_IOCTL, KVM_GET_SREGS2),
    NAME(CALL_IOCTL, KVM_SET_SREGS2),
    NAME(CALL_IOCTL, KVM_GET_MSRS),
    NAME(CALL_IOCTL, KVM_SET_MSRS),
    NAME(CALL_IOCTL, KVM_GET_NESTED_STATE),
    NAME(CALL_IOCTL, KVM_GET_VCPU_EVENTS),
    NAME(CALL_IOCTL, KVM_GET_STATS_FD),
    { CALL_IOCTL, "PAGEMAP_SCAN", 0xc0606610 },
    { CALL_MADVISE, "MADV_POPULATE_READ", 22 },
    { CALL_MADVISE, "MADV_POPULATE_WRITE", 23 },
    NAME(CALL_MADVISE, MADV_HUGEPAGE),
    NAME(CALL_MADVISE, MADV_DONTNEED),
    NAME(CALL_MADVISE, MADV_REMOVE),
    NAME(CALL_MADVISE, MADV_UNMERGEABLE),
    /* Linux takes no hole without the other flag */
    { CALL_FALLOCATE, "FALLOC_FL_PUNCH_HOLE",
      FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE },
    { CALL_SYSCALL, "io_uring_setup", SYS_io_uring_setup },
    { CALL_SYSCALL, "io_uring_register", SYS_io_uring_register },
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
    char *argument = rule->call == CALL_OPEN ? NULL : strchr(text, '/');

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
    if (rule->call == CALL_OPEN) {
        rule->selector = (unsigned long)text;
    } else if (!rule->any) {
        rule->selector = number(rule->text, text);
    }
}

/* What only some requests have.  Returns 0 if it is none of these options */
static int parse_ioctl_option(struct rule *rule, const char *key,
                              const char *value)
{
    struct fabricated_exit *exit = &rule->exit;

    if (rule->call == CALL_IOCTL && !strcmp(key, "vcpu")) {
        rule->vcpu = number(rule->text, value);
    } else if (rule->selector == (unsigned int)KVM_PRE_FAULT_MEMORY &&
               !strcmp(key, "shrink")) {
        rule->shrink = number(rule->text, value);
    } else if (rule->selector != (unsigned int)KVM_RUN) {
        return 0;
    } else if (!strcmp(key, "exit")) {
        exit->is_set = 1;
        exit->reason = number(rule->text, value);
    } else if (!strcmp(key, "flags")) {
        exit->flags = number(rule->text, value);
    } else if (!strcmp(key, "gpa")) {
        exit->gpa = number(rule->text, value);
    } else if (!strcmp(key, "size")) {
        exit->size = number(rule->text, value);
    } else {
        return 0;
    }
    return 1;
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
    } else if (!strcmp(key, "delay-ms")) {
        rule->delay_us = 1000 * number(rule->text, value);
    } else if (!strcmp(key, "delay-us")) {
        rule->delay_us = number(rule->text, value);
    } else if (!strcmp(key, "until-signal")) {
        rule->until_signal_us = 1000 * number(rule->text, value);
    } else if (!strcmp(key, "from")) {
        rule->from = number(rule->text, value);
    } else if (!strcmp(key, "count")) {
        rule->count = number(rule->text, value);
    } else if (!strcmp(key, "when")) {
        rule->when = value;
    } else if (!parse_ioctl_option(rule, key, value)) {
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
    rule->words = copy;
    rule->from = 1;
    rule->vcpu = -1;
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
    if (rule->exit.is_set && !rule->decides) {
        bad(text, "exit= takes errno= or return=");
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

static int is_selected(const struct rule *rule, unsigned long selector)
{
    const char *beginning = (const char *)rule->selector;

    return rule->any ||
           (rule->call == CALL_OPEN
            ? !strncmp((const char *)selector, beginning, strlen(beginning))
            : rule->selector == selector);
}

/* Count the call for @rule; tell whether the rule applies to it. */
static int rule_hit(struct rule *rule, enum call call,
                    unsigned long selector, unsigned long argument, int vcpu)
{
    unsigned long n;

    if (rule->call != call || !is_selected(rule, selector) ||
        (rule->has_argument && rule->argument != argument) ||
        (rule->vcpu != -1 && rule->vcpu != vcpu) ||
        (rule->when && access(rule->when, F_OK))) {
        return 0;
    }
    n = atomic_fetch_add(&rule->calls, 1) + 1;
    if (n < rule->from || (rule->count && n >= rule->from + rule->count)) {
        return 0;
    }
    atomic_fetch_add(&rule->hits, 1);
    return 1;
}

/* Returns early with EINTR if a signal comes, unless all of it is to be slept */
static void sleep_us(unsigned long us, int all)
{
    struct timespec left = { us / 1000000, us % 1000000 * 1000 };

    while (us && nanosleep(&left, &left) && errno == EINTR && all) {
    }
}

const struct rule *rules_apply(enum call call, unsigned long selector,
                               unsigned long argument, int vcpu)
{
    const struct rule *decision = NULL;
    unsigned long delay_us = 0, until_signal_us = 0;

    for (struct rule *rule = rules; rule < rules + nr_rules; rule++) {
        if (rule_hit(rule, call, selector, argument, vcpu)) {
            delay_us += rule->delay_us;
            until_signal_us += rule->until_signal_us;
            if (!decision && (rule->decides || rule->shrink)) {
                decision = rule;
            }
        }
    }
    /* a signal must not shorten a delay: tests count on the time */
    sleep_us(delay_us, 1);
    sleep_us(until_signal_us, 0);
    return decision;
}

long rule_result(const struct rule *rule)
{
    if (rule->error) {
        errno = rule->error;
        return -1;
    }
    return rule->result;
}
