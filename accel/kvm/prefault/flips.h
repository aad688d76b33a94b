/*
 * Pages that are converted again and again
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_PREFAULT_FLIPS_H
#define ACCEL_KVM_PREFAULT_FLIPS_H

#include "exec/hwaddr.h"

/**
 * kvm_flips_watch: count the conversions of a page, and warn if it has too many
 * @gpa: guest address of the first page of the conversion
 *
 * Context: BQL.
 */
void kvm_flips_watch(hwaddr gpa);

#endif /* ACCEL_KVM_PREFAULT_FLIPS_H */
