/*
 * Mappings that the host takes away are noticed
 *
 *   at rest -> (the count is below the target) -> all is owed -> at rest
 *
 * The target is the most that was mapped since QEMU changed anything itself.
 * When the guest gives a page back KVM drops the mapping of the huge page that
 * it is a part of: the rest of that is mapped again as if it were lost.
 *
 * All state is protected by the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qapi/qapi-events-prefault.h"
#include "hw/core/prefault-compat.h"
#include "counts.h"
#include "trace.h"
#include "watch.h"

#define LOOK_MS 100
/* While all is mapped again */
#define LOOK_SOON_MS 10

/*
 * Time between two tries.  It doubles with each try in vain, up to a minute:
 * what is missing may be on its way to another node, or in swap for good.
 */
#define RETRY_MS 10
#define DOUBLINGS_MAX 13

/*
 * Mapping all memory again may take a part of the time only: where the host
 * takes mappings all the time the guest must not pay more for that than for its
 * page faults.  The pause has a limit, for a try can take long because the host
 * was slow.
 */
#define REMAP_PART 8
#define PAUSE_MAX_MS 500

static struct {
    PrefaultLedger *ledger;
    void (*lost)(void);
    QEMUTimer *timer;
    unsigned changes;           /* watch_changes, when @target was begun */
    unsigned returns;           /* watch_returns, likewise */
    bool torn;                  /* huge pages are, by what was given back */
    uint64_t full;              /* bytes mapped if nothing were given back */
    bool kept;                  /* all was mapped when the watch ended */
    bool begun;                 /* @target and @mapped are known */
    uint64_t target;            /* bytes that should be mapped */
    uint64_t mapped;            /* bytes that were, at the last look at rest */
    unsigned tries;             /* in vain, to map what is missing */
    int64_t tried_ns;           /* when the last one began; 0: it is over */
    int64_t ended_ns;           /* when the last one ended */
    int64_t pause_ns;           /* how long there is none after that */
    uint64_t before;            /* @mapped then */
    bool complete;              /* it has mapped all memory */
    bool left_out;              /* one of its runs has left memory out */
    PrefaultLosses losses;
} watch;

/* Changed atomically */
static unsigned watch_changes;
static unsigned watch_returns;
static bool watch_is_known;     /* nothing was lost, or given back, unseen */

static int64_t watch_now_ns(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_REALTIME);
}

/* Some mappings went, or came back: by us, or because the guest touched them */
static void watch_account(uint64_t mapped)
{
    if (mapped < watch.mapped) {
        watch.losses.lost += watch.mapped - mapped;
        watch.tries = 0;
        trace_prefault_watch_lost(watch.mapped - mapped, mapped);
        qapi_event_send_prefault_lost(watch.losses.lost,
                                      watch.losses.remapped);
    } else if (mapped > watch.mapped) {
        watch.losses.remapped += MIN(mapped, watch.target) - watch.mapped;
        watch.tries = 0;
    }
    watch.mapped = mapped;
    watch.target = MAX(watch.target, mapped);
    watch.losses.missing = watch.target - mapped;
}

/*
 * KVM counts ROMs and the like, too.  All that can be mapped again is mapped,
 * and the count has not moved: what is missing is not ours.
 */
static void watch_give_up_what_is_not_ours(void)
{
    if (watch.complete && watch.mapped == watch.before) {
        watch.target = watch.mapped;
        watch.losses.missing = 0;
    }
}

static void watch_end_try(void)
{
    watch.ended_ns = watch_now_ns();
    watch.pause_ns = MIN((watch.ended_ns - watch.tried_ns) * (REMAP_PART - 1),
                         PAUSE_MAX_MS * SCALE_MS);
    watch.tried_ns = 0;
    watch_give_up_what_is_not_ours();
}

static int64_t watch_next_try_ns(void)
{
    return watch.ended_ns + MAX(watch.pause_ns,
                                (RETRY_MS << watch.tries) * (int64_t)SCALE_MS);
}

/* Returns how long to wait until the next look */
static int64_t watch_try(void)
{
    int64_t now = watch_now_ns();

    if (watch.tried_ns) {
        watch_end_try();
    }
    if (!watch.losses.missing && !watch.torn) {
        return LOOK_MS * SCALE_MS;
    }
    if (now < watch_next_try_ns()) {
        return MIN(watch_next_try_ns() - now, LOOK_MS * SCALE_MS);
    }
    watch.tries = MIN(watch.tries + 1, DOUBLINGS_MAX);
    watch.tried_ns = now;
    watch.before = watch.mapped;
    watch.complete = false;
    watch.left_out = false;
    watch.torn = false;
    watch.lost();
    return LOOK_SOON_MS * SCALE_MS;
}

/* Do mappings come and go because of us?  KVM cuts up what is tracked. */
static bool watch_is_busy(void)
{
    return global_dirty_tracking ||
           prefault_ledger_owed(watch.ledger, PREFAULT_OWED_REASON__MAX);
}

/* What is mapped now is right, but for what was missing before */
static void watch_note_change(uint64_t mapped)
{
    unsigned returns = qatomic_read(&watch_returns);

    if (!watch.begun) {
        watch.begun = true;
        watch.full = MAX(watch.full, mapped);
    } else if (watch.returns == returns) {
        /* The memory map has changed, not what the guest has */
        watch.full -= MIN(watch.full, watch.mapped - MIN(mapped, watch.mapped));
    }
    watch.torn |= watch.returns != returns;
    watch.returns = returns;
    watch.mapped = mapped;
    watch.target = mapped + watch.losses.missing;
}

static void watch_note_returned(uint64_t mapped)
{
    watch.full = MAX(watch.full, mapped);
    if (prefault_watch_has_returned()) {
        watch.losses.returned = watch.full - mapped -
                                MIN(watch.losses.missing, watch.full - mapped);
        if (watch.losses.returned) {
            warn_report_once("prefault: the guest gives memory back to the "
                             "host (balloon, free page reporting): it pays a "
                             "page fault when it takes it again");
        }
    }
}

/* Returns how long to wait until the next look */
static int64_t watch_compare(void)
{
    unsigned changes = qatomic_read(&watch_changes);
    uint64_t mapped;

    if (watch_is_busy()) {
        return (watch.tried_ns ? LOOK_SOON_MS : LOOK_MS) * SCALE_MS;
    }
    if (!prefault_counts_mapped(&mapped)) {
        return LOOK_MS * SCALE_MS;
    }
    if (!watch.begun || watch.changes != changes) {
        watch_note_change(mapped);
        watch.changes = changes;
    }
    watch_account(mapped);
    watch_note_returned(mapped);
    return watch_try();
}

static void watch_look(void *opaque)
{
    int64_t pause_ns = watch_compare();

    timer_mod(watch.timer, watch_now_ns() + pause_ns);
}

void prefault_watch_set_up(PrefaultLedger *ledger, void (*lost)(void))
{
    assert(bql_locked());
    watch.ledger = ledger;
    watch.lost = lost;
    watch.timer = timer_new_ns(QEMU_CLOCK_REALTIME, watch_look, NULL);
}

void prefault_watch_start(void)
{
    uint64_t mapped;

    assert(bql_locked());
    /* As much should be mapped as before, if the last run has not walked it */
    watch.begun = watch.kept && prefault_counts_mapped(&mapped);
    if (watch.begun) {
        watch.changes = qatomic_read(&watch_changes);
        watch.mapped = mapped;
    }
    watch.tried_ns = 0;
    qatomic_set(&watch_is_known, !prefault_watch_has_returned());
    /* At once, before anything is lost, but not before the guest goes on */
    timer_mod(watch.timer, watch_now_ns());
}

static bool watch_is_on(void)
{
    return watch.timer && timer_pending(watch.timer);
}

/*
 * The last look before mappings change, at the first of several changes: what
 * is missing by now was lost
 */
static void watch_look_before_change(void)
{
    uint64_t mapped;

    if (watch_is_on() && watch.begun &&
        watch.changes == qatomic_read(&watch_changes) && !watch_is_busy() &&
        prefault_counts_mapped(&mapped)) {
        watch_account(mapped);
    }
    if (watch.losses.missing) {
        qatomic_set(&watch_is_known, false);
    }
}

bool prefault_watch_stop(void)
{
    assert(bql_locked());
    watch_look_before_change();
    watch.kept = watch_is_on() && watch.begun && qatomic_read(&watch_is_known);
    if (watch.timer) {
        timer_del(watch.timer);
    }
    watch.losses.missing = 0;
    return watch.kept;
}

void prefault_watch_remapped(bool complete)
{
    assert(bql_locked());
    watch.left_out |= !complete;
    watch.complete = !watch.left_out;
}

void prefault_watch_changing(void)
{
    assert(bql_locked());
    watch_look_before_change();
    prefault_watch_change();
}

void prefault_watch_change(void)
{
    qatomic_inc(&watch_changes);
}

void prefault_watch_replaced(void)
{
    qatomic_set(&watch_is_known, false);
    prefault_watch_change();
}

void prefault_watch_returned(void)
{
    qatomic_inc(&watch_returns);
    prefault_watch_replaced();
}

bool prefault_watch_has_returned(void)
{
    return qatomic_read(&watch_returns);
}

PrefaultLosses prefault_watch_losses(void)
{
    assert(bql_locked());
    return watch.losses;
}
