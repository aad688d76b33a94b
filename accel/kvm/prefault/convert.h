/*
 * Requests to convert guest memory: what KVM and the guest ask QEMU for
 *
 * Implicit requests are KVM_EXIT_MEMORY_FAULT: the guest touched a page as
 * private that is shared, or the other way round.  Explicit ones are
 * KVM_HC_MAP_GPA_RANGE, of the guest itself or made by KVM of what SEV-SNP and
 * TDX guests ask for.  Both are checked here, converted (conversion.h),
 * counted, and their memory is prefaulted.  A request that cannot be fulfilled
 * is reported with the guest address, the memory region and the flags, and the
 * guest is stopped in state internal-error.
 *
 * This is so with prefault off, too: then QEMU maps what was converted by
 * hypercall, all of it at once, as it always does.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_PREFAULT_CONVERT_H
#define ACCEL_KVM_PREFAULT_CONVERT_H

#include "exec/hwaddr.h"
#include "hw/core/cpu.h"
#include "qapi/qapi-types-prefault.h"

/**
 * kvm_convert_figures: what was converted so far
 *
 * Context: BQL.
 *
 * Returns: figures, but for what is owed, for qapi_free_PrefaultConversions();
 * never NULL.
 */
PrefaultConversions *kvm_convert_figures(void);

#endif /* ACCEL_KVM_PREFAULT_CONVERT_H */
