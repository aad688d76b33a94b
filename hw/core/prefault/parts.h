/*
 * Parts of memory that has a discard manager: shared, private, not plugged in
 *
 * A region has one if it has guest_memfd, whose manager tells of conversions,
 * if a virtio-mem device plugs and unplugs parts of it, or, since QEMU 11.1,
 * for both reasons.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_PARTS_H
#define HW_CORE_PREFAULT_PARTS_H

#include "hw/core/prefault-compat.h"

/**
 * PrefaultPart: what a part is
 * @PREFAULT_PART_SHARED: ordinary memory, and plugged in
 * @PREFAULT_PART_PRIVATE: in guest_memfd
 * @PREFAULT_PART_UNPLUGGED: nothing the guest has
 */
typedef enum PrefaultPart {
    PREFAULT_PART_SHARED,
    PREFAULT_PART_PRIVATE,
    PREFAULT_PART_UNPLUGGED,
} PrefaultPart;

typedef void PrefaultPartsWalk(const MemoryRegionSection *part,
                               PrefaultPart kind, void *opaque);

/**
 * prefault_parts_walk: look at all parts of a section
 * @section: of a region that has a discard manager
 * @visit: called for each part, in no order; the section is its own only
 * @opaque: for @visit
 *
 * Context: BQL.
 */
void prefault_parts_walk(MemoryRegionSection *section, PrefaultPartsWalk *visit,
                         void *opaque);

#endif /* HW_CORE_PREFAULT_PARTS_H */
