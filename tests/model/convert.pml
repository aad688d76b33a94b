/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory that was converted is not populated or mapped by its former state
 *
 * A page is private or shared.  vCPUs convert it and work on it themselves for
 * a while (prefault_converted()); what they leave a run in the background
 * does.  Each has a plan that says what the page was.
 */
#include "shared.inc"
#define CONVERSIONS 2
#define VCPUS 2

bool is_private = true; /* what the page is: KVM's and QEMU's record */
bool owed, mapped;
bool due;               /* it was converted, and is not mapped since */
byte noting;            /* vCPUs that have converted, and not yet owed */
byte conversions;
bool wrong;             /* it was used for what it was not any more */
bool closing;

/* Runs: the vCPUs' own, and the last one is in the background */
#define BEHIND VCPUS
bool planned[VCPUS + 1];        /* an attempt is there, with the page */
bool plan_private[VCPUS + 1];
bool stale[VCPUS + 1];
byte plan[VCPUS + 1];
bool working;           /* the worker of the run in the background */
bool whole;             /* it has come to its plan's end */

inline prefault_ledger_settle(nr)
{
    atomic {
        if
        :: generation == plan[nr] -> owed = false
        :: else
        fi
    }
}

/* prefault_memory_read(): generation and state are of the same moment */
inline run_plan(nr)
{
    atomic {
        plan[nr] = generation;
        plan_private[nr] = is_private;
        stale[nr] = false;
        planned[nr] = true
    }
}

inline run_forgive(nr) { prefault_ledger_settle(nr) }

/* prefault_run_close() */
inline prefault_run_close(nr, completed)
{
    if
    :: completed && !stale[nr] -> run_forgive(nr)
    :: else
    fi;
    planned[nr] = false
}

inline model_use(nr) { wrong = wrong || plan_private[nr] != is_private }

/* steps_populate() and, for a page that is shared, nothing without it */
inline prefault_work_chunk(nr, completed)
{
    open = true;
    if
    :: plan_private[nr]
    :: else ->
        prefault_gate_enter(plan[nr], open);
        if
        :: open -> model_use(nr); prefault_gate_leave()
        :: else
        fi
    fi;
    if
    :: open -> prefault_gate_enter(plan[nr], open)
    :: else
    fi;
    if
    :: open ->                      /* kvm_pre_fault_map() */
        atomic { model_use(nr); mapped = true; due = false }
        prefault_gate_leave();
        prefault_ledger_settle(nr);
        completed = true
    :: else -> completed = false
    fi
}

#define prefault_attempt_plans (planned[0] || planned[1] || planned[BEHIND])

inline prefault_withdrawing()
{
    if
    :: owed || prefault_attempt_plans ->
        closing = true;
        prefault_gate_close();
        closing = false;
        stale[BEHIND] = true        /* prefault_background_map_changing() */
    :: else
    fi
}

/*
 * kvm_conversion_begin(): KVM drops the mapping.  kvm_conversion_give_back(),
 * between whose calls others may have the BQL, uses none of the state here.
 */
inline convert_serve()
{
    bql_lock();
    prefault_withdrawing();
    atomic {
        is_private = !is_private;
        mapped = false;
        due = true;
        noting++
    }
    bql_unlock()
}

inline prefault_converted(nr)
{
    bql_lock();
    atomic { owed = true; noting-- }    /* background_note() */
    run_plan(nr);
    bql_unlock();
    completed = false;
    if
    :: prefault_work_chunk(nr, completed)
    :: skip                             /* run_may_go_on() says no */
    fi;
    bql_lock();
    prefault_run_close(nr, completed); /* prefault_run_stop_here() */
    bql_unlock()
}

active [VCPUS] proctype Vcpu()
{
    bool open, completed;

    do
    :: atomic { conversions < CONVERSIONS -> conversions++ }
        convert_serve();
        prefault_converted(_pid)
    :: conversions == CONVERSIONS -> break
    od
}

/* background_timer(), background_finish() */
active proctype Main()
{
    do
    :: owed && !planned[BEHIND] ->
        bql_lock();
        run_plan(BEHIND);
        working = true;
        bql_unlock()
    :: planned[BEHIND] && !working ->
        bql_lock();
        prefault_run_close(BEHIND, whole);
        bql_unlock()
    od
}

active proctype Worker()
{
    bool open;

    do
    :: working ->
        prefault_work_chunk(BEHIND, whole);
        working = false
    od
}

OTHERS

ltl never_by_its_former_state { [] !wrong }
ltl what_was_converted_is_owed { [] (due && noting == 0 -> owed) }
ltl all_is_mapped_at_last { <> [] mapped }
ltl a_conversion_ends { [] (closing -> <> !closing) }
