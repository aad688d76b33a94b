/*
 * Gate: memory is mapped only while the memory map is the one of the plan
 *
 * Each change of the memory map begins a generation.  A thread that maps memory
 * enters the gate with the generation of its plan, for one call into the
 * accelerator.  A thread that is about to change memslots closes the gate:
 * afterwards no thread is inside, and none enters with an older generation.
 *
 * Why: KVM_PRE_FAULT_MEMORY tries again inside the call while a memslot is
 * being deleted (up to Linux 6.17), or once the deletion has retired the page
 * table root that it works on (up to 6.14), and holds KVM's SRCU read lock
 * meanwhile; the deletion waits for that lock (virt/kvm/kvm_main.c,
 * kvm_swap_active_memslots()).  They would wait for each other for ever.
 *
 * The BQL cannot take the gate's place: work items begin with the BQL, and if
 * they kept it, several vCPUs' threads would map one after the other.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_GATE_H
#define HW_CORE_PREFAULT_GATE_H

#include "hw/core/prefault-backend.h"

/**
 * prefault_gate_generation: the generation of the memory map
 *
 * Context: BQL, so that it is that of the memory map that the caller reads.
 *
 * Returns: the generation, for prefault_gate_enter().
 */
unsigned prefault_gate_generation(void);

#endif /* HW_CORE_PREFAULT_GATE_H */
