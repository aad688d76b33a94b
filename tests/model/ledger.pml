/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a change of the memory map drops is owed until it is mapped again
 *
 * A worker that has mapped the memory settles it.  A change may come in
 * between, and what it drops must not be settled by a call from before it.
 * What the host takes is owed once the watch notices that.
 */
#include "shared.inc"
#define CHANGES 2

bool lock;              /* the ledger's */
bool owed = true;
bool mapped;
bool dropped;           /* by a change or a loss that is known, since then */
bool changing;          /* memslots are */
bool under_way;         /* background.active */
bool over;              /* its workers have left */
bool stale;             /* it was invalidated */
byte plan;              /* its generation */

inline prefault_ledger_add()
{
    LOCK(lock);
    owed = true;
    UNLOCK(lock)
}

inline prefault_ledger_settle()
{
    LOCK(lock);
    if
    :: generation == plan -> owed = false   /* prefault_gate_is_open() */
    :: else
    fi;
    UNLOCK(lock)
}

/* prefault_run_begin_owed() */
inline background_timer()
{
    plan = generation;
    stale = false;
    over = false;
    under_way = true
}

inline run_forgive()
{
    prefault_ledger_settle()
}

inline background_finish()
{
    if
    :: stale
    :: else -> run_forgive()
    fi;
    under_way = false
}

/* changes_begin(), kvm_retention_commit(), then KVM deletes the memslot */
inline kvm_retention_commit()
{
    prefault_gate_close();
    stale = true;               /* prefault_background_map_changing() */
    changing = true;
    prefault_ledger_add();      /* retention_note_dropped() */
    atomic { mapped = false; dropped = true }
    changing = false
}

/* watch_compare() found the count below the target */
inline background_lost()
{
    if
    :: under_way ->
        prefault_gate_close();
        stale = true            /* prefault_run_invalidate() */
    :: else
    fi;
    prefault_ledger_add();      /* prefault_owe_all() */
    atomic {
        if
        :: !mapped -> dropped = true
        :: else
        fi
    }
}

/* All of it has the BQL */
active proctype Main()
{
    byte n;

    do
    :: n < CHANGES -> n++; kvm_retention_commit()
    :: !owed && !mapped -> background_lost()
    :: !under_way && owed -> background_timer()
    :: under_way && over -> background_finish()
    od
}

/* A worker, with one chunk: work_map() */
active proctype Worker()
{
    bool open;

    do
    :: under_way && !over ->
        prefault_gate_enter(plan, open);
        if
        :: open ->
            atomic { mapped = true; dropped = false }
            prefault_gate_leave();
            prefault_ledger_settle()
        :: else
        fi;
        over = true
    od
}

active proctype Host()
{
    mapped = false
}

OTHERS

ltl what_was_dropped_is_owed { [] (dropped -> owed) }
ltl all_is_mapped_at_last { <> [] mapped }
ltl nothing_is_mapped_meanwhile { [] (changing -> inside == 0) }
