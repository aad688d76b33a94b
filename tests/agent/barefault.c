/*
 * prefault bare program: populates and maps guest memory with nothing of QEMU
 * round it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The yardstick for QEMU's prefault on one thread: one VM, one memslot of
 * anonymous memory at guest address 0, one vCPU, and on them
 *     madvise(MADV_HUGEPAGE), one madvise(MADV_POPULATE_WRITE) of the whole,
 *     KVM_PRE_FAULT_MEMORY until nothing is left.
 * Times are CLOCK_MONOTONIC, in ns.  Prints one line:
 *     barefault: mib=N advise_ns=N populate_ns=N map_ns=N total_ns=N calls=N
 *     pages_4k=N pages_2m=N
 * "barefault --capability NUMBER" prints KVM_CHECK_EXTENSION of that on /dev/kvm
 * instead.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "kvm-pre-fault.h"

enum { ADVICE_POPULATE_WRITE = 23 };

static long long now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int checked(int result, const char *what)
{
    if (result < 0) {
        err(1, "%s", what);
    }
    return result;
}

/* Anonymous memory aligned to a huge page, as QEMU's is. */
static void *reserve(size_t size)
{
    const size_t align = 2 << 20;
    char *memory = mmap(NULL, size + align, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED) {
        err(1, "mmap");
    }
    return memory + (align - (size_t)memory % align) % align;
}

static int map_all(int vcpu, size_t size)
{
    struct kvm_pre_fault_memory range = { .size = size };
    int calls = 0;

    while (range.size) {
        calls++;
        if (ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &range) && errno != EINTR) {
            err(1, "KVM_PRE_FAULT_MEMORY");
        }
    }
    return calls;
}

/* One of the VM's binary statistics, -1 if the kernel has none of the name. */
static long long vm_stat(int vm, const char *name)
{
    struct kvm_stats_header header;
    int fd = checked(ioctl(vm, KVM_GET_STATS_FD, 0), "KVM_GET_STATS_FD");
    char descriptor[sizeof(struct kvm_stats_desc) + 256];
    struct kvm_stats_desc *desc = (void *)descriptor;
    long long value = -1;

    checked(pread(fd, &header, sizeof(header), 0), "stats header");
    for (__u32 i = 0; i < header.num_desc; i++) {
        size_t size = sizeof(*desc) + header.name_size;

        checked(pread(fd, descriptor, size, header.desc_offset + i * size),
                "stats descriptor");
        if (!strcmp(desc->name, name)) {
            checked(pread(fd, &value, sizeof(value),
                          header.data_offset + desc->offset), "stats data");
        }
    }
    close(fd);
    return value;
}

int main(int argc, char **argv)
{
    size_t mib = argc > 1 ? strtoul(argv[1], NULL, 0) : 256, size = mib << 20;
    int kvm = checked(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
    struct kvm_userspace_memory_region slot = { .memory_size = size };
    long long start, advised, populated, mapped;
    int vm, vcpu, calls;
    void *memory;

    if (argc > 2 && !strcmp(argv[1], "--capability")) {
        printf("%d\n", ioctl(kvm, KVM_CHECK_EXTENSION, atoi(argv[2])));
        return 0;
    }
    vm = checked(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
    memory = reserve(size);
    slot.userspace_addr = (__u64)memory;
    checked(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot), "memslot");
    vcpu = checked(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");

    start = now_ns();
    checked(madvise(memory, size, MADV_HUGEPAGE), "MADV_HUGEPAGE");
    advised = now_ns();
    checked(madvise(memory, size, ADVICE_POPULATE_WRITE),
            "MADV_POPULATE_WRITE");
    populated = now_ns();
    calls = map_all(vcpu, size);
    mapped = now_ns();
    printf("barefault: mib=%zu advise_ns=%lld populate_ns=%lld map_ns=%lld "
           "total_ns=%lld calls=%d pages_4k=%lld pages_2m=%lld\n", mib,
           advised - start, populated - advised, mapped - populated,
           mapped - start, calls, vm_stat(vm, "pages_4k"),
           vm_stat(vm, "pages_2m"));
    return 0;
}
