/*
 * KVM_PRE_FAULT_MEMORY for kernel headers that do not have it yet
 *
 * The ABI is Linux's (Documentation/virt/kvm/api.rst, since 6.11); Debian 12's
 * headers are of 6.1.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef KVM_PRE_FAULT_H
#define KVM_PRE_FAULT_H

#include <linux/kvm.h>

#ifndef KVM_PRE_FAULT_MEMORY
struct kvm_pre_fault_memory {
    __u64 gpa;
    __u64 size;
    __u64 flags;
    __u64 padding[5];
};
#define KVM_PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, struct kvm_pre_fault_memory)
#endif

#endif /* KVM_PRE_FAULT_H */
