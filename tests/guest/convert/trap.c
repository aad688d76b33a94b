/*
 * prefault converting guest: exceptions and machine checks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Output:
 *   prefault-convert: exception=N rip=N error=N address=N
 *   prefault-convert: machine_check=N rip=N mcg_status=N
 *   prefault-convert: bank=N status=N address=N     for each that has something
 * An exception halts its CPU.  So does a machine check, if the CPU cannot go on.
 */
#include "convert.h"

enum {
    MACHINE_CHECK = 18,
    MSR_MCG_CAP = 0x179,
    MSR_MCG_STATUS = 0x17a,
    MSR_MC0_STATUS = 0x401,     /* four MSRs a bank; the address follows */
    RIP_VALID = 1,
    MACHINE_CHECKS_MAX = 20,    /* one that comes again and again */
};

extern const u8 read_word_begin[], read_word_end[];

volatile u32 nmi_count, machine_checks;

static void print_banks(void)
{
    u32 banks = rdmsr(MSR_MCG_CAP) & 0xff;

    for (u32 i = 0; i < banks; i++) {
        u64 status = rdmsr(MSR_MC0_STATUS + 4 * i);

        if (status >> 63) {
            begin_line("bank", i);
            field("status", status);
            field("address", rdmsr(MSR_MC0_STATUS + 4 * i + 1));
            end_line();
            wrmsr(MSR_MC0_STATUS + 4 * i, 0);
        }
    }
}

/* The instruction that touches poison would fault again: go on behind it. */
static void machine_check(struct frame *frame)
{
    u64 status = rdmsr(MSR_MCG_STATUS);

    begin_line("machine_check", ++machine_checks);
    field("rip", frame->rip);
    field("mcg_status", status);
    end_line();
    print_banks();
    if (!(status & RIP_VALID) || machine_checks == MACHINE_CHECKS_MAX) {
        die("halted by a machine check");
    }
    if (frame->rip >= (u64)read_word_begin &&
        frame->rip < (u64)read_word_end) {
        frame->rip = (u64)read_word_end;
    }
    wrmsr(MSR_MCG_STATUS, 0);
}

static u64 fault_address(void)
{
    u64 address;

    __asm__ volatile("mov %%cr2, %0" : "=r"(address));
    return address;
}

/* Called by trap.S */
void exception(struct frame *frame)
{
    static u32 printed;

    if (frame->vector == MACHINE_CHECK) {
        machine_check(frame);
        return;
    }
    if (!__sync_lock_test_and_set(&printed, 1)) {
        begin_line("exception", frame->vector);
        field("rip", frame->rip);
        field("error", frame->error);
        field("address", fault_address());
        end_line();
    }
    die("halted by an exception");
}
