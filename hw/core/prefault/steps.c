/*
 * The steps of a run: its workers' operations on a chunk
 *
 * Brings the parts together for the engine: QEMU's madvise to populate, the
 * accelerator to map, the gate and the ledger.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/madvise.h"
#include "qemu/main-loop.h"
#include "pins.h"
#include "residency.h"
#include "steps.h"
#include "threads.h"
#include "trace.h"
#include "watch.h"

/*
 * A worker waits this long after each call that took a vCPU out of the guest
 * for 0.1 or 0.2 ms, so that the vCPU runs most of the time.
 */
#define PREFAULT_PAUSE_US 1000

static void steps_go_to(PrefaultSteps *steps, unsigned place)
{
    int ret = prefault_places_enter(steps->places, place);

    trace_prefault_run_enter(place, ret);
    if (ret) {
        qatomic_set(&steps->unplaced, -ret);
    }
}

static void steps_enter(void *opaque, unsigned place)
{
    steps_go_to(opaque, place);
    prefault_threads_give_way();
}

/* It stays as nice as QEMU: it sleeps most of the time, and vCPUs map for it */
static void steps_enter_owed(void *opaque, unsigned place)
{
    PrefaultSteps *steps = opaque;

    if (steps->places) {
        steps_go_to(steps, place);
    }
    prefault_threads_leave_real_time();
}

/* As far as it is to be */
static bool steps_is_pinned(const PrefaultChunk *chunk)
{
    return !prefault_is_pinnable(chunk) ||
           prefault_pins_have(chunk->host, chunk->size);
}

/*
 * Where the guest has given memory back, what was populated once and is not
 * there any more is the guest's to take again.  Memory that came later is
 * populated; after a migration nobody can tell which that is.
 */
static PrefaultKnowledge steps_known(void *opaque, const PrefaultChunk *chunk)
{
    PrefaultSteps *steps = opaque;

    if (steps->known && prefault_known_has(steps->known, chunk) &&
        steps_is_pinned(chunk)) {
        return PREFAULT_IS_MAPPED;
    }
    return steps->returned && !chunk->is_private &&
           (!steps->known || prefault_known_covers(steps->known, chunk))
           ? PREFAULT_WAS_RETURNED : PREFAULT_UNKNOWN;
}

static uint64_t steps_mapped(void *opaque, const PrefaultChunk *rest)
{
    PrefaultSteps *steps = opaque;
    PrefaultChunk part = *rest;

    part.size = steps->known ? prefault_known_size(steps->known, rest) : 0;
    return part.size && steps_is_pinned(&part) ? part.size : 0;
}

static bool steps_begin(void *opaque, const PrefaultChunk *chunk,
                        uint64_t *cost, Error **errp)
{
    PrefaultSteps *steps = opaque;

    return !steps->room || chunk->alias || chunk->present_only ||
           (chunk->is_private && !steps->backend) ||
           prefault_room_begin(steps->room, chunk->is_private, chunk->host,
                               chunk->size, cost, errp);
}

static void steps_end(void *opaque, const PrefaultChunk *chunk, uint64_t cost)
{
    PrefaultSteps *steps = opaque;

    if (cost) {
        prefault_room_end(steps->room, chunk->is_private, chunk->host, cost);
    }
}

/*
 * Populate for write, or anonymous memory would get the zero page, which a
 * first write replaces: one more fault, and no huge page.  For huge pages
 * MADV_HUGEPAGE must come first: QEMU advised it when it allocated the block.
 */
static int steps_madvise(const PrefaultChunk *chunk)
{
    return qemu_madvise(chunk->host, chunk->size, QEMU_MADV_POPULATE_WRITE)
           ? -errno : 0;
}

/*
 * While the guest runs, managed memory is populated inside the gate, so that a
 * page that becomes private, or is unplugged, does not get memory any more.  A
 * held guest does neither; if a reset does, a chunk at most is populated for
 * nothing, and the reset need not wait for a call that the kernel keeps.
 */
static int steps_populate(void *opaque, const PrefaultChunk *chunk)
{
    PrefaultSteps *steps = opaque;
    int ret;

    /* The plan is of a guest that had given nothing back */
    if (!chunk->present_only && steps->via != PREFAULT_VIA_DESCRIPTOR &&
        !steps->returned && prefault_watch_has_returned()) {
        return -ECANCELED;
    }
    if (!chunk->is_managed || steps->via == PREFAULT_VIA_DESCRIPTOR) {
        return steps_madvise(chunk);
    }
    if (!prefault_gate_enter(steps->generation)) {
        return -ECANCELED;
    }
    ret = steps_madvise(chunk);
    prefault_gate_leave();
    return ret;
}

/*
 * What came back from swap can only be read yet, and would be mapped like that.
 * Pages of a file are left alone: they are written back when they get dirty.
 */
static uint64_t steps_present(void *opaque, const PrefaultChunk *chunk,
                              bool *present)
{
    PrefaultSteps *steps = opaque;
    PrefaultChunk first = *chunk;
    bool anonymous;

    if (!prefault_residency_extent(chunk->host, chunk->size, present,
                                   &first.size, &anonymous)) {
        return 0;
    }
    if (*present && anonymous && steps->may_write) {
        steps_populate(steps, &first);
    }
    return first.size;
}

static bool steps_pin(void *opaque, const PrefaultChunk *chunk, Error **errp)
{
    return !prefault_is_pinnable(chunk) ||
           prefault_pins_add(chunk->host, chunk->size, errp);
}

static int steps_map(void *opaque, unsigned worker, hwaddr gpa, uint64_t size,
                     uint64_t *mapped)
{
    PrefaultSteps *steps = opaque;

    return steps->backend->map(steps->vcpus, steps->via, worker,
                               steps->generation, gpa, size, mapped);
}

static int steps_map_paced(void *opaque, unsigned worker, hwaddr gpa,
                           uint64_t size, uint64_t *mapped)
{
    PrefaultSteps *steps = opaque;
    int ret = steps_map(opaque, worker, gpa, size, mapped);

    if (steps->via == PREFAULT_VIA_VCPU_THREAD && *mapped) {
        g_usleep(PREFAULT_PAUSE_US);
    }
    /* Leave it for later: a try at once would keep the vCPU out as long */
    return ret == -ETIME ? -EBUSY : ret;
}

static void steps_settle(void *opaque, const PrefaultChunk *piece, bool mapped)
{
    PrefaultSteps *steps = opaque;

    prefault_ledger_settle(steps->ledger, steps->generation, piece->gpa,
                           piece->size, mapped);
}

static void steps_owe(void *opaque, const PrefaultChunk *piece)
{
    PrefaultSteps *steps = opaque;

    prefault_ledger_add(steps->ledger,
                        piece->is_private ? PREFAULT_OWED_REASON_LAUNCH
                        : piece->map_later ? PREFAULT_OWED_REASON_LOGGED
                        : PREFAULT_OWED_REASON_NO_VCPU,
                        piece->gpa, piece->size);
}

static void steps_done(void *opaque)
{
    PrefaultSteps *steps = opaque;

    qemu_bh_schedule(steps->done);
}

/*
 * The operations of each kind of run.  While the guest runs, a page that cannot
 * be had is left out: if the guest touches it, it gets the error that it would
 * get without us.
 */
static const PrefaultOps steps_ops[] = {
    [PREFAULT_STEPS_HELD] = {
        .enter = steps_enter,
        .known = steps_known,
        .mapped = steps_mapped,
        .present = steps_present,
        .begin = steps_begin,
        .populate = steps_populate,
        .pin = steps_pin,
        .map = steps_map,
        .end = steps_end,
        .later = steps_owe,
        .done = steps_done,
    },
    [PREFAULT_STEPS_HELD_AUTO] = {
        .enter = steps_enter,
        .known = steps_known,
        .mapped = steps_mapped,
        .present = steps_present,
        .begin = steps_begin,
        .populate = steps_populate,
        .pin = steps_pin,
        .map = steps_map,
        .end = steps_end,
        .tolerant = true,
        .later = steps_owe,
        .done = steps_done,
    },
    [PREFAULT_STEPS_POPULATE] = {
        .enter = steps_enter,
        .begin = steps_begin,
        .populate = steps_populate,
        .pin = steps_pin,
        .end = steps_end,
        .tolerant = true,
        .done = steps_done,
    },
    [PREFAULT_STEPS_OWED] = {
        .enter = steps_enter_owed,
        .begin = steps_begin,
        .present = steps_present,
        .populate = steps_populate,
        .pin = steps_pin,
        .map = steps_map_paced,
        .end = steps_end,
        .tolerant = true,
        .patient = true,
        .settle = steps_settle,
        .done = steps_done,
    },
    [PREFAULT_STEPS_HERE] = {
        .present = steps_present,
        .populate = steps_populate,
        .map = steps_map_paced,
        .tolerant = true,
        .patient = true,
        .settle = steps_settle,
    },
};

const PrefaultOps *prefault_steps_ops(PrefaultStepsKind kind)
{
    return &steps_ops[kind];
}
