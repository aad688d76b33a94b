/*
 * Filling: guest memory is populated and mapped between two KVM_RUN of a vCPU
 *
 * The mechanism of refill (kvm-refill.h), which says what is filled and when.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_PREFAULT_VCPU_MAP_H
#define ACCEL_KVM_PREFAULT_VCPU_MAP_H

#include "exec/hwaddr.h"
#include "hw/core/cpu.h"
#include "system/kvm_int.h"

/**
 * kvm_vcpu_map_begin: can this vCPU map memory just now?
 * @cpu: the vCPU whose thread this is, between two KVM_RUN
 *
 * Before each series of kvm_vcpu_map_piece() without a pause of the BQL: the
 * vCPU drops its page table root, which may be retired.
 *
 * Context: BQL.
 *
 * Returns: false if it is in SMM or runs a nested guest, or its state was
 * changed.
 */
bool kvm_vcpu_map_begin(CPUState *cpu);

/**
 * kvm_vcpu_map_piece: fill a piece of guest memory
 * @cpu: as above; kvm_vcpu_map_begin() was true
 * @start: guest address, a multiple of the host's page size
 * @end: guest address, likewise, more than @start
 * @populate: populate shared memory for write first; otherwise only memory
 *            that the host has is mapped
 * @done: the bytes that were mapped are added to this
 *
 * A piece is 2 MiB at most, 64 pages of what is mapped page by page.  Private
 * memory is always allocated.  What has no memslot with room is left out as a
 * whole: a guest may name any range.  Poisoned pages are left out.
 *
 * Context: BQL.
 *
 * Returns: where to go on, or @start if this vCPU cannot map anything just now.
 */
hwaddr kvm_vcpu_map_piece(CPUState *cpu, hwaddr start, hwaddr end,
                          bool populate, uint64_t *done);

#endif /* ACCEL_KVM_PREFAULT_VCPU_MAP_H */
