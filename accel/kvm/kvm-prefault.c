/*
 * KVM's side of prefault
 *
 * Owns the contract of KVM_PRE_FAULT_MEMORY: the one place that calls it to
 * prefault, and what its answers mean.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "hw/core/cpu.h"
#include "hw/core/prefault.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "system/cpus.h"
#include "system/kvm.h"
#include "system/kvm_int.h"
#include "system/kvm-prefault.h"

/* The vCPUs of the run under way; changes only while there are no workers */
static GPtrArray *prefault_vcpus;

static bool kvm_prefault_in_use(void)
{
    return kvm_enabled();
}

static bool kvm_prefault_can_map(Error **errp)
{
    if (!kvm_pre_fault_memory_supported) {
        error_setg(errp, "KVM cannot map guest memory in advance: no "
                   "KVM_CAP_PRE_FAULT_MEMORY, which takes Linux 6.11 or later "
                   "and nested paging (EPT or NPT)");
        return false;
    }
    return true;
}

#ifdef TARGET_I386
/*
 * Make a vCPU take a new page table root when it next needs one.
 *
 * Deleting a memslot retires the roots of a default VM.  A vCPU lets go of a
 * retired root when it enters the guest; KVM_PRE_FAULT_MEMORY does that only
 * since Linux 6.15 (commit 20a6cff3b283, "Check and free obsolete roots in
 * kvm_mmu_reload()") and before tries again for ever.  A change of CR3 resets
 * the MMU; nothing runs between the change and its undoing.  SREGS2 (since
 * Linux 5.14) keeps PDPTRs, which the older call would read from the changed
 * address.  A vCPU whose state is protected refuses: deleting a memslot retires
 * no root there.
 */
static void kvm_prefault_drop_root(CPUState *cpu)
{
    struct kvm_sregs2 sregs, other;

    if (kvm_vcpu_ioctl(cpu, KVM_GET_SREGS2, &sregs) < 0) {
        return;
    }
    other = sregs;
    other.cr3 ^= 0x1000;
    if (kvm_vcpu_ioctl(cpu, KVM_SET_SREGS2, &other) == 0 &&
        kvm_vcpu_ioctl(cpu, KVM_SET_SREGS2, &sregs) < 0) {
        error_report("prefault: CR3 of CPU %d cannot be set back: reset the "
                     "guest before it runs", cpu->cpu_index);
    }
}
#else
static void kvm_prefault_drop_root(CPUState *cpu)
{
}
#endif

static void kvm_prefault_begin(void)
{
    CPUState *cpu;

    prefault_vcpus = g_ptr_array_new_with_free_func(object_unref);
    CPU_FOREACH(cpu) {
        kvm_prefault_drop_root(cpu);
        g_ptr_array_add(prefault_vcpus, object_ref(OBJECT(cpu)));
    }
}

static void kvm_prefault_end(void)
{
    g_clear_pointer(&prefault_vcpus, g_ptr_array_unref);
}

/*
 * One call of KVM_PRE_FAULT_MEMORY (Linux, Documentation/virt/kvm/api.rst).
 *
 * It maps as a read fault does: what the host has not populated for write
 * would become the shared zero page, so the caller populates first.  It
 * returns 0 as soon as one page was mapped and says in gpa and size what is
 * left; the caller goes on from there.  Any thread may call it on a vCPU that
 * is not running, and it works on the page table root that this vCPU uses now:
 * the normal one, not SMM's, while the vCPU is stopped before its start.  It
 * holds the vCPU's mutex and KVM's SRCU read lock throughout: see
 * prefault_engine_invalidate().
 *
 * Errors:
 * -EINTR: a signal is pending.  Where a page is poisoned KVM raises SIGBUS and
 *         tries again; workers block SIGBUS, so that goes on until the kick.
 *         Populating has found such pages before, unless they are new
 * -EAGAIN: a memslot is being deleted (since Linux 6.18)
 * -ENOENT: no memslot there
 * -EOPNOTSUPP: shadow paging, a nested guest, or a confidential guest that is
 *              not finalized
 * -EINVAL: not aligned to pages, or empty
 * -ENOMEM, -EFAULT, -EIO: as for a page fault
 */
static int kvm_prefault_map(unsigned worker, hwaddr gpa, uint64_t size,
                            uint64_t *mapped)
{
    struct kvm_pre_fault_memory mem = { .gpa = gpa, .size = size };
    sigset_t kick;
    int ret;

    if (!prefault_vcpus->len) {
        return -ENODEV;
    }
    sigemptyset(&kick);
    sigaddset(&kick, SIG_IPI);
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL);

    ret = kvm_vcpu_ioctl(g_ptr_array_index(prefault_vcpus,
                                           worker % prefault_vcpus->len),
                         KVM_PRE_FAULT_MEMORY, &mem);
    *mapped = size - mem.size;
    return ret;
}

static void kvm_prefault_kick(QemuThread *thread)
{
    /* Its handler does nothing in a thread that is not a vCPU's */
    pthread_kill(thread->thread, SIG_IPI);
}

static const PrefaultBackend kvm_prefault_backend = {
    .in_use = kvm_prefault_in_use,
    .can_map = kvm_prefault_can_map,
    .begin = kvm_prefault_begin,
    .map = kvm_prefault_map,
    .kick = kvm_prefault_kick,
    .end = kvm_prefault_end,
};

void kvm_prefault_class_init(ObjectClass *oc)
{
    prefault_accel_class_init(oc, &kvm_prefault_backend);
}
