/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What workers use is freed once, when the last of them has left
 *
 * A run that ends by itself is closed by a bottom half.  One that is cancelled
 * is closed at once and waits for nobody: a worker that the kernel keeps in a
 * call is left behind, and the bottom half of the last one frees the rest.
 */
#include "shared.inc"
#define WORKERS 2

byte busy = WORKERS;    /* engine->busy, with its lock */
bool stopped;           /* the tally's outcome is not running */
bool gone[WORKERS];     /* the thread is */
bool scheduled;         /* the bottom half is */
bool has_run = true;    /* run->attempt */
bool has_done = true;   /* attempt->done */
byte closed, freed;
bool touched_late, joining;

inline model_touch() { touched_late = touched_late || freed > 0 }

/* engine_thread() */
active [WORKERS] proctype Worker()
{
    bool last;

    do
    :: !stopped -> model_touch()          /* prefault_work_chunk() */
    :: stopped || true -> break     /* engine_next(): no chunk is left */
    od;
    atomic { model_touch(); busy--; last = busy == 0 }    /* engine_finish_worker() */
    if
    :: last ->
        model_touch();
        stopped = true;             /* prefault_tally_stop() */
        model_touch();
        scheduled = true            /* steps_done() */
    :: else
    fi;
    gone[_pid] = true
}

/* attempt_free(), prefault_engine_free() */
inline attempt_free()
{
    stopped = true;
    joining = true;
    gone[0] && gone[1];             /* prefault_engine_wait() */
    joining = false;
    scheduled = false;              /* qemu_bh_delete() */
    freed++
}

/* prefault_run_close(), then prefault_attempt_release() */
inline prefault_run_close()
{
    closed++;
    has_run = false;
    still = busy;                   /* prefault_engine_workers() */
    has_done = false;
    if
    :: still
    :: else -> attempt_free()
    fi
}

inline attempt_done()
{
    scheduled = false;
    if
    :: has_done -> prefault_run_close()
    :: else -> attempt_free()
    fi
}

/* All of it has the BQL: a bottom half, and what a user asks for */
active proctype Main()
{
    byte still;

    do
    :: scheduled -> attempt_done()
    :: has_run ->                   /* prefault_run_cancel() */
        stopped = true;
        prefault_gate_close();
        prefault_run_close()
    od
}

OTHERS

ltl an_attempt_is_freed_once { [] (freed <= 1) }
ltl an_attempt_is_freed_at_last { <> (freed == 1) }
ltl no_worker_touches_a_freed_attempt { [] !touched_late }
ltl a_run_is_closed_once { [] (closed <= 1) }
ltl nobody_waits_for_a_worker_at_work { [] (joining -> busy == 0) }
