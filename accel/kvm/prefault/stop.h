/*
 * A guest that cannot go on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_PREFAULT_STOP_H
#define ACCEL_KVM_PREFAULT_STOP_H

#include "exec/hwaddr.h"

/**
 * kvm_stop_report: say which memory the guest cannot go on with, and why
 * @what: the name of the exit, hypercall or signal that found it
 * @gpa: guest address
 * @size: bytes
 * @flags: as KVM or the guest gave them
 * @problem: words that end the sentence
 *
 * kvm_stop_report() does not stop the guest: see kvm_prefault_stop_guest().
 *
 * Context: BQL.
 */
void kvm_stop_report(const char *what, hwaddr gpa, uint64_t size,
                     uint64_t flags, const char *problem);

#endif /* ACCEL_KVM_PREFAULT_STOP_H */
