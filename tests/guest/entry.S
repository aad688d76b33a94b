/*
 * prefault measuring guest: its entries as firmware and as a kernel, the way to
 * 32-bit flat mode, NMI.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Firmware (guest.ld) is linked to run at 0xF0000, where the machine types
 * microvm, pc and q35 all show the last 64 KiB of -bios.  It is a ROM: KVM maps
 * it read-only, and a CPU that tries to set a descriptor's accessed bit in it
 * would fault for ever.  So every descriptor here has the bit set already,
 * and everything that is written lives in RAM.
 *
 * The kernel (kernel.ld) is started by firmware, with the Multiboot protocol.
 */
#include "flat.h"
#include "nmi.h"

        .section .multiboot, "a"
        .globl  multiboot_header, multiboot_start
        .balign 4
multiboot_header:
        .long   0x1badb002, 0, -0x1badb002

        .section .text.multiboot, "ax"
        .code32
multiboot_start:
        cli
        cld
        lgdtl   gdt_pointer
        lidtl   idt_pointer
        ljmpl   $8, $start32

        .section .reset, "ax"
        .code16
        .globl  reset_vector, start16, gdt_pointer, idt_pointer, nmi_entry
reset_vector:
        ljmp    $0xf000, $start16_offset
        .balign 16, 0xff

        .section .text.entry, "ax"
        .code16
start16:
        flat32  gdt_pointer_offset, idt_pointer_offset
        movl    $stack_top, %esp
        movl    $bss_start, %edi
        movl    $bss_bytes, %ecx
        xorl    %eax, %eax
        rep stosb
        call    guest_main
1:      cli
        hlt
        jmp     1b

/* void wait_for_go(u32 seen): halt until go_count differs from seen. */
        .globl  wait_for_go
wait_for_go:
        movl    4(%esp), %eax
        halt_until_nmi go_count, %eax

        nmi_handler go_count, l, %esp, iret

        .section .rodata.tables, "a"
        flat_gdt

        .balign 8
idt:
        .quad   0
        .quad   0
        /* Vector 2, NMI: 32-bit interrupt gate into segment 8. */
        .word   nmi_entry_offset
        .word   8
        .word   0x8e00
        .word   nmi_entry_high
idt_end:
idt_pointer:
        .word   idt_end - idt - 1
        .long   idt

        .section .note.GNU-stack, "", @progbits
