/*
 * Filling: guest memory is populated and mapped between two KVM_RUN of a vCPU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "qemu/madvise.h"
#include "qemu/units.h"
#include "system/kvm.h"
#include "attributes.h"
#include "pre-fault.h"
#include "refill.h"
#include "residency.h"
#include "slots.h"
#include "vcpu-map.h"
#include "trace.h"

/* At most this much in a call, aligned: the largest mapping but for 1 GiB */
#define PIECE_SIZE (2 * MiB)
/* Of memory that is allocated and mapped page by page, likewise */
#define PAGES_PER_PIECE 64

/*
 * KVM fills the page tables that the vCPU uses now: not SMM's, not a guest's.
 * Which they are is known once it ran with the state that it has.
 */
static bool cpu_uses_normal_tables(CPUState *cpu)
{
#ifdef TARGET_I386
    return !cpu->vcpu_dirty &&
           !(cpu->kvm_run->flags & (KVM_RUN_X86_SMM | KVM_RUN_X86_GUEST_MODE));
#else
    return true;
#endif
}

/*
 * A retired root would hold this thread, and the BQL, for ever.  Where the
 * state is protected it cannot be dropped: the memslots of such guests retire
 * none, and kernels that run TDX guests let go of retired ones (Linux 6.15).
 * What is left is SEV-SNP on 6.11 to 6.14 while the host changes
 * kvm.nx_huge_pages.
 */
static bool has_good_root(CPUState *cpu)
{
    return kvm_state->guest_state_protected || kvm_pre_fault_drop_root(cpu);
}

bool kvm_vcpu_map_begin(CPUState *cpu)
{
    trace_kvm_refill_step(cpu->cpu_index, cpu_uses_normal_tables(cpu));
    return cpu_uses_normal_tables(cpu) && has_good_root(cpu);
}

/*
 * Is memory of @slot as it has to be for mapping?  @end: where to stop; filled
 * with up to where the answer is the same.  Private memory has no host mapping:
 * KVM allocates it as it maps.
 */
static bool is_ready(const KVMSlot *slot, hwaddr start, hwaddr *end,
                     bool populate)
{
    void *host = slot->ram + (start - slot->start_addr);
    bool ready, is_private = false;
    hwaddr same;

    if (slot->flags & KVM_MEM_GUEST_MEMFD) {
        is_private = kvm_attributes_slot_extent(slot, start, end);
    }
    if (is_private || (populate && *end - start < PIECE_SIZE)) {
        *end = MIN(*end, start + PAGES_PER_PIECE * qemu_real_host_page_size());
    }
    if (is_private) {
        return true;
    }
    if (populate) {
        return !qemu_madvise(host, *end - start, QEMU_MADV_POPULATE_WRITE);
    }
    ready = kvm_residency_extent(host, *end - start, &same);
    *end = start + same;
    return ready;
}

hwaddr kvm_vcpu_map_piece(CPUState *cpu, hwaddr start, hwaddr end,
                          bool populate, uint64_t *done)
{
    const KVMSlot *slot = kvm_slot_at(start, &end);
    uint64_t mapped = 0;
    int ret = 0;

    if (!slot || !kvm_slot_is_mappable(slot)) {
        return end;
    }
    end = MIN(end, QEMU_ALIGN_DOWN(start, PIECE_SIZE) + PIECE_SIZE);
    if (!is_ready(slot, start, &end, populate)) {
        return end;
    }
    while (start < end && !ret) {
        ret = kvm_pre_fault_map(cpu, start, end - start, &mapped);
        ret = !ret && !mapped ? -EIO : ret;
        start += mapped;
        *done += mapped;
    }
    trace_kvm_refill_map(cpu->cpu_index, start, end, ret);
    if (ret == -EHWPOISON) {
        return MIN(start + qemu_real_host_page_size(), end);
    }
    return ret == 0 || ret == -EINTR || ret == -EAGAIN || ret == -EOPNOTSUPP
           ? start : end;
}
