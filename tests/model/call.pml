/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A call is bounded, a retired root is replaced, and EFER is put back
 *
 * KVM tries again as long as the page table root is retired.  A timer ends
 * that, and then the vCPU's own thread drops the root by a change of EFER.
 */
#include "shared.inc"

#define WORKER 0
#define VCPU   1

bool held;              /* the guest is: its vCPU does not enter */
bool retired;           /* the root of the vCPU is */
bool flipped;           /* EFER is not what the guest has set */
bool vcpu_mutex;        /* KVM's, of the vCPU */
bool may_fail = true;   /* one KVM_SET_MSRS may */
bool armed[2], pending[2];      /* the threads' timers and signals */
bool chosen;            /* @held is */
byte plan;              /* generation of the run's plan */
bool in_guest, stopped, mapped, work, closing;

/* The timer of each thread */
active [2] proctype Timer()
{
    do
    :: armed[_pid] && !pending[_pid] -> pending[_pid] = true
    od
}

/* A memslot is deleted, or kvm.nx_huge_pages changes */
active proctype Host()
{
    byte n;

    chosen;
    do
    :: n < 2 -> n++; retired = true
    :: break
    od
}

inline linux_pre_fault(me, ret)
{
    LOCK(vcpu_mutex);
    if
    :: retired && pending[me] -> pending[me] = false; ret = false
    :: !retired -> mapped = true; ret = true
    fi;
    UNLOCK(vcpu_mutex)
}

/* pre_fault_call(), in the gate */
inline kvm_pre_fault_map(me, ret)
{
    ret = false;
    prefault_gate_enter(plan, open);
    if
    :: open ->
        armed[me] = true;
        pending[me] = false;    /* what came before the call is no use */
        linux_pre_fault(me, ret);
        armed[me] = false;
        prefault_gate_leave()
    :: else
    fi
}

/* KVM_SET_MSRS: a change resets the MMU, so that the root is a new one */
inline pre_fault_set_efer(value, ok)
{
    LOCK(vcpu_mutex);
    if
    :: flipped = value; retired = false; ok = true
    :: may_fail -> may_fail = false; ok = false
    fi;
    UNLOCK(vcpu_mutex)
}

inline kvm_pre_fault_drop_root()
{
    pre_fault_set_efer(true, ok);
    pre_fault_set_efer(false, ok);
    if
    :: ok
    :: else -> stopped = true   /* pre_fault_stop_guest() */
    fi
}

/* kvm_own_thread_map_here() */
inline kvm_own_thread_map_here()
{
    kvm_pre_fault_map(VCPU, ret);
    if
    :: ret
    :: else ->
        bql_lock();
        kvm_pre_fault_drop_root();
        bql_unlock();
        kvm_pre_fault_map(VCPU, ret)
    fi
}

inline linux_enter_guest()
{
    LOCK(vcpu_mutex);
    atomic { in_guest = true; retired = false }
    atomic { in_guest = false; vcpu_mutex = false }
}

active proctype Vcpu()
{
    bool ret, ok, open;

    atomic {
        if
        :: held = true
        :: held = false
        fi;
        chosen = true
    }
    do
    :: atomic { work && !bql -> bql = true } ->         /* own_thread_work() */
        bql_unlock();
        kvm_own_thread_map_here();
        bql_lock();
        work = false;
        bql_unlock()
    :: !held && !work && !stopped && !mapped ->
        linux_enter_guest()
    :: !held && !work && !stopped && mapped ->
        linux_enter_guest();
        break
    :: mapped && !work && (held || stopped) -> break
    od
}

/* backend_map_held() of a guest that is held, else kvm_own_thread_map() */
active proctype Worker()
{
    bool ret, open, ok;

    chosen;
    do
    :: mapped || stopped -> break
    :: else ->
        bql_lock();
        plan = generation;      /* run_plan() */
        bql_unlock();
        ret = false;
        if
        :: held -> kvm_pre_fault_map(WORKER, ret)
        :: else
        fi;
        if
        :: ret
        :: else -> work = true; !work
        fi
    od
}

/* A change of the memory map */
active proctype Main()
{
    bql_lock();
    closing = true;
    prefault_gate_close();
    closing = false;
    bql_unlock()
}

OTHERS

ltl a_call_ends { [] (inside > 0 -> <> (inside == 0)) }
ltl closing_ends { [] (closing -> <> !closing) }
ltl efer_is_back_before_the_guest_runs { [] (in_guest -> !flipped) }
ltl a_retired_root_is_replaced { <> (mapped || stopped) }
