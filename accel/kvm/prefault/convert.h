/*
 * Requests by KVM and the guest to convert guest memory
 *
 * Implicit requests are KVM_EXIT_MEMORY_FAULT: the guest touched a page as
 * private that is shared, or the other way round.  Explicit ones are
 * KVM_HC_MAP_GPA_RANGE: the guest makes this hypercall, or KVM turns a request
 * of an SEV-SNP or TDX guest into it.  Both are checked here, converted
 * (conversion.h), counted, and their memory is prefaulted.  A request that
 * cannot be fulfilled is reported with the guest address, the memory region and
 * the flags, and the guest is stopped in state internal-error.
 *
 * A memory fault need not be cured by converting.  Since Linux 7.4 KVM reports
 * ordinary memory in this way whose page the host cannot supply, also that of a
 * guest without private memory.  So a vCPU that reports the same address again
 * and again, where converting changes nothing, is let try a few times, and then
 * the guest is stopped as above.
 *
 * Requests are served with prefault off, too: then QEMU maps the memory that a
 * hypercall converted, all of it at once, as it always does; and it stops a
 * guest without private memory at the first memory fault.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_PREFAULT_CONVERT_H
#define ACCEL_KVM_PREFAULT_CONVERT_H

#include "exec/hwaddr.h"
#include "hw/core/cpu.h"
#include "qapi/qapi-types-prefault.h"

/**
 * kvm_convert_figures: count the conversions so far
 *
 * Context: BQL.
 *
 * Returns: figures, without those of owed memory, which the caller fills in;
 * for qapi_free_PrefaultConversions(); never NULL.
 */
PrefaultConversions *kvm_convert_figures(void);

#endif /* ACCEL_KVM_PREFAULT_CONVERT_H */
