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

/*
 * The descriptors of flat mode, and more from 0x18 on.  All are accessed already:
 * in a ROM the CPU could not set that bit.
 */
        .macro  flat_gdt more:vararg
        .balign 8
gdt:
        .quad   0
        .quad   0x00cf9b000000ffff      /* 0x08: code */
        .quad   0x00cf93000000ffff      /* 0x10: data */
        .ifnb   \more
        .quad   \more
        .endif
gdt_end:
gdt_pointer:
        .word   gdt_end - gdt - 1
        .long   gdt
        .endm
