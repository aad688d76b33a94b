/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest does not run while it is held, and is let go at last
 *
 * Mode on.  A start is put off, or a guest that was reset does not go on, until
 * a run has mapped the memory as it is since then.  Meanwhile the guest may be
 * stopped, reset again, migrated away, or its memory map may change.
 */
#include "shared.inc"
#define EVENTS 4

mtype = { PRELAUNCH, PAUSED, RUNNING, POSTMIGRATE };
mtype = { NONE, START, RESUME };

mtype runstate = PRELAUNCH, start_state, how = NONE;
bool go;                /* vCPUs were let go */
bool wanted;            /* somebody wants the guest to run */
bool ready;             /* due.ready */
bool awaited;           /* lifecycle_is_awaited() */
bool stale, working, scheduled;
byte epoch = 1;         /* of what has to be mapped before the guest runs */
byte planned, mapped;   /* epochs */
byte events;

inline lifecycle_begin_run()
{
    planned = epoch;
    stale = false;
    working = true;
    awaited = true
}

inline lifecycle_must_wait()
{
    if
    :: awaited || ready
    :: else -> lifecycle_begin_run()
    fi
}

inline prefault_hold(hold)
{
    how = hold;
    start_state = runstate
}

inline resume_all_vcpus()
{
    if
    :: runstate == RUNNING ->
        lifecycle_must_wait();          /* prefault_hold_resume() */
        if
        :: awaited -> prefault_hold(RESUME)
        :: else -> go = true
        fi
    :: else
    fi
}

inline vm_start()
{
    if
    :: runstate != RUNNING ->
        lifecycle_must_wait();          /* prefault_hold_start() */
        if
        :: awaited -> prefault_hold(START)
        :: else -> runstate = RUNNING; resume_all_vcpus()
        fi
    :: else
    fi
}

/* A run is over: completed, or @good is false */
inline lifecycle_close_run(good)
{
    ready = good;
    if
    :: good -> mapped = planned
    :: else
    fi;
    awaited = false;
    working = false;
    scheduled = false
}

/* lifecycle_abort(); the workers may have ended just before */
inline prefault_cancel_start()
{
    how = NONE;
    if
    :: awaited ->
        was_ready = ready;
        lifecycle_close_run(!working && !stale);
        ready = ready || was_ready
    :: else
    fi
}

inline vm_stop()
{
    prefault_cancel_start();
    if
    :: runstate == RUNNING -> runstate = PAUSED; go = false
    :: else
    fi;
    wanted = false
}

inline hold_release_start()
{
    if
    :: runstate != start_state -> wanted = false        /* hold_give_up() */
    :: else -> vm_start()
    fi
}

inline prefault_hold_release()
{
    was = how;
    how = NONE;
    if
    :: was == START && ready -> hold_release_start()
    :: was == START && !ready -> wanted = false
    :: was == RESUME && ready -> resume_all_vcpus()
    :: was == RESUME && !ready -> vm_stop()
    :: was == NONE
    fi
}

/* lifecycle_workers_done(), lifecycle_finish() */
inline lifecycle_workers_done(good)
{
    scheduled = false;
    if
    :: stale -> lifecycle_begin_run()
    :: else ->
        lifecycle_close_run(good);
        prefault_hold_release()
    fi
}

inline prefault_hold_reset()
{
    if
    :: how == START && runstate == start_state -> start_state = PRELAUNCH
    :: how == START && runstate != start_state -> how = NONE; wanted = false
    :: else
    fi
}

inline lifecycle_map_changing()
{
    epoch++;
    if
    :: awaited -> stale = true          /* prefault_run_invalidate() */
    :: else
    fi
}

/* A reset: pauses the vCPUs, lifecycle_reset(), lets them go */
inline lifecycle_reset()
{
    go = false;
    ready = false;                      /* prefault_due_reset() */
    prefault_hold_reset();
    lifecycle_map_changing();
    resume_all_vcpus();
    if
    :: runstate != RUNNING -> runstate = PRELAUNCH
    :: else
    fi
}

inline prefault_cancel()
{
    if
    :: awaited ->
        lifecycle_close_run(!working && !stale);
        prefault_hold_release()
    :: else
    fi
}

inline model_migrated()
{
    if
    :: runstate == PRELAUNCH || runstate == PAUSED ->
        runstate = POSTMIGRATE;
        wanted = false
    :: else
    fi
}

#define EVENT events < EVENTS -> events++

/* What a user does.  Each step has the BQL from its beginning to its end. */
active proctype User()
{
    bool was_ready;
    mtype was;

    do
    :: d_step { EVENT; wanted = true; vm_start() }
    :: d_step { EVENT; vm_stop() }
    :: d_step { EVENT; lifecycle_reset() }
    :: d_step { EVENT; prefault_cancel() }
    :: d_step { EVENT; model_migrated() }
    :: d_step { awaited && EVENT; lifecycle_map_changing() }
    :: events == EVENTS -> break
    od
}

/* The bottom half of the last worker; a run may fail */
active proctype Bottom()
{
    bool was_ready;
    mtype was;

    do
    :: d_step { scheduled -> lifecycle_workers_done(true) }
    :: d_step { scheduled -> lifecycle_workers_done(false) }
    od
}

active proctype Worker()
{
    do
    :: atomic { working -> working = false; scheduled = true }
    od
}

#define RUNS (go && runstate == RUNNING)
/* A vCPU that was plugged meanwhile: cpu_is_stopped() */
#define PLUGGED_RUNS (runstate == RUNNING && how != RESUME)

OTHERS

ltl the_guest_does_not_run_while_held { [] (how != NONE -> !RUNS) }
ltl it_runs_with_its_memory_mapped { [] (RUNS || PLUGGED_RUNS -> mapped == epoch) }
ltl it_is_let_go_at_last { [] (how != NONE -> <> (how == NONE)) }
ltl it_runs_at_last { [] (wanted -> <> (RUNS || !wanted)) }
ltl it_does_not_run_unasked { [] (RUNS -> wanted) }
