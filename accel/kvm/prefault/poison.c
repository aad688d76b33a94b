/*
 * Poisoned memory under a guest
 *
 * All state is protected by the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "hw/core/prefault-compat.h"
#include "qapi/qapi-events-run-state.h"
#include "system/hw_accel.h"
#include "system/kvm.h"
#include "system/kvm_int.h"
#include "system/reset.h"
#include "system/runstate.h"
#include "system/kvm-prefault.h"
#include "poison.h"
#include "stop.h"
#ifdef TARGET_I386
#include "cpu.h"
#endif

/* Host addresses, in shared memory, of private pages */
static GPtrArray *poison_hosts;
static uint64_t poison_pages;

/*
 * Give back the poisoned pages, so that the guest gets others.  A block may be
 * gone since.  A page that cannot be given back stays poisoned: an error is
 * dropped, as KVM_RUN fails with EHWPOISON again when the guest touches it.
 */
static void poison_replace(void *opaque)
{
    RCU_READ_LOCK_GUARD();
    for (unsigned i = 0; i < poison_hosts->len; i++) {
        ram_addr_t offset;
        RAMBlock *rb = qemu_ram_block_from_host(
            g_ptr_array_index(poison_hosts, i), false, &offset);

        if (rb && rb->guest_memfd >= 0) {
            ram_block_discard_guest_memfd_range(rb, offset,
                                                qemu_real_host_page_size());
        }
    }
    g_ptr_array_set_size(poison_hosts, 0);
}

static void poison_note(void *host)
{
    if (!poison_hosts) {
        poison_hosts = g_ptr_array_new();
        qemu_register_reset(poison_replace, NULL);
    }
    if (!g_ptr_array_find(poison_hosts, host, NULL)) {
        g_ptr_array_add(poison_hosts, host);
        poison_pages++;
    }
}

#ifdef TARGET_I386
/*
 * kvm_arch_on_sigbus_vcpu() exits QEMU if the guest has no recoverable machine
 * checks (MCG_SER_P), so check first.  The state of a protected guest cannot be
 * changed.
 */
static bool poison_inject(CPUState *cpu, void *host)
{
    CPUX86State *env = &X86_CPU(cpu)->env;

    if (!(env->mcg_cap & MCG_SER_P) || kvm_state->guest_state_protected) {
        return false;
    }
    /* QEMU cannot put a machine check before an exception that is pending */
    cpu_synchronize_state(cpu);
    if (env->exception_nr != -1) {
        return false;
    }
    kvm_arch_on_sigbus_vcpu(cpu, BUS_MCEERR_AR, host);
    return true;
}
#else
static bool poison_inject(CPUState *cpu, void *host)
{
    return false;
}
#endif

void kvm_poison_tell_fatal(void)
{
    MemoryFailureFlags flags = { .action_required = true };

    assert(bql_locked());
    qapi_event_send_memory_failure(MEMORY_FAILURE_RECIPIENT_HYPERVISOR,
                                   MEMORY_FAILURE_ACTION_FATAL, &flags);
}

bool kvm_poison_tell_guest(CPUState *cpu, hwaddr gpa)
{
    MemoryRegionSection found = memory_region_find(get_system_memory(), gpa, 1);
    bool told = false;

    assert(bql_locked());
    if (!found.mr) {
        return false;
    }
    if (memory_region_is_ram(found.mr)) {
        void *host = found.mr->ram_block->host +
                     QEMU_ALIGN_DOWN(found.offset_within_region,
                                     qemu_real_host_page_size());

        if (memory_region_has_guest_memfd(found.mr)) {
            poison_note(host);
        }
        told = poison_inject(cpu, host);
    }
    memory_region_unref(found.mr);
    return told;
}

uint64_t kvm_poison_count(void)
{
    return poison_pages;
}

bool kvm_poison_on_sigbus(int code, void *host)
{
    hwaddr gpa = 0;

    assert(bql_locked());
    if (code != BUS_MCEERR_AR ||
        !machine_require_guest_memfd(current_machine)) {
        return false;
    }
    /* Without a memslot for @host the message says 0, and the guest stops */
    kvm_physical_memory_addr_from_host(kvm_state, host, &gpa);
    kvm_poison_tell_fatal();
    kvm_stop_report("SIGBUS", gpa, qemu_real_host_page_size(), 0,
                    POISON_NOT_TOLD);
    /* On this thread: the vCPU must not touch the page again before the stop */
    vm_stop(RUN_STATE_INTERNAL_ERROR);
    return true;
}
