/*
 * prefault converting guest: where RAM is, and memory for its own data.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "../fw-cfg.h"
#include "convert.h"

enum {
    E820_RAM = 1,
    OURS_START = 1 << 20,
};

#define REACH (16ull << 30)     /* of entry.S's page tables */

struct ram ram;
static u64 next_free;

/* QEMU lists one range below 4 GiB and at most one above. */
void memory_init(void)
{
    u32 entries = fw_cfg_open("etc/e820") / 20;

    next_free = OURS_START;
    while (entries--) {
        u64 start = fw_cfg_read(8, 0);
        u64 end = start + fw_cfg_read(8, 0);

        if (fw_cfg_read(4, 0) != E820_RAM) {
            continue;
        }
        if (start < OURS_START) {
            ram.low_end = end;
        } else if (start == FOUR_GIB) {
            ram.high_end = end < REACH ? end : REACH;
        }
    }
    if (ram.low_end < 2 * OURS_END) {
        die("too little RAM");
    }
}

void *allocate(u64 bytes)
{
    u64 *words = (u64 *)next_free;

    bytes = (bytes + PAGE - 1) & -(u64)PAGE;
    if (bytes > OURS_END - next_free) {
        die("too little memory for the guest's own data: a smaller window?");
    }
    next_free += bytes;
    for (u64 i = 0; i < bytes / sizeof(*words); i++) {
        words[i] = 0;           /* a reset does not do it */
    }
    return words;
}
