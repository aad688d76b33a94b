/*
 * Halting until the harness says "go" with QMP inject-nmi, in 32 and 64 bits.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

/* In a function: return once \count, which NMIs count, differs from \seen */
        .macro  halt_until_nmi count, seen
wait_check:
        cmpl    \count, \seen
        jne     1f
wait_hlt:
        hlt
        jmp     wait_check
1:      ret
        .endm

/*
 * The NMI's handler.  An NMI between the check and the hlt goes back to the
 * check, or the hlt would miss it.
 *
 * size:   suffix of instructions on addresses, l or q
 * sp:     the stack pointer, which is where the CPU put the address
 * return: the instruction that ends it
 * lock:   lock if several CPUs count
 */
        .macro  nmi_handler count, size, sp, return, lock
nmi_entry:
        \lock   incl \count
        cmp\size $wait_check, (\sp)
        jb      1f
        cmp\size $wait_hlt, (\sp)
        ja      1f
        mov\size $wait_check, (\sp)
1:      \return
        .endm
