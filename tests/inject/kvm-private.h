/*
 * Private guest memory, for kernel headers that do not have it yet
 *
 * The ABI is Linux's (Documentation/virt/kvm/api.rst, since 6.8); Debian 12's
 * headers are of 6.1.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_PRIVATE_H
#define KVM_PRIVATE_H

#include <linux/kvm.h>

#ifndef KVM_SET_USER_MEMORY_REGION2
#define KVM_SET_USER_MEMORY_REGION2 0x40a0ae49
#endif

#ifndef KVM_SET_MEMORY_ATTRIBUTES
struct kvm_memory_attributes {
    __u64 address;
    __u64 size;
    __u64 attributes;
    __u64 flags;
};
#define KVM_SET_MEMORY_ATTRIBUTES \
    _IOW(KVMIO, 0xd2, struct kvm_memory_attributes)
#endif

#ifndef KVM_CREATE_GUEST_MEMFD
struct kvm_create_guest_memfd {
    __u64 size;
    __u64 flags;
    __u64 reserved[6];
};
#define KVM_CREATE_GUEST_MEMFD \
    _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)
#endif

/* kvm_run's memory_fault, which has no name of its own in the kernel's header */
struct memory_fault {
    __u64 flags;
    __u64 gpa;
    __u64 size;
};

#endif /* KVM_PRIVATE_H */
