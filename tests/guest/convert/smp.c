/*
 * prefault converting guest: its CPUs, through local APICs in x2APIC mode.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * x2APIC because its registers are MSRs: nothing has to be decoded (entry.S).
 * Numbers: Intel's SDM, volume 3, "Extended XAPIC (x2APIC)".
 */
#include "../fw-cfg.h"
#include "convert.h"

enum {
    FW_CFG_NB_CPUS = 0x05,
    CPUID_X2APIC = 21,
    MSR_APIC_BASE = 0x1b,
    APIC_X2APIC = 3 << 10,
    MSR_SPURIOUS = 0x80f,
    MSR_COMMAND = 0x830,
    MSR_LINT1 = 0x836,
    INIT = 0x4500,
    STARTUP = 0x46f0,           /* at page 0xF0, in the ROM */
    CYCLES_A_TRY = 500 * 1000 * 1000,
    TRIES = 20,
};

static volatile u32 started[MAX_CPUS];
static volatile u32 cpus_done;
static void (*volatile job)(u32 cpu);

void guest_main(void);

u32 smp_cpus(void)
{
    u32 cpus;

    outw(PORT_FW_CFG_SELECT, FW_CFG_NB_CPUS);
    cpus = fw_cfg_read(2, 0);
    return cpus < MAX_CPUS ? cpus : MAX_CPUS;
}

/*
 * inject-nmi arrives at the local APIC's pin LINT1: let that pin through as an
 * NMI.  An APIC that is disabled by software, as after reset, masks it.
 */
void smp_init(void)
{
    if (!(cpuid(1).ecx >> CPUID_X2APIC & 1)) {
        die("no x2APIC");
    }
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_X2APIC);
    wrmsr(MSR_SPURIOUS, 0x1ff);
    wrmsr(MSR_LINT1, 0x400);
}

/* Called by entry.S, on each CPU, with a number of its own */
void cpu_main(u32 cpu)
{
    if (!cpu) {
        guest_main();
        return;
    }
    started[cpu] = 1;
    while (!job) {
        pause();
    }
    job(cpu);
    __sync_fetch_and_add(&cpus_done, 1);
}

static int starts(u32 cpu)
{
    u64 begin = rdtsc_ordered();

    wrmsr(MSR_COMMAND, (u64)cpu << 32 | INIT);
    wrmsr(MSR_COMMAND, (u64)cpu << 32 | STARTUP);
    while (!started[cpu] && rdtsc_ordered() - begin < CYCLES_A_TRY) {
        pause();
    }
    return started[cpu];
}

/*
 * Another try is needed now and then: when QEMU injects an NMI it reads the state
 * of all CPUs and writes it back, with which an INIT that has come in between is
 * lost.
 */
static void start(u32 cpu)
{
    for (u32 i = 0; i < TRIES; i++) {
        if (starts(cpu)) {
            return;
        }
    }
    die("a CPU does not start");
}

void smp_run(void (*work)(u32 cpu))
{
    u32 cpus = smp_cpus();

    for (u32 i = 1; i < cpus; i++) {
        start(i);
    }
    job = work;
    work(0);
    while (cpus_done < cpus - 1) {
        pause();
    }
}
