/*
 * From the reset vector's 16-bit code at 0xF0000 to 32-bit flat mode, for the
 * assembly of firmware images.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * gdt, idt: where in the ROM their pointers are; idt may be left out.  start32 is
 * the first instruction in flat mode, for whoever comes there another way.
 */
        .macro  flat32 gdt, idt
        cli
        cld
        movw    $0xf000, %ax
        movw    %ax, %ds
        lgdtl   %cs:\gdt
        .ifnb   \idt
        lidtl   %cs:\idt
        .endif
        movl    %cr0, %eax
        /* PE on; CD and NW, set at reset, off: caches as a real guest has them */
        andl    $0x9fffffff, %eax
        orl     $1, %eax
        movl    %eax, %cr0
        ljmpl   $8, $start32

        .code32
start32:
        movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %fs
        movw    %ax, %gs
        movw    %ax, %ss
        .endm
