/*
 * What all guests of ours share: QEMU's fw_cfg device, through its ports.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One reader at a time: the device has one selected item and one offset.
 * Numbers: QEMU, docs/specs/fw_cfg.rst.
 */
#ifndef PREFAULT_GUEST_FW_CFG_H
#define PREFAULT_GUEST_FW_CFG_H

#include "io.h"

enum {
    PORT_FW_CFG_SELECT = 0x510,
    PORT_FW_CFG_DATA = 0x511,
    FW_CFG_FILE_DIR = 0x19,
};

HELPER u64 fw_cfg_read(u32 bytes, int big_endian)
{
    u64 value = 0;

    for (u32 i = 0; i < bytes; i++) {
        u64 byte = inb(PORT_FW_CFG_DATA);

        value |= byte << 8 * (big_endian ? bytes - 1 - i : i);
    }
    return value;
}

/*
 * Look for the file @name and select it.  Returns its size, 0 if there is none;
 * *@key, if not NULL, is what selects it anew.
 */
HELPER u32 fw_cfg_find(const char *name, u16 *key)
{
    outw(PORT_FW_CFG_SELECT, FW_CFG_FILE_DIR);
    for (u32 count = fw_cfg_read(4, 1); count; count--) {
        u32 size = fw_cfg_read(4, 1);
        u16 select = fw_cfg_read(4, 1) >> 16;
        int same = 1, ended = 0;

        for (u32 i = 0; i < 56; i++) {
            char c = inb(PORT_FW_CFG_DATA);

            if (!ended) {
                same &= c == name[i];
                ended = !c || !name[i];
            }
        }
        if (same) {
            outw(PORT_FW_CFG_SELECT, select);
            if (key) {
                *key = select;
            }
            return size;
        }
    }
    return 0;
}

/* Select the file @name.  Returns its size, 0 if there is none. */
HELPER u32 fw_cfg_open(const char *name)
{
    return fw_cfg_find(name, 0);
}

/* The decimal number in the file @name, 0 if there is none */
HELPER u64 fw_cfg_number(const char *name)
{
    u32 size = fw_cfg_open(name);
    u64 number = 0;

    while (size--) {
        number = number * 10 + inb(PORT_FW_CFG_DATA) - '0';
    }
    return number;
}

#endif
