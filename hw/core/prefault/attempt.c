/*
 * One plan of guest memory that workers work through
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "attempt.h"

static QLIST_HEAD(, PrefaultAttempt) attempts_under_way =
    QLIST_HEAD_INITIALIZER(attempts_under_way);
static QLIST_HEAD(, PrefaultAttempt) attempts_left_behind =
    QLIST_HEAD_INITIALIZER(attempts_left_behind);

static void attempt_free(PrefaultAttempt *attempt)
{
    prefault_engine_free(attempt->engine);
    prefault_room_free(attempt->steps.room);
    prefault_known_free(attempt->steps.known);
    prefault_memory_clear(&attempt->memory);
    g_clear_pointer(&attempt->steps.vcpus, g_ptr_array_unref);
    g_clear_pointer(&attempt->debts, g_array_unref);
    g_clear_pointer(&attempt->steps.done, qemu_bh_delete);
    g_free(attempt);
}

static void attempt_done(void *opaque)
{
    PrefaultAttempt *attempt = opaque;

    if (attempt->done) {
        attempt->done();
    } else {
        QLIST_REMOVE(attempt, next);
        attempt_free(attempt);
    }
}

/*
 * Not in the main AioContext: its bottom halves also run while a command waits
 * for the block layer, and a guest must not be started then.
 */
PrefaultAttempt *prefault_attempt_new(void (*done)(void))
{
    PrefaultAttempt *attempt = g_new0(PrefaultAttempt, 1);

    assert(bql_locked());
    attempt->done = done;
    QLIST_INSERT_HEAD(&attempts_under_way, attempt, next);
    if (done) {
        attempt->steps.done = aio_bh_new_guarded(
            iohandler_get_aio_context(), attempt_done, attempt, NULL);
    }
    return attempt;
}

void prefault_attempt_release(PrefaultAttempt *attempt)
{
    unsigned busy = 0;

    assert(bql_locked());
    if (attempt->engine) {
        prefault_engine_workers(attempt->engine, &busy);
    }
    attempt->done = NULL;
    QLIST_REMOVE(attempt, next);
    if (busy) {
        QLIST_INSERT_HEAD(&attempts_left_behind, attempt, next);
    } else {
        attempt_free(attempt);
    }
}

static bool attempt_plans(const PrefaultAttempt *attempt, hwaddr start,
                          hwaddr end)
{
    for (guint i = 0; attempt->debts && i < attempt->debts->len; i++) {
        PrefaultDebt *debt = &g_array_index(attempt->debts, PrefaultDebt, i);

        if (debt->start >= end) {
            return false;       /* they are sorted */
        }
        if (debt->end > start) {
            return true;
        }
    }
    return !attempt->debts;
}

bool prefault_attempt_plans(hwaddr start, uint64_t size)
{
    PrefaultAttempt *attempt;

    assert(bql_locked());
    QLIST_FOREACH(attempt, &attempts_under_way, next) {
        if (attempt_plans(attempt, start, start + size)) {
            return true;
        }
    }
    return false;
}

unsigned prefault_attempt_workers_left_behind(void)
{
    unsigned sum = 0;
    PrefaultAttempt *attempt;

    assert(bql_locked());
    QLIST_FOREACH(attempt, &attempts_left_behind, next) {
        unsigned busy;

        prefault_engine_workers(attempt->engine, &busy);
        sum += busy;
    }
    return sum;
}
