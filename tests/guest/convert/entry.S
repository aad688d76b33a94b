/*
 * prefault converting guest: the way of each CPU to long mode.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Linked to run at 0xF0000 (convert.ld), in the ROM that -bios makes on microvm,
 * pc and q35.  The first CPU comes from the reset vector, the others with SIPI,
 * straight into the ROM.  As in ../entry.S descriptors have their accessed bit
 * set, and everything that is written lives in RAM.
 *
 * RAM may be private.  KVM's instruction emulator, which also steps over
 * VMMCALL on a CPU that does not say how long it is, reads memory through QEMU's
 * mapping: it sees zeros where the guest sees private memory.  So what it has to
 * read is shared: the code is in the ROM, and the memory for page tables is
 * converted before they are written.  They cannot be in the ROM, for a CPU with
 * nested paging takes reading them for writes.
 */
#include "../flat.h"

        .set    ROM, 0xf0000
        .set    TABLE_PAGES, 18         /* PML4, PDPT, 16 directories: 16 GiB */
        .set    LARGE_PAGES, 16 * 512

        .section .reset, "ax"
        .code16
        .globl  reset_vector
reset_vector:
        ljmp    $0xf000, $0
        .balign 16, 0xff

        /* Offset 0 of the ROM: SIPI can name a page only */
        .section .text.entry, "ax"
        .code16
start16:
        flat32  "gdt_pointer - ROM"
        movl    $0x1b, %ecx             /* APIC_BASE: is this the first CPU? */
        rdmsr
        testl   $0x100, %eax
        jz      1f
        movl    $bss_start, %edi
        movl    $bss_bytes, %ecx
        xorl    %eax, %eax
        rep stosb
        movl    $stacks, %esp           /* for one call; the place is free */
        addl    $STACK_BYTES, %esp
        call    share_page_tables
        call    write_page_tables
1:      movl    %cr4, %eax
        orl     $0x60, %eax             /* PAE, MCE */
        movl    %eax, %cr4
        movl    $page_tables, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx       /* EFER */
        rdmsr
        orl     $0x100, %eax            /* LME */
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
        ljmpl   $24, $start64

/*
 * If KVM announces the hypercall: some other KVM would want to patch the
 * instruction, for ever, as it is in a ROM.  Memory is shared there anyway.
 */
share_page_tables:
        movl    $0x40000000, %eax
        cpuid
        cmpl    $0x4b4d564b, %ebx       /* "KVMK" */
        jne     2f
        movl    $0x40000001, %eax
        cpuid
        testl   $0x10000, %eax          /* KVM_FEATURE_HC_MAP_GPA_RANGE */
        jz      2f
        xorl    %eax, %eax
        cpuid
        movl    %ebx, %esi
        movl    $12, %eax               /* KVM_HC_MAP_GPA_RANGE */
        movl    $page_tables, %ebx
        movl    $TABLE_PAGES, %ecx
        xorl    %edx, %edx              /* to shared */
        cmpl    $0x756e6547, %esi       /* "Genu", Intel */
        je      1f
        vmmcall
        ret
1:      vmcall
2:      ret

/* The first 16 GiB as they are, with pages of 2 MiB */
write_page_tables:
        movl    $page_tables, %edi
        xorl    %eax, %eax
        movl    $TABLE_PAGES * 1024, %ecx
        rep stosl
        movl    $page_tables, %edi
        leal    0x1003(%edi), %eax
        movl    %eax, (%edi)
        addl    $0x1000, %eax
        movl    $16, %ecx
1:      movl    %eax, 0x1000(%edi)
        addl    $0x1000, %eax
        addl    $8, %edi
        loop    1b
        movl    $page_tables + 0x2000, %edi
        movl    $LARGE_PAGES, %ecx
        movl    $0x83, %eax             /* present, writable, large */
        xorl    %edx, %edx
1:      movl    %eax, (%edi)
        movl    %edx, 4(%edi)
        addl    $0x200000, %eax
        adcl    $0, %edx
        addl    $8, %edi
        loop    1b
        ret

        .code64
start64:
        lidt    idt_pointer
        movl    $1, %eax
        cpuid
        shrl    $24, %ebx               /* its APIC's ID: 0 to N - 1 in QEMU */
        movl    %ebx, %edi
        cmpl    $MAX_CPUS, %edi
        jae     1f
        leal    1(%rdi), %eax
        imull   $STACK_BYTES, %eax
        leaq    stacks(%rax), %rsp
        call    cpu_main                /* with the CPU's number */
1:      cli
        hlt
        jmp     1b

        .section .rodata.tables, "a"
        flat_gdt 0x00af9b000000ffff     /* 0x18: 64-bit code, accessed */

        .section .note.GNU-stack, "", @progbits
