/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * No call into KVM is under way while memslots change
 *
 * A deletion waits, with the BQL, for the readers of SRCU.  The call is one of
 * them, and tries again as long as a memslot is being deleted (Linux up to
 * 6.17).  It has no bound here: the gate alone has to keep the two apart.
 */
#include "shared.inc"
#define CHANGES 2

bool changing;          /* memslots are */
bool closing;           /* the main loop waits for the gate */
byte calls;             /* of KVM_PRE_FAULT_MEMORY under way */

bool invalid;           /* a memslot is marked: it is being deleted */
bit epoch;              /* of SRCU */
byte readers[2];

inline linux_pre_fault()
{
    atomic { at = epoch; readers[at]++; calls++ }
    !invalid;           /* else it tries again */
    atomic { calls--; readers[at]-- }
}

inline linux_delete_memslot()
{
    atomic { invalid = true; epoch = 1 - epoch }
    readers[1 - epoch] == 0;
    invalid = false
}

/* changes_begin(), later kvm_retention_commit() and what follows it */
active proctype Main()
{
    byte n;

    do
    :: n < CHANGES ->
        n++;
        bql_lock();
        closing = true;
        prefault_gate_close();
        closing = false;
        changing = true;
        linux_delete_memslot();
        changing = false;
        bql_unlock()
    :: else -> break
    od
}

/* A run and one of its workers: run_plan(), kvm_pre_fault_map() */
active [2] proctype Worker()
{
    byte plan;
    bool open;
    bit at;

    do
    ::  bql_lock();
        plan = generation;
        bql_unlock();
        do
        ::  prefault_gate_enter(plan, open);
            if
            :: open ->
                linux_pre_fault();
                prefault_gate_leave()
            :: else -> break
            fi
        od
    od
}

#define LAST (generation == CHANGES && !bql && !changing)

OTHERS

ltl no_call_while_memslots_change { [] (changing -> calls == 0) }
ltl a_deletion_ends { [] (changing -> <> !changing) }
ltl closing_ends { [] (closing -> <> !closing) }
ltl mapping_goes_on { [] (LAST -> <> (calls > 0)) }
