/*
 * prefault inject: the rules that decide what happens to a call
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef INJECT_RULES_H
#define INJECT_RULES_H

#include <stdatomic.h>

/* A preloaded library's names would hide those of others */
#pragma GCC visibility push(hidden)

enum call {
    CALL_IOCTL,
    CALL_MADVISE,
    CALL_FALLOCATE,
    CALL_SCHED_SETAFFINITY,
    CALL_PTHREAD_SETAFFINITY_NP,
    CALL_SET_MEMPOLICY,
    CALL_GET_MEMPOLICY,
    CALL_MBIND,
    CALL_MINCORE,
    CALL_MMAP,
    CALL_OPEN,
    CALL_PREAD,
    CALL_PTHREAD_CREATE,
    CALL_SCHED_GETAFFINITY,
    CALL_SETPRIORITY,
    CALL_SYSCALL,
    CALL_TIMER_CREATE,
    CALLS,
};

/* What a KVM_RUN that was not one left in kvm_run */
struct fabricated_exit {
    int is_set;
    unsigned int reason;
    unsigned long flags, gpa, size;     /* of kvm_run's memory_fault */
};

/**
 * struct rule: one rule of PREFAULT_INJECT
 * @text: as it was given
 * @when: the rule rests while this file is not there; NULL: it never rests
 * @vcpu: only of the vCPU with this number; -1: whatever the vCPU
 * @any: whatever the selector; else only @selector, for open a path's beginning
 * @has_argument: only if the argument is @argument, too
 * @decides: errno= or return= was given: the call is not made
 * @error: what errno is then; 0: the result is @result
 * @shrink: bytes that KVM_PRE_FAULT_MEMORY maps at most; 0: all
 * @exit: with @decides, for KVM_RUN
 * @until_signal_us: sleep so long, or until a signal comes
 * @calls: calls that match
 * @hits: those that @from and @count let through
 */
struct rule {
    char *text, *when;
    char *words;                /* its copy, which others point into: no leak */
    enum call call;
    int vcpu, any, has_argument, decides, error;
    unsigned long selector, argument, shrink, from, count, delay_us,
                  until_signal_us;
    long result;
    struct fabricated_exit exit;
    atomic_ulong calls, hits;
};

/**
 * rules_apply: count a call, and sleep as long as its rules say
 * @call: which function of libc
 * @selector: what it is asked for: ioctl's request, madvise's advice, open's
 *            path, ...
 * @argument: what else a rule can ask for
 * @vcpu: the number of the vCPU that is asked; -1: it is none
 *
 * Context: any thread.
 *
 * Returns: the first rule that decides the call's result or size; NULL: make the
 * call.
 */
const struct rule *rules_apply(enum call call, unsigned long selector,
                               unsigned long argument, int vcpu);

/**
 * rule_result: what the program gets to see
 * @rule: a rule with @decides
 *
 * Returns: the call's result; errno is set if it is -1.
 */
long rule_result(const struct rule *rule);

#pragma GCC visibility pop

#endif /* INJECT_RULES_H */
