/*
 * prefault measuring guest under UEFI: the image's PE header, and the way from
 * UEFI's long mode to 32-bit flat mode.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The code does not mind where it is loaded, so there are no relocations.  Code
 * and data lie in sections of their own, for firmware that keeps memory either
 * writable or executable.  Numbers of the header: "PE Format" of Microsoft.
 */
        .section .header, "a"
        .ascii  "MZ"
        .org    0x3c
        .long   signature
        .balign 8
signature:
        .ascii  "PE\0\0"
        .word   0x8664                  /* x86-64 */
        .word   2                       /* sections */
        .long   0, 0, 0
        .word   optional_end - optional
        .word   0x22                    /* executable, large addresses */
optional:
        .word   0x20b                   /* PE32+ */
        .word   0
        .long   text_bytes, data_bytes, 0
        .long   efi_main, text_start
        .quad   0                       /* preferred address: none */
        .long   0x1000, 0x1000          /* alignment in memory and file */
        .long   0, 0, 0, 0
        .long   image_bytes
        .long   text_start              /* size of the headers */
        .long   0
        .word   10                      /* an EFI application */
        .word   0x100                   /* data need not be executable */
        .quad   0, 0, 0, 0
        .long   0
        .long   6                       /* data directories: all empty */
        .quad   0, 0, 0, 0, 0, 0
optional_end:
        .ascii  ".text\0\0\0"
        .long   text_bytes, text_start, text_bytes, text_start, 0, 0, 0
        .long   0x60000020              /* code, readable, executable */
        .ascii  ".data\0\0\0"
        .long   data_bytes, data_start, data_bytes, data_start, 0, 0, 0
        .long   0xc0000040              /* data, readable, writable */

/*
 * void enter_kernel(const void *code, u64 address, u64 bytes, u64 entry)
 *
 * Switch paging off, copy the code to its address and jump to its entry.  All
 * four have to lie below 4 GiB, as we do.  Copied only then: paging might forbid
 * the write.
 */
        .text
        .globl  enter_kernel
enter_kernel:
        cli
        cld
        movq    %rdx, %rbp
        movq    %rcx, %rbx
        xchgq   %rdi, %rsi
        leaq    gdt(%rip), %rax
        subq    $16, %rsp
        movw    $gdt_end - gdt - 1, (%rsp)
        movq    %rax, 2(%rsp)
        lgdt    (%rsp)
        leaq    flat(%rip), %rax
        pushq   $8
        pushq   %rax
        lretq

        .code32
flat:
        movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    %cr0, %eax
        andl    $0x7fffffff, %eax       /* no paging */
        movl    %eax, %cr0
        movl    $0xc0000080, %ecx       /* EFER */
        rdmsr
        andl    $~0x100, %eax           /* no long mode */
        wrmsr
        xorl    %eax, %eax
        movl    %eax, %cr4
        movl    %ebp, %ecx
        rep movsb
        jmp     *%ebx

        .section .rodata
        .balign 8
gdt:
        .quad   0
        .quad   0x00cf9b000000ffff      /* 0x08: code, flat, accessed */
        .quad   0x00cf93000000ffff      /* 0x10: data, flat, accessed */
gdt_end:
        .globl  kernel_elf
        .balign 8
kernel_elf:
        .incbin "kernel.elf"

        .section .note.GNU-stack, "", @progbits
