/*
 * prefault converting guest: single conversions, and one page that is read.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * one=GPA,PAGES,FLAGS[,TOUCH];...  KVM gets the numbers as they are.  With TOUCH=1
 * one word is written to each page afterwards.  With wait=1 it waits before
 * each request and before each touching, and once more after the last of them.
 *   prefault-convert: request=N gpa=N pages=N flags=N result=N cycles=C
 *   prefault-convert: touched=N pages=N cycles=C       N of the request
 *
 * touch=GPA  Writes a word to the page, and reads it: once, or with wait=1 after
 * each NMI, for ever.  Poison makes it a machine check (trap.c) and the value
 * all ones.
 *   prefault-convert: touch=GPA value=N wanted=N machine_checks=N
 */
#include "../fw-cfg.h"
#include "convert.h"

#define TOUCHED 0x746f756368656421ull

enum {
    TEXT_MAX = 4096,
};

/* The decimal number at *@text, behind which there is ',' or ';' or the end */
static u64 next_number(const char **text)
{
    u64 number = 0;

    while (**text >= '0' && **text <= '9') {
        number = number * 10 + *(*text)++ - '0';
    }
    return number;
}

static u64 next_field(const char **text)
{
    if (**text != ',') {
        return 0;
    }
    ++*text;
    return next_number(text);
}

static void touch_pages(u32 number, u64 gpa, u64 pages)
{
    u64 before = rdtsc_ordered(), cycles;

    for (u64 i = 0; i < pages; i++) {
        *(volatile u64 *)(gpa + i * PAGE) = TOUCHED;
    }
    cycles = rdtsc_ordered() - before;
    begin_line("touched", number);
    field("pages", pages);
    field("cycles", cycles);
    end_line();
}

static void request(u32 number, const char **text)
{
    u64 gpa = next_number(text), pages = next_field(text);
    u64 flags = next_field(text), touch = next_field(text);
    u64 before, result, cycles;

    wait_for_harness();
    before = rdtsc_ordered();
    result = map_gpa_range(gpa, pages, flags);
    cycles = rdtsc_ordered() - before;
    begin_line("request", number);
    field("gpa", gpa);
    field("pages", pages);
    field("flags", flags);
    field_signed("result", result);
    field("cycles", cycles);
    end_line();
    if (touch) {
        wait_for_harness();
        touch_pages(number, gpa, pages);
    }
}

void requests_run(void)
{
    u32 bytes = fw_cfg_open("opt/prefault/one");
    char *text;
    const char *next;

    if (!bytes) {
        return;
    }
    if (bytes >= TEXT_MAX) {
        die("opt/prefault/one is too long");
    }
    next = text = allocate(TEXT_MAX);
    for (u32 i = 0; i < bytes; i++) {
        text[i] = inb(PORT_FW_CFG_DATA);
    }
    for (u32 number = 1; *next; number++) {
        request(number, &next);
        if (*next && *next++ != ';') {
            die("opt/prefault/one is not GPA,PAGES,FLAGS,TOUCH;...");
        }
    }
    wait_for_harness();
}

void touch_run(void)
{
    u64 gpa = fw_cfg_number("opt/prefault/touch");
    volatile u64 *word = (volatile u64 *)gpa;
    int again;

    if (!gpa) {
        return;
    }
    *word = TOUCHED;
    do {
        u64 value;

        again = wait_for_harness();
        value = read_word(word);
        begin_line("touch", gpa);
        field("value", value);
        field("wanted", TOUCHED);
        field("machine_checks", machine_checks);
        end_line();
    } while (again);
}
