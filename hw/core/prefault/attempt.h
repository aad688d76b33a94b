/*
 * One plan of guest memory that workers work through
 *
 * It lives until its last worker has left, which the kernel may put off for as
 * long as it likes (memory.high, a file system that does not answer).  Nobody
 * waits for that with the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_ATTEMPT_H
#define HW_CORE_PREFAULT_ATTEMPT_H

#include "engine.h"
#include "memory.h"
#include "qemu/queue.h"
#include "steps.h"

/**
 * PrefaultAttempt: a plan, its workers, and what they use
 * @done: called when the workers have nothing left to do; NULL once it was
 *        released.  Context: BQL, main loop.
 * @steps: shared with the workers
 * @engine: the workers; NULL: nothing was begun
 * @memory: the plan
 * @debts: it is to settle these, sorted; NULL: its plan is of all memory
 * @next: of those that are under way, or of those that are left behind
 *
 * All fields but what @steps points to are protected by the BQL.
 */
typedef struct PrefaultAttempt {
    void (*done)(void);
    PrefaultSteps steps;
    PrefaultEngine *engine;
    PrefaultMemory memory;
    GArray *debts;
    QLIST_ENTRY(PrefaultAttempt) next;
} PrefaultAttempt;

/**
 * prefault_attempt_new: an attempt that was not begun
 * @done: as in PrefaultAttempt; NULL: there will be no workers
 *
 * Context: BQL.
 *
 * Returns: for prefault_attempt_release().
 */
PrefaultAttempt *prefault_attempt_new(void (*done)(void));

/**
 * prefault_attempt_release: it is over
 * @attempt: freed, or left behind until its workers have left; its @done is not
 *           called any more
 *
 * Context: BQL.  Waits for no worker.
 */
void prefault_attempt_release(PrefaultAttempt *attempt);

/**
 * prefault_attempt_plans: may some memory be in a plan?
 * @start: guest address
 * @size: bytes
 *
 * Of an attempt that was not released yet.
 *
 * Context: BQL.
 *
 * Returns: true if so.
 */
bool prefault_attempt_plans(hwaddr start, uint64_t size);

/**
 * prefault_attempt_workers_left_behind: workers of attempts that are over
 *
 * Context: BQL.
 *
 * Returns: how many the kernel has not let go yet.
 */
unsigned prefault_attempt_workers_left_behind(void);

#endif /* HW_CORE_PREFAULT_ATTEMPT_H */
