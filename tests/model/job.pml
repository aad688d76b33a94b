/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A job that a worker gives to a vCPU's thread: both own it, the last frees it
 *
 * The vCPU needs the BQL to begin.  Who has the BQL may be waiting for the
 * workers (prefault_run_join()), so a worker gives up after a second, or once
 * the gate is closed, and abandons the job.
 */
#include "shared.inc"
#define JOBS 2

bool lock[JOBS], queued[JOBS], done[JOBS], abandoned[JOBS];
byte owners[JOBS], freed[JOBS];
bool touched_late;      /* a job was used after it was freed */
bool waiting, joining, over;

inline model_touch(job) { touched_late = touched_late || freed[job] > 0 }

inline own_thread_job_unref(job)
{
    LOCK(lock[job]);
    model_touch(job);
    owners[job]--;
    last = owners[job] == 0;
    UNLOCK(lock[job]);
    if
    :: last -> freed[job]++
    :: else
    fi
}

/* The list of work has one order: own_thread_work() */
active proctype Vcpu()
{
    bool last, leave;
    byte at;

    do
    :: at < JOBS ->
        atomic { queued[at] && !bql -> bql = true }
        LOCK(lock[at]);
        model_touch(at);
        leave = abandoned[at];      /* own_thread_job_abandoned() */
        UNLOCK(lock[at]);
        if
        :: leave
        :: else ->
            bql_unlock();
            skip;                   /* kvm_own_thread_map_here() */
            bql_lock();
            LOCK(lock[at]);
            model_touch(at);
            done[at] = true;
            UNLOCK(lock[at])
        fi;
        own_thread_job_unref(at);
        bql_unlock();
        at++
    :: else -> break
    od
}

/* The second passes only while somebody keeps the BQL */
#define ANSWER_MS joining

/* own_thread_wait() */
inline own_thread_wait(job, plan)
{
    waiting = true;
    if
    :: done[job]
    :: generation != plan       /* prefault_gate_is_open(), each LOOK_MS */
    :: ANSWER_MS
    fi;
    waiting = false;
    LOCK(lock[job]);
    model_touch(job);
    abandoned[job] = !done[job];
    UNLOCK(lock[job])
}

/* kvm_own_thread_map() */
active proctype Worker()
{
    bool last;
    byte job, plan;

    do
    :: job < JOBS ->
        plan = generation;
        owners[job] = 2;            /* own_thread_job_new() */
        queued[job] = true;         /* async_run_on_cpu() */
        own_thread_wait(job, plan);
        model_touch(job);
        own_thread_job_unref(job);
        job++
    :: else -> break
    od;
    over = true
}

/* A change of the memory map, or prefault_run_join() */
active proctype Main()
{
    bql_lock();
    joining = true;
    if
    :: skip -> prefault_gate_close()
    :: skip -> over
    fi;
    joining = false;
    bql_unlock()
}

#define FREED (freed[0] == 1 && freed[1] == 1)

OTHERS

ltl a_job_is_freed_once { [] (freed[0] <= 1 && freed[1] <= 1) }
ltl a_job_is_freed_at_last { <> FREED }
ltl nobody_touches_a_freed_job { [] !touched_late }
ltl a_worker_leaves { [] (waiting -> <> !waiting) }
ltl the_main_loop_goes_on { [] (joining -> <> !joining) }
