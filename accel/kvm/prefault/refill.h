/*
 * Refill: what a change of the memory map dropped is mapped again
 *
 * While the guest runs, memory whose stage-2 mappings went away with a memslot
 * is mapped again in small steps, each as a work item of a vCPU.  A work item
 * has the BQL, so no memslot changes meanwhile, and makes the vCPU leave the
 * guest, so one that never leaves by itself is no obstacle.  Steps begin when
 * the memory map has been at rest for a while: firmware changes it many times
 * in a row.
 *
 * Only what the host has in memory is mapped: the guest may have handed the
 * rest back through a balloon, and KVM would map the zero page, read-only.
 * That holds for private memory too, of which QEMU cannot know what is there:
 * it is mapped as a whole, for guests hand shared memory back.  What the guest
 * has just converted it is going to use: it is populated as well.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_PREFAULT_REFILL_H
#define ACCEL_KVM_PREFAULT_REFILL_H

#include "exec/hwaddr.h"
#include "hw/core/cpu.h"

/**
 * kvm_refill_set_up: get ready
 *
 * Opens /proc/self/pagemap, which QEMU may be unable to reach later.  Without
 * it nothing is refilled, with a warning when there is something to refill.
 *
 * Context: BQL, once, when the machine is complete, before all others below.
 */
void kvm_refill_set_up(void);

/**
 * kvm_refill_start: from now on, map again what is dropped
 *
 * Context: BQL.
 */
void kvm_refill_start(void);

/**
 * kvm_refill_stop: forget what was dropped; somebody else will map all memory
 *
 * Context: BQL.
 */
void kvm_refill_stop(void);

/**
 * kvm_refill_dropped: the stage-2 mappings of some memory are gone
 * @start: guest address, in bytes
 * @size: bytes
 *
 * Memory that cannot be mapped in advance when its turn comes (a memslot that
 * is read-only or logs dirty pages, or no memslot) is left alone.
 *
 * Context: BQL.
 */
void kvm_refill_dropped(hwaddr start, hwaddr size);

/**
 * kvm_refill_dropped_all: the stage-2 mappings of all memory are gone
 *
 * Context: BQL.
 */
void kvm_refill_dropped_all(void);

/**
 * kvm_refill_converted: guest memory was converted between private and shared
 * @start: guest address, a multiple of the host's page size
 * @size: bytes, likewise
 *
 * Its pages are to be populated, if they are shared when their turn comes, and
 * mapped.  What was dropped is only mapped, and only if the host has it.  Goes
 * before what was dropped.
 *
 * Context: BQL.
 */
void kvm_refill_converted(hwaddr start, hwaddr size);

/**
 * kvm_refill_private: map all private memory, once KVM lets it
 *
 * KVM refuses to map private memory before the guest's launch is finished
 * (SEV-SNP) or finalized (TDX), and maps nothing then; SEV-SNP's is finished
 * when the guest starts, after prefault.  It is tried now and then until it
 * works.
 *
 * Context: BQL.
 */
void kvm_refill_private(void);

/**
 * kvm_refill_converted_step: populate and map some converted memory, now
 * @cpu: the vCPU whose thread this is, between two KVM_RUN
 * @start: guest address, a multiple of the host's page size
 * @end: guest address, likewise, more than @start
 *
 * For about 0.1 ms or 2 MiB.  What is not memory is passed over.
 *
 * KVM may write an exit reason to the vCPU's kvm_run; read what that holds
 * before.
 *
 * Context: BQL.
 *
 * Returns: where to go on; @end if all is done, or nothing is to be prefaulted;
 * @start if this vCPU can map nothing just now: kvm_refill_converted() has
 * others do it.
 */
hwaddr kvm_refill_converted_step(CPUState *cpu, hwaddr start, hwaddr end);

/**
 * kvm_refill_converted_counts: the part of converted memory in all that
 * @done: bytes mapped so far
 * @pending: bytes that wait for it
 *
 * Context: BQL.
 */
void kvm_refill_converted_counts(uint64_t *done, uint64_t *pending);

/**
 * kvm_refill_counts: what is done and what is to be done
 * @done: bytes mapped again so far
 * @pending: bytes that wait for it
 *
 * Context: BQL.
 */
void kvm_refill_counts(uint64_t *done, uint64_t *pending);

#endif /* ACCEL_KVM_PREFAULT_REFILL_H */
