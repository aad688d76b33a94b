/*
 * Run a program with memory from one host node only
 *
 * usage: membind NODE PROGRAM [ARGUMENT ...]
 *
 * As numactl --membind does, which the bed does not have.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    unsigned long nodes;

    if (argc < 3) {
        fprintf(stderr, "usage: membind NODE PROGRAM [ARGUMENT ...]\n");
        return 2;
    }
    nodes = 1UL << atoi(argv[1]);
    /* One bit more, because the kernel ignores the last one */
    if (syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 8 * sizeof(nodes) + 1)) {
        perror("membind");
        return 1;
    }
    execv(argv[2], argv + 2);
    perror(argv[2]);
    return 1;
}
