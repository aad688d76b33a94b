/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the host takes away is noticed, owed, and mapped again at last
 *
 * KVM's count of what is mapped is compared with a target.  Changes of QEMU's
 * own move the count, too: then the target is set anew, once nothing is owed.
 * A reset trusts what is known to be mapped, and does not walk it again.
 */
#include "shared.inc"
#define PAGES 2
#define LOSSES 2
#define CHANGES 2

bool mapped[PAGES] = true;      /* in KVM's page tables */
bool owed[PAGES];       /* in the ledger */
bool away;              /* page 1 is with the host: in swap, or on its way */
bool todo[PAGES];       /* of the run under way */
bool under_way, over, stale, all_mapped;
bool wrong;             /* a page was trusted that was not mapped */

/* watch */
byte changes, seen;     /* watch_changes, and watch.changes */
bool begun = true, tried, complete, left_out, is_known = true;
byte target = PAGES, last = PAGES, missing, before;

#define COUNT (mapped[0] + mapped[1])
#define OWED  (owed[0] || owed[1])

/* watch_account() of the count */
inline watch_account()
{
    last = COUNT;
    if
    :: target < COUNT -> target = COUNT
    :: else
    fi;
    missing = target - COUNT
}

inline watch_give_up_what_is_not_ours()
{
    if
    :: complete && last == before -> target = last; missing = 0
    :: else
    fi
}

inline watch_note_change()
{
    begun = true;
    last = COUNT;
    target = COUNT + missing;
    seen = changes
}

/* background_lost(), prefault_owe_all() */
inline background_lost()
{
    if
    :: under_way -> stale = true
    :: else
    fi;
    owed[0] = true;
    owed[1] = true
}

/* The pause before a try is longer than a bottom half waits */
inline watch_try()
{
    if
    :: tried -> tried = false; watch_give_up_what_is_not_ours()
    :: !tried && missing ->
        tried = true;
        before = last;
        complete = false;
        left_out = false;
        background_lost()
    :: else
    fi
}

inline watch_compare()
{
    if
    :: OWED                         /* watch_is_busy() */
    :: else ->
        if
        :: !begun || seen != changes -> watch_note_change()
        :: else
        fi;
        watch_account();
        watch_try()
    fi
}

inline watch_look_before_change()
{
    if
    :: begun && seen == changes && !OWED -> watch_account()
    :: else
    fi;
    if
    :: missing -> is_known = false
    :: else
    fi
}

/* changes_begin(), kvm_retention_commit(): the memslot of page 0 goes */
inline kvm_retention_commit()
{
    watch_look_before_change();     /* prefault_watch_changing() */
    changes++;
    stale = true;
    owed[0] = true;                 /* background_note() */
    mapped[0] = false
}

inline background_timer()
{
    todo[0] = owed[0];
    todo[1] = owed[1];
    stale = false;
    over = false;
    all_mapped = true;
    under_way = true
}

/* Of the runs of a try none may have left out anything */
inline prefault_watch_remapped()
{
    left_out = left_out || stale || !all_mapped;
    complete = !left_out
}

inline background_finish()
{
    prefault_watch_remapped();
    under_way = false
}

/*
 * prefault_background_stop(), a held run that trusts what is known
 * (prefault_known_has()), prefault_background_start()
 */
inline lifecycle_reset()
{
    under_way = false;
    watch_look_before_change();     /* prefault_watch_stop() */
    missing = 0;
    trusted = begun && is_known;
    page = 0;
    do
    :: page < PAGES ->
        if
        :: trusted && !owed[page] -> wrong = wrong || !mapped[page]
        :: else -> mapped[page] = true; away = away && page != 1
        fi;
        owed[page] = false;
        page++
    :: else -> break
    od;
    begun = trusted;                /* prefault_watch_start() */
    seen = changes;
    last = COUNT;
    tried = false;
    is_known = true
}

/* The main loop, with the BQL: what the user does, timers, a bottom half */
active proctype User()
{
    byte n, page;
    bool trusted;

    do
    :: d_step { n < CHANGES -> n++; kvm_retention_commit() }
    :: d_step { n < CHANGES -> n++; lifecycle_reset() }
    :: n == CHANGES -> break
    od
}

active proctype Look()
{
    do
    :: d_step { !(tried && over && under_way && !OWED) -> watch_compare() }
    od
}

active proctype Background()
{
    do
    :: d_step { !under_way && OWED -> background_timer() }
    :: d_step { under_way && over -> background_finish() }
    od
}

/* Page 0 is always there; of a stale run nothing is settled */
active proctype Worker()
{
    do
    :: atomic { under_way && todo[0] ->
        todo[0] = false;
        if
        :: stale -> all_mapped = false
        :: else -> mapped[0] = true; owed[0] = false
        fi }
    :: atomic { under_way && todo[1] ->
        todo[1] = false;
        if
        :: stale -> all_mapped = false
        :: !stale && away -> all_mapped = false; owed[1] = false
        :: !stale && !away -> mapped[1] = true; owed[1] = false
        fi }
    :: atomic { under_way && !over && !todo[0] && !todo[1] -> over = true }
    od
}

/*
 * A loss that nobody can tell, by a count alone, from a change of QEMU's own,
 * or from memory that is not ours, is left out: see docs/model.md
 */
#define CAN_TELL (seen == changes && begun && !tried)

/* It takes a page, perhaps for a while */
active proctype Host()
{
    byte n;

    do
    :: atomic { n < LOSSES && CAN_TELL && mapped[1] ->
                mapped[1] = false; away = true; n++ }
    :: atomic { n < LOSSES && CAN_TELL && mapped[0] ->
                mapped[0] = false; n++ }
    :: away -> away = false
    :: n == LOSSES && !away -> break
    od
}

OTHERS

ltl a_loss_is_mapped_again { <> [] (mapped[0] && mapped[1]) }
ltl a_reset_trusts_what_is_mapped { [] !wrong }
ltl a_loss_is_noticed { [] (!mapped[1] -> <> (missing || OWED || mapped[1])) }
