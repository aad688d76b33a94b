/*
 * prefault measuring guest: writes one word in every 4 KiB page of RAM and
 * times each first write.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * It runs as the firmware (a 64 KiB -bios image) on microvm, pc and q35, or as
 * a kernel that the machine's own firmware starts (a Multiboot ELF file), on one
 * vCPU, in 32-bit flat mode without paging: a write that is slow is slow
 * because of the stage-2 page table, nothing else.  RAM is what fw_cfg's
 * etc/e820 lists, without 0xA0000..0xFFFFF; RAM above 4 GiB is out of reach
 * and counted in skipped=, and so is TSEG: what q35's firmware keeps for SMM.
 *
 * With fw_cfg opt/prefault/flips it first switches memory below 1 MiB between
 * RAM, read-only RAM and ROM (PAM), that many times, and opens and closes SMRAM in
 * between, as firmware does, and checks what the memory holds.  With
 * opt/prefault/flash it switches the flash device that holds the firmware as well.
 * Only as a kernel: firmware would switch itself off.
 *
 * With opt/prefault/sweeps each go is so many sweeps, one after the other.
 *
 * With opt/prefault/histogram each sweep also prints how many writes took how many
 * cycles: each step that is not empty, by its middle, and the count behind it.
 *
 * With opt/prefault/execute each sweep writes an instruction into each page and
 * executes it, in the time that is taken.
 *
 * Output, on the debug console (port 0x402):
 *   READY                                 with fw_cfg opt/prefault/wait only
 *   prefault-histogram: C:N C:N ...       with fw_cfg opt/prefault/histogram only
 *   prefault-guest: sweep=1 pages=N skipped=N median=C p99=C max=C total=C
 *   DONE                                  then it halts
 *   prefault-guest: flips=N mismatches=N last_step=N last_word=N
 *                                         with fw_cfg opt/prefault/flips only
 * With opt/prefault/wait each NMI after READY or DONE runs one more sweep; with
 * opt/prefault/fault the first one is a triple fault instead, with
 * opt/prefault/synic, a number of MiB, it has SynIC's pages lie there, too.
 * Halted is halted: the harness reads KVM's statistics at leisure, before and
 * after.
 * Cycles are those of rdtsc.  median and p99 come from a histogram with 16
 * steps an octave: exact below 16, within 3 % above; max and total are exact.
 */
#include "fw-cfg.h"
#include "histogram.h"
#include "io.h"

enum {
    PORT_PCI_ADDRESS = 0xcf8,
    PORT_PCI_DATA = 0xcfc,
    LOCAL_APIC = 0xfee00000,
    INSTRUCTION_RET = 0xc3,
    WORD_IN_PAGE = 0xff8,       /* guest.ld keeps this word of our page free */
    FLASH = 0xfffff000,         /* the last sector before 4 GiB */
    VGA_HOLE_START = 0xa0000,
    VGA_HOLE_END = 0x100000,
    BRIDGE_DEVICE = 2,
    Q35 = 0xc0,                 /* low byte of the bridge's device ID */
    Q35_EXT_TSEG_MIB = 0x50,    /* 16 bits */
    Q35_ESMRAMC = 0x9e,
    TSEG_ENABLED = 1,
    MSR_SCONTROL = 0x40000080,
    MSR_SIEFP = 0x40000082,
    MSR_SIMP = 0x40000083,
    MAX_RANGES = 8,
};

struct range {
    u32 start;
    u32 end;
};

static u32 histogram[BUCKETS];
static struct range ranges[MAX_RANGES];
static u32 nr_ranges;
static u32 skipped_pages;
volatile u32 go_count;          /* counted up by nmi_entry, in entry.S */

/* Halt until the count of NMIs is not @seen; one that came early counts. */
void wait_for_go(u32 seen);

/*
 * inject-nmi arrives at the local APIC's pin LINT1: let that pin through as an
 * NMI.  An APIC that is disabled by software, as after reset, masks it.
 */
static void enable_nmi_pin(void)
{
    *(volatile u32 *)(LOCAL_APIC + 0xf0) = 0x1ff;       /* spurious: enable */
    *(volatile u32 *)(LOCAL_APIC + 0x360) = 0x400;      /* LINT1: NMI */
}

/* A byte of the host bridge's configuration space */
static void bridge_select(u32 reg)
{
    outl(PORT_PCI_ADDRESS, 0x80000000 | (reg & ~3u));
}

static void bridge_write(u32 reg, u8 value)
{
    bridge_select(reg);
    outb(PORT_PCI_DATA + (reg & 3), value);
}

static u8 bridge_read(u32 reg)
{
    bridge_select(reg);
    return inb(PORT_PCI_DATA + (reg & 3));
}

/* The size of TSEG, which ends where RAM below 4 GiB does */
static u32 tseg_bytes(void)
{
    u8 esmramc = bridge_read(Q35_ESMRAMC), size = esmramc >> 1 & 3;

    if (bridge_read(BRIDGE_DEVICE) != Q35 || !(esmramc & TSEG_ENABLED)) {
        return 0;
    }
    if (size == 3) {
        return bridge_read(Q35_EXT_TSEG_MIB + 1) << 28 |
               bridge_read(Q35_EXT_TSEG_MIB) << 20;
    }
    return size == 2 ? 8 << 20 : 1 << (20 + size);
}

static void add_range(u64 start, u64 end)
{
    u64 reach = end < 1ull << 32 ? end : 1ull << 32;

    if (start >= reach || nr_ranges == MAX_RANGES) {
        skipped_pages += (u32)((end - start) >> 12);
        return;
    }
    skipped_pages += (u32)((end - reach) >> 12);
    ranges[nr_ranges].start = start;
    ranges[nr_ranges++].end = reach - PAGE + 1;     /* 4 GiB does not fit */
}

static void find_ram(void)
{
    u32 entries = fw_cfg_open("etc/e820") / 20;

    while (entries--) {
        u64 start = fw_cfg_read(8, 0);
        u64 end = start + fw_cfg_read(8, 0);

        if (fw_cfg_read(4, 0) != 1) {
            continue;
        }
        if (start < VGA_HOLE_START && end > VGA_HOLE_END) {
            u32 tseg = tseg_bytes();

            add_range(start, VGA_HOLE_START);
            start = VGA_HOLE_END;
            end -= tseg;
            skipped_pages += tseg >> 12;
        }
        add_range(start, end);
    }
}

/* The first touch of a page */
static void touch(volatile u32 *word, u32 number, int execute)
{
    *word = execute ? INSTRUCTION_RET : number;
    if (execute) {
        ((void (*)(void))word)();
    }
}

static void print_histogram(void)
{
    print("prefault-histogram:");
    for (u32 i = 0; i < BUCKETS; i++) {
        if (histogram[i]) {
            print_number(" ", bucket_value(i));
            print_number(":", histogram[i]);
        }
    }
    print("\n");
}

static void sweep(u32 number, int execute, int with_histogram)
{
    u32 pages = 0, max = 0;
    u64 total = 0;

    for (u32 i = 0; i < BUCKETS; i++) {
        histogram[i] = 0;
    }
    for (u32 i = 0; i < nr_ranges; i++) {
        u32 end = ranges[i].end, page = ranges[i].start;

        /* page wraps to 0 after the last page below 4 GiB */
        for (; page < end && (page || !i); page += PAGE, pages++) {
            volatile u32 *word = (volatile u32 *)(page + WORD_IN_PAGE);
            u64 before = rdtsc_ordered(), cycles;

            touch(word, number, execute);
            cycles = rdtsc_ordered() - before;
            total += cycles;
            if (cycles > 0xffffffff) {
                cycles = 0xffffffff;
            }
            max = cycles > max ? cycles : max;
            histogram[bucket_of(cycles)]++;
        }
    }
    if (with_histogram) {
        print_histogram();
    }
    print_number("prefault-guest: sweep=", number);
    print_number(" pages=", pages);
    print_number(" skipped=", skipped_pages);
    print_number(" median=", percentile(histogram, pages, 50));
    print_number(" p99=", percentile(histogram, pages, 99));
    print_number(" max=", max);
    print_number(" total=", total);
    print("\nDONE\n");
}

static struct {
    u32 count;
    u32 last_step;              /* of flip_once() and flip_flash(), 1 to 5 */
    u32 last_word;
} mismatches;

static void expect(u32 step, u32 word, u32 wanted)
{
    if (word != wanted) {
        mismatches.count++;
        mismatches.last_step = step;
        mismatches.last_word = word;
    }
}

/*
 * Switch 32 KiB at @word: to RAM, read-only RAM, ROM, RAM again, and see that the
 * memory holds what it must.  Nothing is written to read-only RAM: QEMU gives KVM
 * the memory behind it, which can be written.
 */
static void flip_once(u32 pam, volatile u32 *word, u32 mark)
{
    bridge_write(pam, 0x33);
    *word = mark;
    expect(1, *word, mark);
    bridge_write(pam, 0x11);
    expect(2, *word, mark);
    bridge_write(pam, 0x00);
    *word = 0xffffffff;         /* of flash: be memory, as it is */
    bridge_write(pam, 0x33);
    expect(3, *word, mark);
}

/* From memory to device, which shows its status, and back (CFI commands) */
static void flip_flash(void)
{
    volatile u8 *flash = (volatile u8 *)FLASH;
    u8 content = *flash;

    *flash = 0x70;
    expect(4, *flash, 0x80);
    *flash = 0xff;
    expect(5, *flash, content);
}

/*
 * 0xC0000 to 0xFFFFF, the last part of which adjoins RAM above 1 MiB: four flips
 * each time, and two of SMRAM, and two of a flash device if there is one.  The word lies behind option ROMs, some of which QEMU
 * keeps writable.
 */
static void flip(u32 flips)
{
    int q35 = bridge_read(BRIDGE_DEVICE) == Q35;        /* else i440FX */
    u32 pam0 = q35 ? 0x90 : 0x59, smram = q35 ? 0x9d : 0x72, done = 0;
    u32 flash = fw_cfg_open("opt/prefault/flash");

    for (u32 i = 0; done < flips; i++, done += flash ? 8 : 6) {
        u32 area = i % 7, pam = area < 6 ? pam0 + 1 + area : pam0;
        u8 closed = bridge_read(smram);

        flip_once(pam, (volatile u32 *)(0xc7ff0 + area * 0x8000), i);
        bridge_write(smram, closed | 0x40);
        bridge_write(smram, closed & ~0x40);
        if (flash) {
            flip_flash();
        }
    }
    print_number("prefault-guest: flips=", done);
    print_number(" mismatches=", mismatches.count);
    print_number(" last_step=", mismatches.last_step);
    print_number(" last_word=", mismatches.last_word);
    print("\n");
}

/*
 * Have Hyper-V's message and event page (TLFS, SIMP and SIEFP) lie over RAM, at
 * @gpa and a GiB above that.
 */
static void synic_pages(u64 gpa)
{
    wrmsr(MSR_SCONTROL, 1);
    wrmsr(MSR_SIMP, gpa | 1);
    wrmsr(MSR_SIEFP, (gpa + (1 << 30)) | 1);
}

/* Without an IDT an exception becomes a triple fault: the machine resets */
static void triple_fault(void)
{
    static const struct {
        u16 limit;
        u32 base;
    } __attribute__((packed)) none = { 0, 0 };

    __asm__ volatile("lidt %0; ud2" : : "m"(none));
}

void guest_main(void)
{
    u32 number = 0, seen = 0, flips = fw_cfg_number("opt/prefault/flips");
    int execute = !!fw_cfg_open("opt/prefault/execute");
    int with_histogram = !!fw_cfg_open("opt/prefault/histogram");
    u32 sweeps = fw_cfg_number("opt/prefault/sweeps");

    find_ram();
    if (flips) {
        flip(flips);
    }
    if (fw_cfg_open("opt/prefault/wait")) {
        enable_nmi_pin();
        print("READY\n");
        wait_for_go(seen++);
    }
    if (fw_cfg_open("opt/prefault/fault")) {
        triple_fault();
    }
    if (fw_cfg_open("opt/prefault/synic")) {
        synic_pages(fw_cfg_number("opt/prefault/synic") << 20);
    }
    for (;;) {
        u32 done = 0;

        do {
            sweep(++number, execute, with_histogram);
        } while (++done < sweeps);
        wait_for_go(seen++);
    }
}
