/*
 * Poisoned memory under a guest
 *
 * The host's memory behind a page is broken.  If the page is private, KVM_RUN
 * fails with EHWPOISON; if it is shared, the vCPU's thread gets SIGBUS.  The
 * guest gets a machine check if it can take one; a reset gives it other memory.
 *
 * A guest without private memory comes here if KVM_RUN fails with EHWPOISON and
 * names the page, as it may.  Its SIGBUS is QEMU's to handle.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_PREFAULT_POISON_H
#define ACCEL_KVM_PREFAULT_POISON_H

#include "exec/hwaddr.h"
#include "hw/core/cpu.h"

/* For the message: why the guest is stopped */
#define POISON_NOT_TOLD \
    "the host's memory is poisoned, and the guest cannot be told: it is stopped"

/**
 * kvm_poison_tell_guest: KVM_RUN says that a page is poisoned
 * @cpu: the vCPU that touched it, whose thread this is
 * @gpa: guest address, anywhere in the page
 *
 * Queues a machine check, with QMP's event MEMORY_FAILURE.  A private page is
 * replaced when the guest is reset, told or not; QEMU replaces another if told.
 *
 * Context: BQL.
 *
 * Returns: false if there is no RAM, or if the guest cannot take one: it has no
 * recoverable machine checks, its state is protected, or an exception is being
 * delivered (its stack or handler is then the poisoned page).
 */
bool kvm_poison_tell_guest(CPUState *cpu, hwaddr gpa);

/**
 * kvm_poison_tell_fatal: send MEMORY_FAILURE for poison that stops the guest
 *
 * Context: BQL.
 */
void kvm_poison_tell_fatal(void);

/**
 * kvm_poison_count: how many private pages were found poisoned
 *
 * Context: BQL.
 *
 * Returns: their number since QEMU was started.
 */
uint64_t kvm_poison_count(void);

#endif /* ACCEL_KVM_PREFAULT_POISON_H */
