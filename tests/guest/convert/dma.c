/*
 * prefault converting guest: what QEMU writes, with fw_cfg's DMA interface.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Reads opt/prefault/message (text of at most a page) into shared memory, which
 * has to show it; converts that page to private and back, and it has to be
 * zeros; reads the message into private memory, and it must not show there.
 *   prefault-convert: dma=1 result=N bytes=N wrong=N kept=N leak=N
 * result is the first answer of KVM that is not 0; wrong counts bytes that are not
 * those of the message, kept bytes that are not zero, leak bytes that changed.
 * On an ordinary VM, all of whose memory is shared, wrong is 0 and the others
 * are not.
 * Numbers: QEMU, docs/specs/fw_cfg.rst.
 */
#include "../fw-cfg.h"
#include "convert.h"

enum {
    PORT_DMA_HIGH = 0x514,
    PORT_DMA_LOW = 0x518,
    DMA_ERROR = 1,
    DMA_READ = 2,
    DMA_SELECT = 8,
    OURS = 0xa5,                /* no letter */
};

struct access {                 /* big endian */
    volatile u32 control;
    u32 length;
    u64 address;
};

static u64 result;

static void convert(const void *page, u64 flags)
{
    u64 answer = map_gpa_range((u64)page, 1, flags);

    result = result ? result : answer;
}

/* QEMU has done it when the second half of the address is written. */
static void dma_read(struct access *access, u16 key, const void *to, u32 bytes)
{
    access->length = __builtin_bswap32(bytes);
    access->address = __builtin_bswap64((u64)to);
    access->control = __builtin_bswap32((u32)key << 16 | DMA_SELECT | DMA_READ);
    outl(PORT_DMA_HIGH, 0);
    __asm__ volatile("" : : : "memory");
    outl(PORT_DMA_LOW, __builtin_bswap32((u32)(u64)access));
    __asm__ volatile("" : : : "memory");
    if (access->control) {
        die("fw_cfg's DMA failed");
    }
}

static u32 count_other_than(const volatile u8 *page, u32 bytes, u8 wanted)
{
    u32 count = 0;

    for (u32 i = 0; i < bytes; i++) {
        count += page[i] != wanted;
    }
    return count;
}

static u32 count_wrong(const volatile u8 *page, u32 bytes, u16 key)
{
    u32 count = 0;

    outw(PORT_FW_CFG_SELECT, key);
    for (u32 i = 0; i < bytes; i++) {
        count += page[i] != inb(PORT_FW_CFG_DATA);
    }
    return count;
}

static void fill(volatile u8 *page, u32 bytes, u8 value)
{
    for (u32 i = 0; i < bytes; i++) {
        page[i] = value;
    }
}

void dma_run(void)
{
    struct access *access;
    volatile u8 *page;
    u32 bytes, wrong, kept, leak;
    u16 key = 0;

    if (!fw_cfg_number("opt/prefault/dma")) {
        return;
    }
    bytes = fw_cfg_find("opt/prefault/message", &key);
    bytes = bytes < PAGE ? bytes : PAGE;
    access = allocate(PAGE);
    page = allocate(PAGE);
    wait_for_harness();

    convert(access, TO_SHARED);
    convert((void *)page, TO_SHARED);
    dma_read(access, key, (void *)page, bytes);
    wrong = count_wrong(page, bytes, key);

    convert((void *)page, TO_PRIVATE);
    convert((void *)page, TO_SHARED);
    kept = count_other_than(page, bytes, 0);

    convert((void *)page, TO_PRIVATE);
    fill(page, bytes, OURS);
    dma_read(access, key, (void *)page, bytes);
    leak = count_other_than(page, bytes, OURS);

    begin_line("dma", 1);
    field_signed("result", result);
    field("bytes", bytes);
    field("wrong", wrong);
    field("kept", kept);
    field("leak", leak);
    end_line();
}
