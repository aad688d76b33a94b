/*
 * prefault converting guest: exceptions, NMI, and the instructions that C
 * cannot do.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * There is no TSS: whatever comes uses the stack that is in use, which is why
 * the C code has no red zone.
 */
#include "../nmi.h"

        .set    ROM, 0xf0000
        .set    VECTORS, 32

        .text
        .code64
/* u64 hypercall(u64 number, u64 first, u64 second, u64 third) */
        .globl  hypercall
hypercall:
        pushq   %rbx
        movq    %rdi, %rax
        movq    %rsi, %rbx
        xchgq   %rcx, %rdx
        cmpl    $0, cpu_is_intel
        jne     1f
        vmmcall
        jmp     2f
1:      vmcall
2:      popq    %rbx
        ret

/* u64 read_word(const volatile u64 *word): if it cannot be read, all ones */
        .globl  read_word, read_word_begin, read_word_end
read_word:
        movq    $-1, %rax
read_word_begin:
        movq    (%rdi), %rax
read_word_end:
        ret

/* void wait_for_nmi(u32 seen): halt until nmi_count differs from seen. */
        .globl  wait_for_nmi
wait_for_nmi:
        halt_until_nmi nmi_count, %edi

        nmi_handler nmi_count, q, %rsp, iretq, lock

/* The stack is struct frame of convert.h. */
common_entry:
        pushq   %rax
        pushq   %rcx
        pushq   %rdx
        pushq   %rbx
        pushq   %rbp
        pushq   %rsi
        pushq   %rdi
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        cld
        movq    %rsp, %rdi
        movq    %rsp, %rbp              /* kept by the call */
        andq    $-16, %rsp
        call    exception
        movq    %rbp, %rsp
        popq    %r11
        popq    %r10
        popq    %r9
        popq    %r8
        popq    %rdi
        popq    %rsi
        popq    %rbp
        popq    %rbx
        popq    %rdx
        popq    %rcx
        popq    %rax
        addq    $16, %rsp               /* vector, error */
        iretq

        .balign 16
entries:
        .set    vector, 0
        .rept   VECTORS
        .balign 16
        /* Those that push an error code themselves: 8, 10 to 14, 17, 21 */
        .if     ((0x227d00 >> vector) & 1) == 0
        pushq   $0
        .endif
        pushq   $vector
        jmp     common_entry
        .set    vector, vector + 1
        .endr

        .section .rodata.idt, "a"
        .balign 16
idt:
        .set    vector, 0
        .rept   VECTORS
        .if     vector == 2
        .word   nmi_entry - ROM
        .else
        .word   entries - ROM + vector * 16
        .endif
        .word   0x18
        .word   0x8e00                  /* interrupt gate */
        .word   ROM >> 16
        .long   0, 0
        .set    vector, vector + 1
        .endr
idt_end:
        .globl  idt_pointer
idt_pointer:
        .word   idt_end - idt - 1
        .quad   idt

        .section .note.GNU-stack, "", @progbits
