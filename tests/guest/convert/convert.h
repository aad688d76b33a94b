/*
 * prefault converting guest: what its files know of each other.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef PREFAULT_GUEST_CONVERT_H
#define PREFAULT_GUEST_CONVERT_H

#include "../io.h"

enum {
    TO_SHARED = 0,
    TO_PRIVATE = 1 << 4,        /* KVM_MAP_GPA_RANGE_ENCRYPTED */
    KVM_ENOSYS = 1000,
};

/* main.c: the output, one line for each result */
void begin_line(const char *name, u64 value);
void field(const char *name, u64 value);
void field_signed(const char *name, u64 value);
void end_line(void);
void die(const char *why) __attribute__((noreturn));
/* With opt/prefault/wait say READY and halt until the next NMI.  Returns 0
 * without. */
int wait_for_harness(void);

/* hypercall.c */
struct cpuid {
    u32 eax, ebx, ecx, edx;
};
struct cpuid cpuid(u32 leaf);
void hypercall_init(void);
int hypercall_announced(void);          /* KVM_FEATURE_HC_MAP_GPA_RANGE */
/* KVM_HC_MAP_GPA_RANGE with the values as they are; returns KVM's answer,
 * -KVM_ENOSYS without asking if KVM does not announce it. */
u64 map_gpa_range(u64 gpa, u64 pages, u64 flags);

/* memory.c */
struct ram {
    u64 low_end, high_end;      /* high_end is 0 without RAM above 4 GiB */
};
extern struct ram ram;
enum {
    OURS_END = 16 << 20,        /* below are the guest's own data */
};
#define FOUR_GIB (1ull << 32)
void memory_init(void);
void *allocate(u64 bytes);      /* zeroed whole pages, on pages of their own */

/* smp.c */
enum {
    MAX_CPUS = 8,               /* as in convert.ld */
};
u32 smp_cpus(void);             /* that QEMU has, at most MAX_CPUS */
void smp_init(void);            /* lets NMIs through to the first CPU */
/* Start the other CPUs, run @work on all of them at the same time, and wait for
 * its end.  Once only: they are halted for good afterwards. */
void smp_run(void (*work)(u32 cpu));

/* trap.c */
struct frame {
    u64 r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    u64 vector, error, rip, cs, rflags, rsp, ss;
};
extern volatile u32 machine_checks;

/* trap.S */
extern volatile u32 nmi_count;
extern u32 cpu_is_intel;
u64 hypercall(u64 number, u64 first, u64 second, u64 third);
u64 read_word(const volatile u64 *word);
void wait_for_nmi(u32 seen);

/* The modes, a file each; each returns at once if it is not asked for */
void requests_run(void);
void touch_run(void);
void dma_run(void);
void storm_run(void);

static inline u64 rdmsr(u32 msr)
{
    u32 low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (u64)high << 32 | low;
}

static inline void pause(void)
{
    __asm__ volatile("pause" : : : "memory");
}

#endif
