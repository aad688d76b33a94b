/*
 * An io_uring that pins memory, and does nothing else
 *
 * Its registered buffers are pinned (Linux, io_uring/rsrc.c,
 * io_sqe_buffer_register(): FOLL_LONGTERM); its queues are never used.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_RING_H
#define HW_CORE_PREFAULT_RING_H

typedef struct PrefaultRing PrefaultRing;

/**
 * prefault_ring_new: a ring that pins nothing yet
 * @slots: how often it can pin something; 4096 at most are made
 * @errp: set if there is none
 *
 * Takes a file descriptor, and 16 bytes of the kernel's memory a slot.
 *
 * Context: any thread.
 *
 * Returns: for prefault_ring_free(); NULL on error.
 */
PrefaultRing *prefault_ring_new(uint64_t slots, Error **errp);

/**
 * prefault_ring_free: pin nothing any more
 * @ring: the ring
 *
 * The kernel lets go of the pages soon afterwards.
 *
 * Context: any thread.
 */
void prefault_ring_free(PrefaultRing *ring);

/**
 * prefault_ring_is_full: are all slots taken?
 * @ring: the ring
 *
 * Context: one thread at a time.
 *
 * Returns: true if it pins nothing more.
 */
bool prefault_ring_is_full(const PrefaultRing *ring);

/**
 * prefault_ring_pin: pin memory, for as long as there is the ring
 * @ring: not full
 * @host: host address of a page
 * @size: bytes, at most 1 GiB
 *
 * What is not there is faulted in, and memory that may have to move (hotplug,
 * CMA) is moved first.
 *
 * Context: one thread at a time.
 *
 * Returns: 0, or -errno: -ENOMEM if RLIMIT_MEMLOCK does not suffice, or memory
 * cannot be moved, perhaps for a moment; -EFAULT or -EOPNOTSUPP for a file
 * whose pages may not be pinned.
 */
int prefault_ring_pin(PrefaultRing *ring, void *host, uint64_t size);

/**
 * prefault_ring_fits: does RLIMIT_MEMLOCK let so much be pinned?
 * @bytes: in all
 *
 * Others of the same user may have used it up: nobody can tell.
 *
 * Context: any thread.
 *
 * Returns: false if it is less, and QEMU has no right to go beyond.
 */
bool prefault_ring_fits(uint64_t bytes);

/**
 * prefault_ring_may_open: may QEMU have the file descriptors of so many rings?
 * @bytes: memory that is to be pinned, a chunk (plan.h) at a time
 * @files: set to the file descriptors that its rings take
 *
 * Context: any thread.
 *
 * Returns: false if the limit does not suffice.
 */
bool prefault_ring_may_open(uint64_t bytes, uint64_t *files);

#endif /* HW_CORE_PREFAULT_RING_H */
