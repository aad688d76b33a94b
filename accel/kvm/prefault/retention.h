/*
 * Memslot retention: memory that did not change stays mapped
 *
 * A memslot that is deleted takes its stage-2 mappings along.  QEMU deletes and
 * creates all of a section's memslots when the section changes, and its flat
 * view merges neighbours: on pc and q35 each flip of PAM or SMRAM below 1 MiB
 * replaces the memslot that holds all RAM up to the PCI hole.  With prefault,
 * RAM is cut into more memslots, at guest addresses that never move.  If a
 * change of the memory map would delete a memslot and create the same one
 * again, the memslot is left alone.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_PREFAULT_RETENTION_H
#define ACCEL_KVM_PREFAULT_RETENTION_H

#include "exec/hwaddr.h"
#include "qemu/units.h"
#include "system/kvm_int.h"

/**
 * kvm_retention_counts: count the memslots that were kept and dropped so far
 * @kept: memslots left alone
 * @dropped: memslots that were deleted; both count a memslot once for each
 *           change of the memory map
 *
 * Context: BQL.
 */
void kvm_retention_counts(uint64_t *kept, uint64_t *dropped);

#endif /* ACCEL_KVM_PREFAULT_RETENTION_H */
