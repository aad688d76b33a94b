/*
 * Memslot retention: what did not change stays mapped
 *
 * A memslot that is deleted takes its stage-2 mappings along.  QEMU deletes and
 * creates all of a section's memslots when the section changes, and its flat
 * view merges neighbours: on pc and q35 each flip of PAM or SMRAM below 1 MiB
 * replaces the memslot that holds all RAM up to the PCI hole.  With prefault,
 * RAM is cut into more memslots, at guest addresses that never move, and a
 * memslot that a change of the memory map would delete and create just as it
 * was is left alone.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef SYSTEM_KVM_RETENTION_H
#define SYSTEM_KVM_RETENTION_H

#include "exec/hwaddr.h"
#include "qemu/units.h"
#include "system/kvm_int.h"

/* Guest addresses where memslots end: these, and none at or above the end */
#define KVM_RETENTION_FIRST_CUT (1 * MiB)
#define KVM_RETENTION_GRID (64 * MiB)
#define KVM_RETENTION_END (4 * GiB)

/**
 * kvm_retention_cut: how much of a range is one memslot
 * @start: guest address where the range starts, in bytes
 * @size: of the range in bytes; 0 gives 0
 *
 * A pure function of its arguments once the machine exists, so that whoever
 * walks the memslots of a section finds each.  Without prefault it cuts
 * nothing.  With it, at most 65 memslots more than without for an address
 * space.
 *
 * Context: BQL, or the lock of KVM's memslots.
 *
 * Returns: the bytes from @start to the end of the memslot, at most @size.
 */
hwaddr kvm_retention_cut(hwaddr start, hwaddr size);

/**
 * kvm_retention_commit: take memslots that stay as they are out of a change
 * @kml: a memory listener that is about to delete the memslots of the sections
 *       in its transaction_del and to create those of transaction_add
 *
 * A memslot stays if the change would create it again with the same guest
 * address, size, host address, flags, guest_memfd and offsets, as recorded in
 * it, and if its section is plain RAM: neither read-only, nor a ROM device's,
 * nor a device's.  What it covers leaves both lists; the references that the
 * caller drops and takes for each section stay balanced.  Does nothing without
 * prefault.
 *
 * Context: BQL, inside the listener's commit; the caller has not begun to
 * delete.
 */
void kvm_retention_commit(KVMMemoryListener *kml);

/**
 * kvm_retention_counts: what retention did so far
 * @kept: memslots left alone
 * @dropped: memslots that were deleted; both count a memslot once for each
 *           change of the memory map
 *
 * Context: BQL.
 */
void kvm_retention_counts(uint64_t *kept, uint64_t *dropped);

#endif /* SYSTEM_KVM_RETENTION_H */
