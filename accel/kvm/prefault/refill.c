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
#include <linux/kvm.h>
#include "hw/core/cpu.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/range.h"
#include "qemu/timer.h"
#include "system/address-spaces.h"
#include "system/kvm.h"
#include "system/kvm_int.h"
#include "refill.h"
#include "residency.h"
#include "slot-zap.h"
#include "slots.h"
#include "vcpu-map.h"

/* The memory map is at rest after so long without a change, in ms */
#define REST_MS 20
#define REST_ZAP_ALL_MS 100         /* each change costs all mappings */
/* A step takes about this long, and the guest has this much until the next */
#define STEP_NS (100 * SCALE_US)
#define PAUSE_MS 1
#define PAUSE_MAX_MS 1000           /* while steps get nowhere */

typedef struct Refill {
    bool knows_resident;        /* there is a /proc/self/pagemap */
    bool started;
    bool all;                   /* whatever the memslots are then */
    GList *pending;             /* of Range, sorted, apart */
    GList *converted;           /* likewise, and to be populated first */
    uint64_t done;
    uint64_t converted_done;
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
    return refill.all || refill.pending || refill.converted;
}

static void forget_dropped(void)
{
    g_list_free_full(refill.pending, g_free);
    refill.pending = NULL;
    refill.all = false;
}

static void forget_pending(void)
{
    forget_dropped();
    g_list_free_full(refill.converted, g_free);
    refill.converted = NULL;
}

static void add_range(GList **list, hwaddr start, hwaddr size)
{
    Range *range = g_new(Range, 1);

    range_set_bounds(range, start, start + size - 1);
    *list = range_list_insert(*list, range);
}

/* The first of @list was dealt with, up to @end */
static void take_range(GList **list, hwaddr end)
{
    Range *range = (*list)->data;

    if (range_upb(range) < end) {
        g_free(range);
        *list = g_list_delete_link(*list, *list);
    } else {
        range_set_bounds(range, end, range_upb(range));
    }
}

static uint64_t bytes_of(GList *list)
{
    uint64_t bytes = 0;

    for (; list; list = list->next) {
        bytes += range_size(list->data);
    }
    return bytes;
}

static void all_becomes_pending(void)
{
    const KVMMemoryListener *kml = kvm_slots();

    for (unsigned i = 0; i < kml->nr_slots_allocated; i++) {
        const KVMSlot *slot = &kml->slots[i];

        if (kvm_slot_is_mappable(slot)) {
            add_range(&refill.pending, slot->start_addr, slot->memory_size);
        }
    }
    refill.all = false;
}

/* Deal with some of the first of @list.  Returns false if that got nowhere */
static bool fill_first(CPUState *cpu, GList **list, bool populate)
{
    Range *range = (*list)->data;
    hwaddr start = range_lob(range);
    hwaddr filled =
        kvm_vcpu_map_piece(cpu, start, range_upb(range) + 1, populate,
                           populate ? &refill.converted_done : &refill.done);

    if (filled != start) {
        take_range(list, filled);
    }
    return filled != start;
}

/* Fill for about as long as a step takes; returns false if nothing was filled */
static bool fill_some(CPUState *cpu)
{
    int64_t until = get_clock() + STEP_NS;
    bool moved = false;

    if (!is_pending() || !kvm_vcpu_map_begin(cpu)) {
        return false;
    }
    if (refill.all) {
        all_becomes_pending();
    }
    while (is_pending() && (!moved || get_clock() < until)) {
        if (!(refill.converted ? fill_first(cpu, &refill.converted, true)
                               : fill_first(cpu, &refill.pending, false))) {
            break;
        }
        moved = true;
    }
    return moved;
}

static void step(CPUState *cpu, run_on_cpu_data data)
{
    refill.asked_thread = 0;
    if (fill_some(cpu) && is_pending()) {
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
    if (!refill.knows_resident) {
        warn_report_once("prefault: no /proc/self/pagemap: what changes of the "
                         "memory map drop is left to page faults");
        forget_dropped();
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
    refill.knows_resident = kvm_residency_set_up();
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
        add_range(&refill.pending, start, end - start);
        wake_at_rest();
    }
}

void kvm_refill_dropped_all(void)
{
    if (refill.started) {
        forget_dropped();
        refill.all = true;
        wake_at_rest();
    }
}

void kvm_refill_converted(hwaddr start, hwaddr size)
{
    if (refill.started) {
        add_range(&refill.converted, start, size);
        refill.pause_ms = PAUSE_MS;
        if (!timer_pending(refill.timer)) {
            wake_after(PAUSE_MS);
        }
    }
}

void kvm_refill_private(void)
{
    const KVMMemoryListener *kml = kvm_slots();

    for (unsigned i = 0; i < kml->nr_slots_allocated; i++) {
        const KVMSlot *slot = &kml->slots[i];

        if (slot->memory_size && slot->flags & KVM_MEM_GUEST_MEMFD) {
            kvm_refill_converted(slot->start_addr, slot->memory_size);
        }
    }
}

hwaddr kvm_refill_converted_step(CPUState *cpu, hwaddr start, hwaddr end)
{
    int64_t until = get_clock() + STEP_NS;
    hwaddr filled = start;

    if (!refill.started) {
        return end;
    }
    if (!kvm_vcpu_map_begin(cpu)) {
        return start;
    }
    do {
        start = filled;
        filled =
            kvm_vcpu_map_piece(cpu, start, end, true, &refill.converted_done);
    } while (filled != start && filled < end && get_clock() < until);
    return filled;
}

void kvm_refill_converted_counts(uint64_t *done, uint64_t *pending)
{
    *done = refill.converted_done;
    *pending = bytes_of(refill.converted);
}

void kvm_refill_counts(uint64_t *done, uint64_t *pending)
{
    *done = refill.done;
    if (refill.all) {
        all_becomes_pending();
    }
    *pending = bytes_of(refill.pending);
}
