/*
 * KVM_PRE_FAULT_MEMORY: its contract, and the meaning of its errors
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "hw/core/cpu.h"
#include "hw/core/prefault-backend.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "system/cpus.h"
#include "system/kvm.h"
#include "system/kvm_int.h"
#include "system/runstate.h"
#include "system/kvm-prefault.h"
#include "pre-fault.h"
#include "trace.h"
#ifdef TARGET_I386
#include "cpu.h"
#endif

/*
 * The time of one call.  It is enough for thousands of pages, and a thread that
 * changes the memory map or cancels a run waits no longer than this.
 */
#define BOUND_NS (5 * SCALE_MS)

/* Attempts to put EFER back before pre_fault_stop_guest() */
#define RESTORE_TRIES 3

static void pre_fault_timer_free(gpointer opaque)
{
    timer_t *timer = opaque;

    timer_delete(*timer);
    g_free(timer);
}

/* A timer that interrupts this thread; made at the thread's first call */
static GPrivate pre_fault_timer = G_PRIVATE_INIT(pre_fault_timer_free);

/*
 * The timer sends SIG_IPI, whose handler makes a vCPU's thread look for work
 * before it enters the guest again, and does nothing in any other thread.
 */
static int pre_fault_timer_make(void)
{
    struct sigevent event = {
        .sigev_notify = SIGEV_THREAD_ID,
        .sigev_signo = SIG_IPI,
    };
    timer_t timer;
    sigset_t signals;

    event._sigev_un._tid = qemu_get_thread_id();
    if (timer_create(CLOCK_MONOTONIC, &event, &timer)) {
        int err = errno;

        warn_report_once("prefault: a thread that maps memory gets no timer: "
                         "%s (RLIMIT_SIGPENDING of all processes of this user, "
                         "one for each worker and each vCPU?)", strerror(err));
        return -err;
    }
    g_private_set(&pre_fault_timer, g_memdup2(&timer, sizeof(timer)));
    sigemptyset(&signals);
    sigaddset(&signals, SIG_IPI);
    pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
    return 0;
}

/*
 * The timer repeats, because a signal that arrives before the ioctl does not
 * interrupt it.  With a valid timer and times timer_settime() cannot fail.
 */
static void pre_fault_timer_set(int64_t ns)
{
    struct itimerspec spec = {
        .it_value.tv_nsec = ns,
        .it_interval.tv_nsec = ns,
    };

    timer_settime(*(timer_t *)g_private_get(&pre_fault_timer), 0, &spec, NULL);
}

static int pre_fault_call(CPUState *cpu, struct kvm_pre_fault_memory *mem)
{
    int64_t begun = get_clock();
    uint64_t size = mem->size;
    int ret;

    pre_fault_timer_set(BOUND_NS);
    ret = kvm_vcpu_ioctl(cpu, KVM_PRE_FAULT_MEMORY, mem);
    pre_fault_timer_set(0);
    return ret == -EINTR && mem->size == size &&
           get_clock() - begun >= BOUND_NS ? -ETIME : ret;
}

bool kvm_pre_fault_is_supported(void)
{
    return kvm_vm_check_extension(kvm_state, KVM_CAP_PRE_FAULT_MEMORY) > 0;
}

int kvm_pre_fault_map(CPUState *cpu, unsigned generation, hwaddr gpa,
                      uint64_t size, uint64_t *mapped)
{
    struct kvm_pre_fault_memory mem = { .gpa = gpa, .size = size };
    int ret = g_private_get(&pre_fault_timer) ? 0 : pre_fault_timer_make();

    *mapped = 0;
    if (ret) {
        return ret;
    }
    if (!prefault_gate_enter(generation)) {
        return -ECANCELED;
    }
    ret = pre_fault_call(cpu, &mem);
    *mapped = size - mem.size;
    trace_kvm_pre_fault_map(cpu->cpu_index, gpa, size, *mapped, ret);
    if (ret == -EFAULT || ret == -EHWPOISON) {
        /*
         * KVM noted a memory fault as if KVM_RUN had failed.  Erase it, or
         * kvm_convert_on_exit() would take it for the reason when KVM_RUN fails
         * later without giving one.
         */
        cpu->kvm_run->exit_reason = KVM_EXIT_UNKNOWN;
    }
    /* A reset that makes a new VM unmaps kvm_run once nobody is inside */
    prefault_gate_leave();
    return ret;
}

#ifdef TARGET_I386
/* A query that fails counts as no: KVM refuses neither to a vCPU that exists */
static bool pre_fault_in_smm(CPUState *cpu)
{
    struct kvm_vcpu_events events = {};

    return kvm_vcpu_ioctl(cpu, KVM_GET_VCPU_EVENTS, &events) == 0 &&
           events.flags & KVM_VCPUEVENT_VALID_SMM && events.smi.smm;
}

static bool pre_fault_in_nested_guest(CPUState *cpu)
{
    int size = kvm_max_nested_state_length();
    g_autofree struct kvm_nested_state *nested = NULL;

    if (size <= 0) {
        return false;
    }
    nested = g_malloc0(size);
    nested->size = size;
    return kvm_vcpu_ioctl(cpu, KVM_GET_NESTED_STATE, nested) >= 0 &&
           nested->flags & KVM_STATE_NESTED_GUEST_MODE;
}

/* Ask KVM: QEMU's registers may be newer than KVM's, kvm_run's flags older */
bool kvm_pre_fault_can_use(CPUState *cpu)
{
    assert(bql_locked());
    return !pre_fault_in_smm(cpu) && !pre_fault_in_nested_guest(cpu);
}

static bool pre_fault_set_efer(CPUState *cpu, uint64_t efer)
{
    struct {
        struct kvm_msrs info;
        struct kvm_msr_entry entry;
    } msrs = { .info.nmsrs = 1, .entry = { .index = MSR_EFER, .data = efer } };

    return kvm_vcpu_ioctl(cpu, KVM_SET_MSRS, &msrs) == 1;
}

static bool pre_fault_get_efer(CPUState *cpu, uint64_t *efer)
{
    struct {
        struct kvm_msrs info;
        struct kvm_msr_entry entry;
    } msrs = { .info.nmsrs = 1, .entry.index = MSR_EFER };
    bool ok = kvm_vcpu_ioctl(cpu, KVM_GET_MSRS, &msrs) == 1;

    *efer = msrs.entry.data;
    return ok;
}

static void pre_fault_stop_guest(CPUState *cpu)
{
    error_report("prefault: EFER of CPU %d cannot be set back: the guest is "
                 "stopped, and must be reset", cpu->cpu_index);
    if (runstate_is_running()) {
        /* On this thread: the vCPU must not run before it is stopped */
        vm_stop(RUN_STATE_INTERNAL_ERROR);
    } else {
        kvm_prefault_stop_guest();
    }
}

/*
 * A change of EFER.NX resets the MMU of the vCPU (Linux, arch/x86/kvm/x86.c,
 * set_efer()) and touches nothing else.  Other registers that reset it have
 * side effects: KVM_SET_SREGS2 loses the low bits of the APIC's TPR.
 */
bool kvm_pre_fault_drop_root(CPUState *cpu)
{
    uint64_t efer;
    bool dropped;

    assert(bql_locked());
    if (!pre_fault_get_efer(cpu, &efer)) {
        return false;
    }
    dropped = pre_fault_set_efer(cpu, efer ^ MSR_EFER_NXE);
    trace_kvm_pre_fault_drop_root(cpu->cpu_index, dropped);
    /* Put EFER back even if the call failed: KVM may have changed it first */
    for (int tries = 0; tries < RESTORE_TRIES; tries++) {
        if (pre_fault_set_efer(cpu, efer)) {
            return dropped;
        }
    }
    pre_fault_stop_guest(cpu);
    return false;
}
#else
bool kvm_pre_fault_can_use(CPUState *cpu)
{
    assert(bql_locked());
    return true;
}

bool kvm_pre_fault_drop_root(CPUState *cpu)
{
    assert(bql_locked());
    return false;
}
#endif
