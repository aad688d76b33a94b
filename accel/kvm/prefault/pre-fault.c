/*
 * The one place that calls KVM_PRE_FAULT_MEMORY to prefault
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "hw/core/cpu.h"
#include "qemu/error-report.h"
#include "system/kvm.h"
#include "pre-fault.h"

#ifdef TARGET_I386
/*
 * A change of CR3 resets the MMU; nothing runs between the change and its
 * undoing.  SREGS2 (since Linux 5.14) keeps PDPTRs, which the older call would
 * read from the changed address.  A vCPU whose state is protected refuses, or
 * says 0 and changes nothing.
 */
bool kvm_pre_fault_drop_root(CPUState *cpu)
{
    struct kvm_sregs2 sregs, other, now;

    if (kvm_vcpu_ioctl(cpu, KVM_GET_SREGS2, &sregs) < 0) {
        return false;
    }
    other = sregs;
    other.cr3 ^= 0x1000;
    if (kvm_vcpu_ioctl(cpu, KVM_SET_SREGS2, &other) < 0 ||
        kvm_vcpu_ioctl(cpu, KVM_GET_SREGS2, &now) < 0 ||
        now.cr3 != other.cr3) {
        return false;
    }
    if (kvm_vcpu_ioctl(cpu, KVM_SET_SREGS2, &sregs) < 0) {
        error_report("prefault: CR3 of CPU %d cannot be set back: reset the "
                     "guest before it runs", cpu->cpu_index);
    }
    return true;
}
#else
bool kvm_pre_fault_drop_root(CPUState *cpu)
{
    return true;
}
#endif

int kvm_pre_fault_map(CPUState *cpu, hwaddr gpa, uint64_t size,
                      uint64_t *mapped)
{
    struct kvm_pre_fault_memory mem = { .gpa = gpa, .size = size };
    int ret = kvm_vcpu_ioctl(cpu, KVM_PRE_FAULT_MEMORY, &mem);

    *mapped = size - mem.size;
    if (ret == -EFAULT || ret == -EHWPOISON) {
        /*
         * KVM noted a memory fault as if KVM_RUN had failed.  Nobody must take
         * that for the reason if KVM_RUN fails later without giving one.
         */
        cpu->kvm_run->exit_reason = KVM_EXIT_UNKNOWN;
    }
    return ret;
}
