/*
 * KVM as a backend of prefault: on which vCPU memory is mapped
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "hw/core/prefault-compat.h"
#include "hw/core/cpu.h"
#include "hw/core/prefault-backend.h"
#include "qapi/error.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "system/cpus.h"
#include "system/kvm.h"
#include "system/kvm_int.h"
#include "system/kvm-prefault.h"
#include "convert.h"
#include "first-touch.h"
#include "own-thread.h"
#include "pre-fault.h"
#include "retention.h"
#include "slot-zap.h"

/*
 * A vCPU that memory is mapped on.  KVM takes a mutex of the vCPU for the whole
 * call.  Workers wait for @lock instead, before the call, so that the time of a
 * call is not spent waiting: kvm_pre_fault_map() bounds it.
 */
typedef struct BackendVcpu {
    CPUState *cpu;
    QemuMutex lock;
    Stat64 left_alone_until;    /* ns, as get_clock() */
} BackendVcpu;

/*
 * How long a vCPU is left alone that refused.  All may refuse, in SMM or while
 * nested guests run, and there can be a thousand.
 */
#define LEFT_ALONE_NS (100 * SCALE_MS)

/*
 * Calls in a row that run out of time before backend_map_held() takes the root
 * for retired.  One is no proof: a worker that waits for its CPU runs out of
 * time as well.
 */
#define HELD_TRIES 3

/* What a host must have for KVM_CAP_PRE_FAULT_MEMORY */
#if defined(TARGET_I386)
#define BACKEND_TAKES "Linux 6.11 or later and nested paging (EPT or NPT)"
#elif defined(TARGET_AARCH64)
#define BACKEND_TAKES "Linux 7.4 or later"
#elif defined(TARGET_S390X)
#define BACKEND_TAKES "Linux 7.2 or later"
#else
#define BACKEND_TAKES "a Linux that has it for this architecture"
#endif

static bool backend_in_use(void)
{
    return kvm_enabled();
}

static bool backend_can_map(Error **errp)
{
    if (!kvm_pre_fault_is_supported()) {
        error_setg(errp, "KVM cannot map guest memory in advance: no "
                   "KVM_CAP_PRE_FAULT_MEMORY, which takes " BACKEND_TAKES);
        return false;
    }
    if (!PREFAULT_COMPAT_PRIVATE &&
        machine_require_guest_memfd(current_machine)) {
        error_setg(errp, "the guest's memory is private (guest_memfd), and "
                   "following its conversions takes QEMU 10.1 or later, this "
                   "is " QEMU_VERSION);
        return false;
    }
    return true;
}

static bool backend_set_up(Error **errp)
{
    return kvm_slot_zap_set_up(errp);
}

static void backend_vcpu_add(GPtrArray *vcpus, CPUState *cpu)
{
    BackendVcpu *vcpu = g_new0(BackendVcpu, 1);

    vcpu->cpu = cpu;
    object_ref(OBJECT(cpu));
    qemu_mutex_init(&vcpu->lock);
    g_ptr_array_add(vcpus, vcpu);
}

static void backend_vcpu_free(void *opaque)
{
    BackendVcpu *vcpu = opaque;

    object_unref(OBJECT(vcpu->cpu));
    qemu_mutex_destroy(&vcpu->lock);
    g_free(vcpu);
}

static GPtrArray *backend_begin(PrefaultVia via)
{
    GPtrArray *vcpus = g_ptr_array_new_with_free_func(backend_vcpu_free);
    CPUState *cpu;

    assert(bql_locked());
    CPU_FOREACH(cpu) {
        if (via == PREFAULT_VIA_VCPU_THREAD ||
            (cpu_is_stopped(cpu) && kvm_pre_fault_can_use(cpu))) {
            backend_vcpu_add(vcpus, cpu);
        }
    }
    return vcpus;
}

static void backend_retention(PrefaultRetention *figures)
{
    figures->slot_zap_all = kvm_slot_zap_all();
    kvm_retention_counts(&figures->slots_kept, &figures->slots_dropped);
}

static PrefaultConversions *backend_conversions(void)
{
#if PREFAULT_COMPAT_PRIVATE
    return machine_require_guest_memfd(current_machine)
           ? kvm_convert_figures() : NULL;
#else
    return NULL;
#endif
}

/*
 * A vCPU whose root may be retired drops it on its own thread, where all that
 * reads and writes its registers happens.
 */
static int backend_map_held(BackendVcpu *vcpu, unsigned generation, hwaddr gpa,
                            uint64_t size, uint64_t *mapped)
{
    int ret = -ETIME;

    for (int i = 0; ret == -ETIME && !*mapped && i < HELD_TRIES; i++) {
        QEMU_LOCK_GUARD(&vcpu->lock);
        ret = kvm_pre_fault_map(vcpu->cpu, generation, gpa, size, mapped);
    }
    return ret == -ETIME && !*mapped
           ? kvm_own_thread_map(vcpu->cpu, generation, gpa, size, mapped) : ret;
}

static int backend_map_on(BackendVcpu *vcpu, PrefaultVia via,
                          unsigned generation, hwaddr gpa, uint64_t size,
                          uint64_t *mapped)
{
    int ret = via == PREFAULT_VIA_DESCRIPTOR
              ? backend_map_held(vcpu, generation, gpa, size, mapped)
              : kvm_own_thread_map(vcpu->cpu, generation, gpa, size, mapped);
    bool refuses = !*mapped && prefault_errno_is_of_vcpu(-ret);

    stat64_set(&vcpu->left_alone_until,
               refuses ? get_clock() + LEFT_ALONE_NS : 0);
    return ret;
}

static bool backend_is_left_alone(BackendVcpu *vcpu)
{
    return stat64_get(&vcpu->left_alone_until) > get_clock();
}

/* A worker's own vCPU is asked each time: it is the first to map again */
static int backend_map_on_some(const GPtrArray *vcpus, PrefaultVia via,
                               unsigned worker, unsigned generation, hwaddr gpa,
                               uint64_t size, uint64_t *mapped)
{
    int ret = -ENODEV;

    for (unsigned i = 0; i < vcpus->len; i++) {
        BackendVcpu *vcpu = g_ptr_array_index(vcpus, (worker + i) % vcpus->len);

        if (i && backend_is_left_alone(vcpu)) {
            continue;
        }
        ret = backend_map_on(vcpu, via, generation, gpa, size, mapped);
        if (*mapped || !prefault_errno_is_of_vcpu(-ret)) {
            break;
        }
    }
    return ret;
}

static int backend_map(const GPtrArray *vcpus, PrefaultVia via, unsigned worker,
                       unsigned generation, hwaddr gpa, uint64_t size,
                       uint64_t *mapped)
{
    *mapped = 0;
    return via == PREFAULT_VIA_THIS_THREAD
           ? kvm_own_thread_map_here(current_cpu, generation, gpa, size, mapped)
           : backend_map_on_some(vcpus, via, worker, generation, gpa, size,
                                 mapped);
}

static const PrefaultBackend backend_kvm = {
    .in_use = backend_in_use,
    .can_map = backend_can_map,
    .set_up = backend_set_up,
    .begin = backend_begin,
    .map = backend_map,
    .exits = kvm_first_touch_exits,
    .retention = backend_retention,
    .conversions = backend_conversions,
};

void kvm_prefault_class_init(ObjectClass *oc)
{
    prefault_accel_class_init(oc, &backend_kvm);
}
