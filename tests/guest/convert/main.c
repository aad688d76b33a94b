/*
 * prefault converting guest: asks KVM to convert its memory between private and
 * shared (KVM_HC_MAP_GPA_RANGE), and checks what the memory holds.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * It runs as the firmware (a 64 KiB -bios image) on microvm, pc and q35, in long
 * mode, on any kind of VM: where KVM does not announce the hypercall, it is not
 * asked, and the result is -KVM_ENOSYS.  What the guest does is said by fw_cfg files below opt/prefault, all
 * numbers being decimal; modes run in this order, those that have a file:
 *
 *   one=GPA,PAGES,FLAGS[,TOUCH];...    requests.c: converts as asked
 *   dma=1 message=TEXT                 dma.c: what fw_cfg's DMA reaches
 *   touch=GPA                          requests.c: reads one page
 *   storm=N                            storm.c: N conversions on each CPU
 *
 * Output, on the debug console (port 0x402): READY when it waits for an NMI,
 * which it does with the file wait=1 only; DONE at the end, when it halts; and
 * one line for each result, with a name first that says what it is:
 *
 *   prefault-convert: start=1 cpus=N announced=0|1 intel=0|1 low_end=N high_end=N
 *   prefault-convert: exception=N ...  trap.c: then the CPU is halted
 *
 * Halted is halted: the harness reads KVM's statistics at leisure.
 */
#include "../fw-cfg.h"
#include "convert.h"

void begin_line(const char *name, u64 value)
{
    print("prefault-convert:");
    field(name, value);
}

void field(const char *name, u64 value)
{
    print(" ");
    print(name);
    print_number("=", value);
}

void field_signed(const char *name, u64 value)
{
    int negative = value >> 63;

    print(" ");
    print(name);
    print_number(negative ? "=-" : "=", negative ? -value : value);
}

void end_line(void)
{
    print("\n");
}

void die(const char *why)
{
    print("prefault-convert: ");
    print(why);
    print("\n");
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

int wait_for_harness(void)
{
    static u32 seen;

    if (!fw_cfg_number("opt/prefault/wait")) {
        return 0;
    }
    print("READY\n");
    wait_for_nmi(seen++);
    return 1;
}

static void print_start(void)
{
    begin_line("start", 1);
    field("cpus", smp_cpus());
    field("announced", hypercall_announced());
    field("intel", cpu_is_intel);
    field("low_end", ram.low_end);
    field("high_end", ram.high_end);
    end_line();
}

/* Called by entry.S, on the first CPU */
void guest_main(void)
{
    hypercall_init();
    memory_init();
    smp_init();
    print_start();
    requests_run();
    dma_run();
    touch_run();
    storm_run();
    print("DONE\n");
}
