/*
 * Conversion of guest memory between private and shared
 *
 * A conversion is asked for by guest address, of any number of pages: it may
 * span several memory regions, memslots and RAM blocks, and what is no memory
 * at all.  It changes, in this order,
 *
 *   1. KVM's attributes, a call for each region,
 *   2. the record of each RAM block (RamBlockAttributes), which tells its
 *      listeners, for instance VFIO, what to map or unmap,
 *   3. the memory of the side that is left, which is given back.
 *
 * A step that fails in 1 or 2 is undone, with all before it: the pages are then
 * as they were, page by page.  Memory is given back last, when no later step
 * can fail.  Memory that cannot be given back stays in use and is counted, and
 * the conversion stands.
 *
 * Shared memory on hugetlb pages is kept when it becomes private: it was
 * allocated for the guest beforehand, and its pages are larger than the range
 * that is converted.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_PREFAULT_CONVERSION_H
#define ACCEL_KVM_PREFAULT_CONVERSION_H

#include "exec/hwaddr.h"
#include "qapi/error.h"
#include "system/ramblock.h"

/**
 * KvmConversionResult: what a conversion did
 * @changed: bytes that were on the other side before
 * @kept: bytes of the side that was left and could not be given back
 */
typedef struct KvmConversionResult {
    uint64_t changed;
    uint64_t kept;
} KvmConversionResult;

/* A conversion that is done but for giving back memory */
typedef struct KvmConversion KvmConversion;

/**
 * kvm_conversion_begin: make guest memory private or shared
 *
 * @start: guest address
 * @size: bytes
 * @to_private: private, or else shared
 * @errp: set to what is wrong, in words that can follow the range
 *
 * @start and @size may come from the guest: anything is checked.  Pages that
 * are as wanted already are no error, for two vCPUs may ask for the same page;
 * KVM is told again all the same.
 *
 * In a range to be private, what has no guest_memfd (holes, MMIO, ROMs) stays
 * as it is, if some of the range has.  In a range to be shared all such
 * addresses are shared already: firmware converts the MMIO window as a whole.
 *
 * Context: BQL, so that no two conversions and no change of the memory map
 * overlap.
 *
 * Returns: the conversion, for kvm_conversion_give_back() and
 * kvm_conversion_end(); the guest may go on at once.  NULL on failure:
 * nothing is changed then, unless @errp says that it could not be undone.
 */
KvmConversion *kvm_conversion_begin(hwaddr start, uint64_t size,
                                    bool to_private, Error **errp);

/**
 * kvm_conversion_give_back: give some of the other side back to the host
 *
 * @c: from kvm_conversion_begin()
 *
 * It takes a few milliseconds at most; hundreds of MiB take many calls, between
 * which the BQL may be released.  Pages that were converted again meanwhile are
 * left to that conversion.
 *
 * Context: BQL.
 *
 * Returns: true if there is more.
 */
bool kvm_conversion_give_back(KvmConversion *c);

/**
 * kvm_conversion_end: forget a conversion
 *
 * @c: from kvm_conversion_begin(); freed.  What was not given back stays in use
 *     until it is converted again.
 * @result: filled in
 *
 * Context: BQL.
 */
void kvm_conversion_end(KvmConversion *c, KvmConversionResult *result);

#endif /* ACCEL_KVM_PREFAULT_CONVERSION_H */
