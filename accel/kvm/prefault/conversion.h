/*
 * Conversion of guest memory between private and shared
 *
 * A conversion is asked for by guest address, of any number of pages: it may
 * span several memory regions, memslots and RAM blocks, and holes between them.
 * It changes, in this order,
 *
 *   1. KVM's attributes, by a call for each region,
 *   2. the record of each RAM block (RamBlockAttributes), which tells its
 *      listeners, for instance VFIO, to map or unmap the pages,
 *   3. the memory of the side that is left, which is given back to the host.
 *
 * If step 1 or 2 fails, everything done so far is undone: each page is then as
 * it was.  Memory is given back last, when no later step can fail.  Memory that
 * cannot be given back stays in use and is counted, and the conversion stands.
 *
 * Shared memory on hugetlb pages is kept when it becomes private: it was
 * allocated for the guest beforehand, and a hugetlb page is larger than the
 * pages that a guest converts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_PREFAULT_CONVERSION_H
#define ACCEL_KVM_PREFAULT_CONVERSION_H

#include "exec/hwaddr.h"
#include "qapi/error.h"
#include "hw/core/prefault-compat.h"

/**
 * KvmConversionResult: figures of a conversion
 * @changed: bytes that were on the other side before
 * @kept: bytes on the side that was left that could not be given back
 */
typedef struct KvmConversionResult {
    uint64_t changed;
    uint64_t kept;
} KvmConversionResult;

/* A conversion that is complete, except that memory remains to be given back */
typedef struct KvmConversion KvmConversion;

/**
 * kvm_conversion_begin: make guest memory private or shared
 *
 * @start: guest address
 * @size: bytes
 * @to_private: private, or else shared
 * @errp: set to the problem, in words that can follow the range
 *
 * @start and @size may come from the guest: anything is checked.  Pages that
 * are as wanted already are no error, for two vCPUs may ask for the same page;
 * KVM is told again all the same.
 *
 * Addresses without guest_memfd (holes, MMIO, ROMs) stay shared.  A range to be
 * private must have guest_memfd somewhere; a range to be shared need not, for
 * firmware converts the MMIO window as a whole.
 *
 * Context: BQL, so that no two conversions and no change of the memory map
 * overlap.
 *
 * Returns: the conversion, for kvm_conversion_give_back() and
 * kvm_conversion_end(); the guest may go on at once.  NULL on failure: then
 * nothing has changed, unless @errp says that a change could not be undone.
 */
KvmConversion *kvm_conversion_begin(hwaddr start, uint64_t size,
                                    bool to_private, Error **errp);

/**
 * kvm_conversion_give_back: give some memory of the side that was left back
 *
 * @c: from kvm_conversion_begin()
 *
 * A call takes a few milliseconds at most; hundreds of MiB take many calls,
 * between which the BQL may be released.  Pages that were converted again
 * meanwhile are left to that later conversion.
 *
 * Context: BQL.
 *
 * Returns: true if there is more memory to give back.
 */
bool kvm_conversion_give_back(KvmConversion *c);

/**
 * kvm_conversion_end: forget a conversion
 *
 * @c: from kvm_conversion_begin(); freed.  Memory that was not given back stays
 *     in use until it is converted again.
 * @result: filled in
 *
 * Context: BQL.
 */
void kvm_conversion_end(KvmConversion *c, KvmConversionResult *result);

#endif /* ACCEL_KVM_PREFAULT_CONVERSION_H */
