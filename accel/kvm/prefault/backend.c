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
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "hw/core/prefault.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "system/cpus.h"
#include "system/kvm.h"
#include "system/kvm_int.h"
#include "system/kvm-prefault.h"
#include "convert.h"
#include "pre-fault.h"
#include "refill.h"
#include "retention.h"
#include "slot-zap.h"

/* The vCPUs of the run under way; changes only while there are no workers */
static GPtrArray *prefault_vcpus;

/* The launch is not finished: private memory comes after it.  Atomic */
static bool private_later;

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

static bool kvm_prefault_set_up(Error **errp)
{
    kvm_refill_set_up();
    return kvm_slot_zap_set_up(errp);
}

static void kvm_prefault_begin(void)
{
    CPUState *cpu;

    kvm_refill_stop();
    prefault_vcpus = g_ptr_array_new_with_free_func(object_unref);
    CPU_FOREACH(cpu) {
        kvm_pre_fault_drop_root(cpu);
        g_ptr_array_add(prefault_vcpus, object_ref(OBJECT(cpu)));
    }
}

static void kvm_prefault_end(void)
{
    g_clear_pointer(&prefault_vcpus, g_ptr_array_unref);
    /* Also after a run that was cut short: the guest may start all the same */
    kvm_refill_start();
    if (qatomic_xchg(&private_later, false)) {
        kvm_refill_private();
    }
}

static void kvm_prefault_map_later(void)
{
    kvm_refill_start();
    kvm_refill_dropped_all();
}

static void kvm_prefault_retention(PrefaultRetention *figures)
{
    figures->slot_zap_all = kvm_slot_zap_all();
    kvm_retention_counts(&figures->slots_kept, &figures->slots_dropped);
    kvm_refill_counts(&figures->refilled, &figures->refill_pending);
}

static PrefaultConversions *kvm_prefault_conversions(void)
{
    return machine_require_guest_memfd(current_machine)
           ? kvm_convert_counts() : NULL;
}

static int kvm_prefault_map(unsigned worker, hwaddr gpa, uint64_t size,
                            uint64_t *mapped)
{
    sigset_t kick;
    int ret;

    if (!prefault_vcpus->len) {
        return -ENODEV;
    }
    sigemptyset(&kick);
    sigaddset(&kick, SIG_IPI);
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL);

    ret = kvm_pre_fault_map(
        g_ptr_array_index(prefault_vcpus, worker % prefault_vcpus->len), gpa,
        size, mapped);
    if (ret == -EOPNOTSUPP) {
        qatomic_set(&private_later, true);
    }
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
    .set_up = kvm_prefault_set_up,
    .begin = kvm_prefault_begin,
    .map = kvm_prefault_map,
    .kick = kvm_prefault_kick,
    .end = kvm_prefault_end,
    .map_later = kvm_prefault_map_later,
    .retention = kvm_prefault_retention,
    .conversions = kvm_prefault_conversions,
};

void kvm_prefault_class_init(ObjectClass *oc)
{
    prefault_accel_class_init(oc, &kvm_prefault_backend);
    kvm_slot_zap_class_init(oc);
}
