/*
 * Prefault errnos: what an answer of KVM_PRE_FAULT_MEMORY leads to
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/core/prefault-backend.h"
#include "errnos.h"

/* A poisoned page interrupts for ever; each try takes some milliseconds */
#define INTR_MAX 20

/* No change of a memslot takes a second */
#define AGAIN_MAX 1000
#define AGAIN_US 1000

#define EACH(what) .fate = (what), .patient = (what)

/*
 * Where an errno is KVM's: Documentation/virt/kvm/api.rst, 4.143, and
 * virt/kvm/kvm_main.c, kvm_vcpu_pre_fault_memory().  Ours are ETIME, EBUSY,
 * ENODEV and ECANCELED.
 */
static const PrefaultErrno errnos[] = {
    /* A signal is pending */
    { EINTR, .tries = INTR_MAX, .fate = PREFAULT_FATE_LEAVE_OUT,
      .patient = PREFAULT_FATE_LATER, .hides_poison = true },
    /* No page in the time that a call has */
    { ETIME, .tries = INTR_MAX, .fate = PREFAULT_FATE_LEAVE_OUT,
      .patient = PREFAULT_FATE_LATER, .hides_poison = true },
    /* A memslot is being deleted (since Linux 6.18), or vCPUs race (arm64) */
    { EAGAIN, .tries = AGAIN_MAX, .pause_us = AGAIN_US,
      .fate = PREFAULT_FATE_FAIL_ALL, .patient = PREFAULT_FATE_LATER },
    /* The vCPU uses other page tables, or does not answer */
    { EBUSY, EACH(PREFAULT_FATE_LATER), .of_vcpu = true, .hides_poison = true },
    /* Shadow paging, a nested guest, a confidential guest not yet finalized */
    { EOPNOTSUPP, EACH(PREFAULT_FATE_LATER), .of_vcpu = true },
    /* The vCPU is not initialised (arm64, since Linux 7.4) */
    { ENOEXEC, EACH(PREFAULT_FATE_LATER), .of_vcpu = true },
    /* There is no vCPU */
    { ENODEV, EACH(PREFAULT_FATE_LATER) },
    /* The memory map has changed */
    { ECANCELED, EACH(PREFAULT_FATE_STALE) },
    /* Private memory; ordinary memory is told when it is populated */
    { EHWPOISON, EACH(PREFAULT_FATE_LEAVE_OUT) },
};

const PrefaultErrno *prefault_errno(int err)
{
    static const PrefaultErrno other = { EACH(PREFAULT_FATE_FAIL) };

    for (int i = 0; i < ARRAY_SIZE(errnos); i++) {
        if (errnos[i].err == err) {
            return &errnos[i];
        }
    }
    return &other;
}

bool prefault_errno_is_of_vcpu(int err)
{
    return prefault_errno(err)->of_vcpu;
}
