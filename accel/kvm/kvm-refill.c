/*
 * Refill: what a change of the memory map dropped is mapped again
 *
 *   dropped -> (at rest) -> timer -> step on a vCPU -> timer -> ... -> nothing
 *                                                               pending
 *
 * All state is protected by the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <linux/kvm.h>
#include "hw/core/cpu.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/range.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "system/address-spaces.h"
#include "system/kvm.h"
#include "system/kvm_int.h"
#include "system/kvm-prefault.h"
#include "system/kvm-refill.h"
#include "system/kvm-slot-zap.h"
#include "trace.h"

/*
 * Linux 6.7, Documentation/admin-guide/mm/pagemap.rst: every kernel that can map
 * in advance has it, the headers that QEMU is built with may not.
 */
#ifndef PAGEMAP_SCAN
#define PAGE_IS_PRESENT (1 << 3)
#define PAGE_IS_PFNZERO (1 << 5)

struct page_region {
    uint64_t start;
    uint64_t end;
    uint64_t categories;
};

struct pm_scan_arg {
    uint64_t size;
    uint64_t flags;
    uint64_t start;
    uint64_t end;
    uint64_t walk_end;
    uint64_t vec;
    uint64_t vec_len;
    uint64_t max_pages;
    uint64_t category_inverted;
    uint64_t category_mask;
    uint64_t category_anyof_mask;
    uint64_t return_mask;
};

#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#endif

/* The memory map is at rest after so long without a change, in ms */
#define REST_MS 20
#define REST_ZAP_ALL_MS 100         /* each change costs all mappings */
/* A step takes about this long, and the guest has this much until the next */
#define STEP_NS (100 * SCALE_US)
#define PAUSE_MS 1
#define PAUSE_MAX_MS 1000           /* while steps get nowhere */
/* At most this much in a call, aligned: the largest mapping but for 1 GiB */
#define PIECE_SIZE (2 * MiB)

typedef struct Refill {
    int pagemap;                /* /proc/self/pagemap, -1 without /proc */
    bool started;
    bool all;                   /* whatever the memslots are then */
    GList *pending;             /* of Range, sorted, apart */
    uint64_t done;
    QEMUTimer *timer;
    unsigned pause_ms;
    int next_cpu;               /* index of the vCPU that was asked last */
    int asked_thread;           /* its thread, until it takes its step; 0 */
    MemoryListener listener;
} Refill;

static Refill refill = { .next_cpu = -1 };

static void wake_after(unsigned ms)
{
    timer_mod(refill.timer, qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + ms);
}

static bool is_pending(void)
{
    return refill.all || refill.pending;
}

static void forget_pending(void)
{
    g_list_free_full(refill.pending, g_free);
    refill.pending = NULL;
    refill.all = false;
}

static void add_pending(hwaddr start, hwaddr size)
{
    Range *range = g_new(Range, 1);

    range_set_bounds(range, start, start + size - 1);
    refill.pending = range_list_insert(refill.pending, range);
}

/* The first of what is pending was dealt with, up to @end */
static void take_pending(hwaddr end)
{
    Range *range = refill.pending->data;

    if (range_upb(range) < end) {
        g_free(range);
        refill.pending = g_list_delete_link(refill.pending, refill.pending);
    } else {
        range_set_bounds(range, end, range_upb(range));
    }
}

/* The memslots of the address space that vCPUs see outside SMM */
static const KVMMemoryListener *normal_slots(void)
{
    return kvm_state->as[0].ml;
}

static bool slot_can_be_filled(const KVMSlot *slot)
{
    return slot->memory_size &&
           !(slot->flags & (KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES |
                            KVM_MEM_GUEST_MEMFD));
}

/* The memslot at a guest address; if there is none, @end says how far */
static const KVMSlot *slot_at(hwaddr start, hwaddr *end)
{
    const KVMMemoryListener *kml = normal_slots();

    for (unsigned i = 0; i < kml->nr_slots_allocated; i++) {
        const KVMSlot *slot = &kml->slots[i];

        if (!slot->memory_size) {
            continue;
        }
        if (slot->start_addr > start) {
            *end = MIN(*end, slot->start_addr);
        } else if (start - slot->start_addr < slot->memory_size) {
            *end = MIN(*end, slot->start_addr + slot->memory_size);
            return slot;
        }
    }
    return NULL;
}

static void all_becomes_pending(void)
{
    const KVMMemoryListener *kml = normal_slots();

    for (unsigned i = 0; i < kml->nr_slots_allocated; i++) {
        const KVMSlot *slot = &kml->slots[i];

        if (slot_can_be_filled(slot)) {
            add_pending(slot->start_addr, slot->memory_size);
        }
    }
    refill.all = false;
}

/*
 * Is memory at @host present, and not the shared zero page?  @same: up to where
 * the answer is the same, of @size bytes.
 *
 * A page that is not present may have been handed back, swapped out or found
 * poisoned: KVM would bring it back, or raise SIGBUS.
 */
static bool is_present(void *host, hwaddr size, hwaddr *same)
{
    struct page_region found = {};
    struct pm_scan_arg scan = {
        .size = sizeof(scan),
        .start = (uintptr_t)host,
        .end = (uintptr_t)host + size,
        .vec = (uintptr_t)&found,
        .vec_len = 1,
        .category_mask = PAGE_IS_PRESENT | PAGE_IS_PFNZERO,
        .category_inverted = PAGE_IS_PFNZERO,
        .return_mask = PAGE_IS_PRESENT,
    };

    *same = size;
    if (ioctl(refill.pagemap, PAGEMAP_SCAN, &scan) <= 0) {
        return false;
    }
    if (found.start > scan.start) {
        *same = found.start - scan.start;
        return false;
    }
    *same = found.end - scan.start;
    return true;
}

/*
 * Map what can be mapped from @start on; returns where to go on, or @start
 * itself if this vCPU cannot map anything just now.
 */
static hwaddr fill(CPUState *cpu, hwaddr start, hwaddr end)
{
    const KVMSlot *slot = slot_at(start, &end);
    uint64_t mapped = 0;
    hwaddr same;
    int ret = 0;

    if (!slot || !slot_can_be_filled(slot)) {
        return end;
    }
    if (!is_present(slot->ram + (start - slot->start_addr), end - start,
                    &same)) {
        return start + same;
    }
    end = start + same;
    while (start < end && !ret) {
        ret = kvm_prefault_map_on(cpu, start, end - start, &mapped);
        ret = !ret && !mapped ? -EIO : ret;
        start += mapped;
        refill.done += mapped;
    }
    trace_kvm_refill_map(cpu->cpu_index, start, end, ret);
    return ret == 0 || ret == -EINTR || ret == -EAGAIN || ret == -EOPNOTSUPP
           ? start : end;
}

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

static void step(CPUState *cpu, run_on_cpu_data data)
{
    bool moved = false;
    int64_t until;

    refill.asked_thread = 0;
    trace_kvm_refill_step(cpu->cpu_index, cpu_uses_normal_tables(cpu));
    if (!cpu_uses_normal_tables(cpu) || !is_pending()) {
        return;
    }
    /* A retired one would hold this thread, and the BQL, for ever */
    if (!kvm_prefault_drop_root(cpu)) {
        return;
    }
    if (refill.all) {
        all_becomes_pending();
    }
    until = get_clock() + STEP_NS;
    while (refill.pending && (!moved || get_clock() < until)) {
        hwaddr start = range_lob(refill.pending->data);
        hwaddr end = MIN(QEMU_ALIGN_DOWN(start, PIECE_SIZE) + PIECE_SIZE,
                         range_upb(refill.pending->data) + 1);
        hwaddr filled = fill(cpu, start, end);

        if (filled == start) {
            break;
        }
        take_pending(filled);
        moved = true;
    }
    if (moved && is_pending()) {
        refill.pause_ms = PAUSE_MS;
        wake_after(PAUSE_MS);
    }
}

/* The vCPU after the one that was asked last, in a circle; NULL: none */
static CPUState *next_cpu(void)
{
    CPUState *cpu, *next = NULL;

    CPU_FOREACH(cpu) {
        if (cpu->cpu_index > refill.next_cpu &&
            (!next || cpu->cpu_index < next->cpu_index)) {
            next = cpu;
        }
    }
    return next ?: first_cpu;
}

/* Was a vCPU asked that will take its step?  One that was unplugged never will */
static bool step_is_due(void)
{
    CPUState *cpu = qemu_get_cpu(refill.next_cpu);

    return refill.asked_thread && cpu && cpu->thread_id == refill.asked_thread;
}

/* Somebody takes a step; if that gets nowhere it is somebody else's turn, later */
static void refill_timer(void *opaque)
{
    if (!is_pending()) {
        return;
    }
    if (!step_is_due()) {
        CPUState *cpu = next_cpu();

        refill.next_cpu = cpu->cpu_index;
        refill.asked_thread = cpu->thread_id;
        async_run_on_cpu(cpu, step, RUN_ON_CPU_NULL);
    }
    refill.pause_ms = MIN(refill.pause_ms * 2, PAUSE_MAX_MS);
    wake_after(refill.pause_ms);
}

/* With the quirk each change costs what was refilled: wait for the last one */
static void wake_at_rest(void)
{
    if (refill.pagemap < 0) {
        warn_report_once("prefault: no /proc/self/pagemap: what changes of the "
                         "memory map drop is left to page faults");
        forget_pending();
        return;
    }
    refill.pause_ms = PAUSE_MS;
    if (kvm_slot_zap_all()) {
        wake_after(REST_ZAP_ALL_MS);
    } else if (!timer_pending(refill.timer)) {
        wake_after(REST_MS);
    }
}

/* Mappings are as small as dirty pages were; some kernels drop them now */
static void log_stopped(MemoryListener *listener, MemoryRegionSection *section,
                        int old, int new)
{
    if (old && !new) {
        kvm_refill_dropped(section->offset_within_address_space,
                           int128_get64(section->size));
    }
}

void kvm_refill_set_up(void)
{
    refill.pagemap = qemu_open_old("/proc/self/pagemap", O_RDONLY);
    refill.timer = timer_new_ms(QEMU_CLOCK_REALTIME, refill_timer, NULL);
    refill.listener = (MemoryListener) {
        .name = "kvm-refill",
        .log_stop = log_stopped,
    };
    memory_listener_register(&refill.listener, &address_space_memory);
}

void kvm_refill_start(void)
{
    refill.started = true;
}

void kvm_refill_stop(void)
{
    refill.started = false;
    forget_pending();
}

void kvm_refill_dropped(hwaddr start, hwaddr size)
{
    hwaddr page = qemu_real_host_page_size();
    hwaddr end = QEMU_ALIGN_DOWN(start + size, page);

    start = QEMU_ALIGN_UP(start, page);
    if (refill.started && start < end) {
        add_pending(start, end - start);
        wake_at_rest();
    }
}

void kvm_refill_dropped_all(void)
{
    if (refill.started) {
        forget_pending();
        refill.all = true;
        wake_at_rest();
    }
}

void kvm_refill_counts(uint64_t *done, uint64_t *pending)
{
    *done = refill.done;
    *pending = 0;
    if (refill.all) {
        all_becomes_pending();
    }
    for (GList *range = refill.pending; range; range = range->next) {
        *pending += range_size(range->data);
    }
}
