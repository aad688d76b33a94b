/*
 * Guest memory is pinned, so that the host can do nothing to it
 *
 * Pages that an io_uring has as registered buffers stay where they are: they
 * are not merged, swapped or moved (ring.h).  NUMA balancing does not look at
 * pins: keep.h is needed, too.
 *
 * As with VFIO, balloon and free page reporting do nothing meanwhile: what is
 * discarded all the same stays taken until it is no longer pinned.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_PINS_H
#define HW_CORE_PREFAULT_PINS_H

/**
 * prefault_pins_begin: memory may be pinned from now on, and discarded no more
 * @bytes: how much it will be, with what is pinned already
 * @errp: set if that is not possible
 *
 * Context: BQL.  May be called again.
 *
 * Returns: false, with a sentence, if there is no io_uring, RLIMIT_MEMLOCK does
 * not suffice, or a device needs to discard memory.
 */
bool prefault_pins_begin(uint64_t bytes, Error **errp);

/**
 * prefault_pins_may_add: does the limit suffice for more than is wanted now?
 * @bytes: how much more
 * @errp: set if not
 *
 * Context: BQL.
 *
 * Returns: false, with a sentence, if RLIMIT_MEMLOCK does not suffice.
 */
bool prefault_pins_may_add(uint64_t bytes, Error **errp);

/**
 * prefault_pins_end: pin nothing any more; memory may be discarded again
 *
 * The kernel lets go of the pages soon afterwards.
 *
 * Context: BQL.
 */
void prefault_pins_end(void);

/**
 * prefault_pins_add: pin some memory
 * @host: host address of a page of a RAMBlock
 * @size: bytes, at most 1 GiB; what of it is pinned already stays so, and of a
 *        huge page all is pinned
 * @errp: set if it cannot be pinned, or prefault_pins_begin() has failed; not
 *        NULL
 *
 * Faults in what is not there.  Memory of a RAMBlock that goes away is let go.
 *
 * Context: any thread.
 *
 * Returns: false after a failure; true also if nothing is to be pinned, because
 * prefault_pins_end() came first.
 */
bool prefault_pins_add(void *host, uint64_t size, Error **errp);

/**
 * prefault_pins_have: is nothing left to do for some memory?
 * @host: host address
 * @size: bytes
 *
 * Context: any thread.
 *
 * Returns: true if all of it is pinned, or nothing is to be pinned; false if
 * that was wanted, and prefault_pins_begin() has failed.
 */
bool prefault_pins_have(const void *host, uint64_t size);

/**
 * prefault_pins_bytes: how much is pinned
 *
 * Context: any thread.
 *
 * Returns: bytes.
 */
uint64_t prefault_pins_bytes(void);

#endif /* HW_CORE_PREFAULT_PINS_H */
