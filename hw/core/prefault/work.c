/*
 * Prefault work: a worker's work on a chunk
 *
 * Guarantees: a chunk is populated before it is mapped; every loop over an
 * operation that makes no progress ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "errnos.h"
#include "trace.h"
#include "work.h"

static bool work_stopped(PrefaultWork *work)
{
    return prefault_tally_outcome(&work->tally, NULL) !=
           PREFAULT_OUTCOME_RUNNING;
}

static Error *work_failure_new(const char *step, const PrefaultChunk *chunk,
                               int err)
{
    Error *failure = NULL;

    error_setg(&failure, "%s guest memory 0x%" HWADDR_PRIx "-0x%" HWADDR_PRIx
               " failed: %s%s", step, chunk->gpa, chunk->gpa + chunk->size - 1,
               g_strerror(err), err == EFAULT
               ? " (no free huge page, or no space behind the file?)" : "");
    return failure;
}

/* Count @piece in @counter, one of the tally's counts */
static void work_account(PrefaultWork *work, Stat64 *counter,
                         const PrefaultChunk *piece)
{
    prefault_tally_add(&work->tally, counter, piece->alias ? 0 : piece->size);
}

static void work_account_skipped(PrefaultWork *work, PrefaultSkipReason reason,
                                 const PrefaultChunk *piece)
{
    work_account(work, &work->tally.counts.skipped[reason], piece);
    if (piece->is_private) {
        work_account(work, &work->tally.counts.private_skipped, piece);
    }
}

static void work_leave_for_later(PrefaultWork *work, const PrefaultChunk *piece)
{
    work_account(work, &work->tally.counts.later, piece);
    if (piece->is_private) {
        work_account_skipped(work, PREFAULT_SKIP_REASON_PRIVATE, piece);
    }
    if (work->ops->later && !work_stopped(work)) {
        work->ops->later(work->opaque, piece);
    }
}

static void work_settle(PrefaultWork *work, const PrefaultChunk *piece,
                        bool mapped)
{
    if (work->ops->settle) {
        work->ops->settle(work->opaque, piece, mapped);
    }
}

static void work_leave_out(PrefaultWork *work, const PrefaultChunk *piece)
{
    trace_prefault_engine_leave_out(piece->gpa, piece->size);
    work_account(work, &work->tally.counts.failed, piece);
    work_settle(work, piece, false);
}

static void work_skip(PrefaultWork *work, PrefaultSkipReason reason,
                      const PrefaultChunk *piece)
{
    trace_prefault_engine_leave_out(piece->gpa, piece->size);
    work_account_skipped(work, reason, piece);
    work_settle(work, piece, false);
}

static void work_fail(PrefaultWork *work, const char *step,
                      const PrefaultChunk *piece, int err)
{
    Error *why = work_failure_new(step, piece, err);

    if (work->ops->tolerant) {
        prefault_tally_note(&work->tally, why);
        work_leave_out(work, piece);
    } else {
        prefault_tally_fail(&work->tally, why);
    }
}

static void work_account_mapped(PrefaultWork *work, const PrefaultChunk *piece)
{
    work_account(work, &work->tally.counts.mapped, piece);
    if (piece->is_private) {
        work_account(work, &work->tally.counts.private_mapped, piece);
    }
    work_settle(work, piece, true);
}

static PrefaultChunk work_chunk_part(const PrefaultChunk *chunk,
                                     uint64_t offset, uint64_t size)
{
    PrefaultChunk part = *chunk;

    part.gpa += offset;
    part.host += offset;
    part.size = size;
    return part;
}

/* @tries counts failures in a row */
static bool work_try_again(int err, unsigned *tries)
{
    const PrefaultErrno *known = prefault_errno(err);

    if (++*tries >= known->tries) {
        return false;
    }
    if (known->pause_us) {
        g_usleep(known->pause_us);
    }
    return true;
}

/*
 * Nothing of @rest could be mapped, and another try is not worth it.  Returns
 * the bytes of it that are dealt with: all, or a page that is left out.
 */
static uint64_t work_give_up(PrefaultWork *work, const PrefaultChunk *rest,
                             int ret)
{
    const PrefaultErrno *known = prefault_errno(-ret);
    PrefaultChunk page = work_chunk_part(
        rest, 0, MIN(rest->size, qemu_real_host_page_size()));

    switch (work->ops->patient ? known->patient : known->fate) {
    case PREFAULT_FATE_LATER:
        work_leave_for_later(work, rest);
        return rest->size;
    case PREFAULT_FATE_STALE:
        prefault_tally_stop(&work->tally, PREFAULT_OUTCOME_STALE);
        return rest->size;
    case PREFAULT_FATE_LEAVE_OUT:
        work_leave_out(work, &page);
        return page.size;
    case PREFAULT_FATE_FAIL_ALL:
        work_fail(work, "mapping", rest, -ret);
        return rest->size;
    case PREFAULT_FATE_FAIL:
        /* Success without progress would go on for ever */
        work_fail(work, "mapping", &page, -ret ?: EIO);
        return page.size;
    }
    g_assert_not_reached();
}

/*
 * A page that was poisoned after it was populated keeps KVM from all of @rest
 * without a word.  Populating again tells.  Returns how much of @rest is sound.
 */
static uint64_t work_sound_part(PrefaultWork *work, const PrefaultChunk *rest)
{
    PrefaultChunk part = *rest;

    if (rest->is_private || rest->present_only || !work->ops->populate) {
        return rest->size;
    }
    while (work->ops->populate(work->opaque, &part) == -EHWPOISON) {
        if (part.size <= part.page_size) {
            return 0;
        }
        part.size = ROUND_UP(part.size / 2, part.page_size);
    }
    return part.size;
}

/* As work_give_up(), but what is sound is tried without the rest first */
static uint64_t work_give_up_poisoned(PrefaultWork *work,
                                      const PrefaultChunk *rest, int ret,
                                      uint64_t *limit)
{
    uint64_t sound = prefault_errno(-ret)->hides_poison
                     ? work_sound_part(work, rest) : rest->size;
    PrefaultChunk page = work_chunk_part(rest, 0, MIN(rest->size,
                                                      rest->page_size));

    if (sound == rest->size) {
        return work_give_up(work, rest, ret);
    }
    if (!sound) {
        work_leave_out(work, &page);
        return page.size;
    }
    *limit = sound;
    return 0;
}

static void work_map(PrefaultWork *work, unsigned worker,
                     const PrefaultChunk *chunk)
{
    uint64_t done = 0, limit = chunk->size;
    unsigned tries = 0;

    while (done < chunk->size && !work_stopped(work)) {
        PrefaultChunk rest = work_chunk_part(
            chunk, done, MIN(limit, chunk->size - done));
        uint64_t mapped = 0;
        int ret =
            work->ops->map(work->opaque, worker, rest.gpa, rest.size, &mapped);

        trace_prefault_engine_map(worker, rest.gpa, rest.size, mapped,
                                  ret);
        if (mapped) {
            /* Drop the error: if it lasts, the next try returns it again */
            PrefaultChunk part = work_chunk_part(&rest, 0, mapped);

            work_account_mapped(work, &part);
            done += mapped;
            tries = 0;
        } else if (!work_try_again(-ret, &tries)) {
            limit = chunk->size;
            done += work_give_up_poisoned(work, &rest, ret, &limit);
            tries = 0;
        }
    }
}

/* Map @chunk, which needs no populating, or leave it for later */
static void work_map_if_possible(PrefaultWork *work, unsigned worker,
                                 const PrefaultChunk *chunk)
{
    if (!work->ops->map || chunk->map_later) {
        work_leave_for_later(work, chunk);
    } else {
        work_map(work, worker, chunk);
    }
}

/* Returns false if the work is over */
static bool work_pin(PrefaultWork *work, const PrefaultChunk *chunk)
{
    Error *why = NULL;

    if (!work->ops->pin || work->ops->pin(work->opaque, chunk, &why)) {
        return true;
    }
    if (work->ops->tolerant) {
        prefault_tally_note(&work->tally, why);
        return true;
    }
    prefault_tally_fail(&work->tally, why);
    return false;
}

/* Map what is present of @chunk; the guest gave the rest back, if @returned */
static void work_map_present(PrefaultWork *work, unsigned worker,
                             const PrefaultChunk *chunk, bool returned)
{
    uint64_t done = 0, size;

    for (; done < chunk->size && !work_stopped(work); done += size) {
        PrefaultChunk rest = work_chunk_part(chunk, done, chunk->size - done);
        bool present;

        size = work->ops->present(work->opaque, &rest, &present);
        if (!size) {            /* nobody can tell now */
            if (returned) {
                work_skip(work, PREFAULT_SKIP_REASON_RETURNED, &rest);
            } else {
                work_leave_for_later(work, &rest);
            }
            return;
        }
        rest.size = size;
        if (present && returned) {
            work_account(work, &work->tally.counts.populated, &rest);
        }
        if (present && work_pin(work, &rest)) {
            work_map_if_possible(work, worker, &rest);
        } else if (present) {
            return;
        } else if (returned) {
            work_skip(work, PREFAULT_SKIP_REASON_RETURNED, &rest);
        } else {
            work_settle(work, &rest, false);
        }
    }
}

static int work_populate(PrefaultWork *work, const PrefaultChunk *chunk)
{
    unsigned tries = 0;
    int ret;

    do {
        ret = work->ops->populate(work->opaque, chunk);
    } while (ret && !work_stopped(work) &&
             work_try_again(-ret, &tries));
    return ret;
}

static void work_populate_and_map(PrefaultWork *work, unsigned worker,
                                  const PrefaultChunk *chunk)
{
    int ret;

    if (work_stopped(work)) {
        return;
    }
    ret = work_populate(work, chunk);
    if (ret == 0) {
        work_account(work, &work->tally.counts.populated, chunk);
        trace_prefault_engine_populated(worker, chunk->gpa, chunk->size);
        if (work_pin(work, chunk) && work->ops->map) {
            work_map_if_possible(work, worker, chunk);
        }
    } else if (ret == -ECANCELED) {
        prefault_tally_stop(&work->tally, PREFAULT_OUTCOME_STALE);
    } else if (ret == -EHWPOISON && chunk->size > chunk->page_size) {
        /* The poisoned page is somewhere in @chunk: halve it to find it */
        uint64_t half = ROUND_UP(chunk->size / 2, chunk->page_size);
        PrefaultChunk low = work_chunk_part(chunk, 0, half);
        PrefaultChunk high = work_chunk_part(chunk, half, chunk->size - half);

        work_populate_and_map(work, worker, &low);
        work_populate_and_map(work, worker, &high);
    } else if (ret == -EHWPOISON) {
        work_leave_out(work, chunk);
    } else if (ret == -EINVAL) {
        work_skip(work, PREFAULT_SKIP_REASON_UNPOPULATABLE, chunk);
    } else {
        work_fail(work, "populating", chunk, -ret);
    }
}

/* The host has too little memory for @chunk: later, never, or end the work */
static void work_refuse(PrefaultWork *work, const PrefaultChunk *chunk,
                        Error *why)
{
    if (work->ops->patient) {
        prefault_tally_note(&work->tally, why);
        work_account(work, &work->tally.counts.refused, chunk);
        work_leave_for_later(work, chunk);
    } else if (work->ops->tolerant) {
        prefault_tally_note(&work->tally, why);
        work_skip(work, PREFAULT_SKIP_REASON_NO_ROOM, chunk);
    } else {
        prefault_tally_fail(&work->tally, why);
    }
}

void prefault_work_was_mapped(PrefaultWork *work, const PrefaultChunk *piece)
{
    work_account(work, &work->tally.counts.populated, piece);
    work_account(work, &work->tally.counts.mapped, piece);
}

void prefault_work_chunk(PrefaultWork *work, unsigned worker,
                         const PrefaultChunk *chunk)
{
    PrefaultKnowledge known = work->ops->known
        ? work->ops->known(work->opaque, chunk) : PREFAULT_UNKNOWN;
    uint64_t cost = 0;
    Error *why = NULL;

    if (work_stopped(work)) {
        return;
    }
    if (known == PREFAULT_IS_MAPPED) {
        prefault_work_was_mapped(work, chunk);
        return;
    }
    if (known == PREFAULT_WAS_RETURNED) {
        work_map_present(work, worker, chunk, true);
        return;
    }
    if (work->ops->begin &&
        !work->ops->begin(work->opaque, chunk, &cost, &why)) {
        work_refuse(work, chunk, why);
        return;
    }
    if (chunk->is_private) {
        work_map_if_possible(work, worker, chunk);
    } else if (chunk->present_only) {
        work_map_present(work, worker, chunk, false);
    } else {
        work_populate_and_map(work, worker, chunk);
    }
    if (work->ops->end) {
        work->ops->end(work->opaque, chunk, cost);
    }
}
