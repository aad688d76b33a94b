/*
 * Prefault engine: the threads that work through a plan
 *
 * Guarantees: a chunk is handled by one worker; @done is called once, when the
 * other workers have finished too.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "engine.h"

typedef struct EngineWorker {
    PrefaultEngine *engine;
    unsigned index;
    unsigned place;             /* of its last chunk; it looks here first */
    bool entered;               /* @place was entered */
    GThread *thread;
} EngineWorker;

struct PrefaultEngine {
    const PrefaultPlan *plan;
    PrefaultWork work;
    EngineWorker *workers;
    unsigned nr_workers;
    unsigned nr_places;
    bool joined;                /* by prefault_engine_wait(), its thread only */

    QemuMutex lock;             /* protects everything below */
    PrefaultCursor *cursors;    /* one for each place */
    unsigned busy;              /* workers that have not finished */
};

static bool engine_stopped(PrefaultEngine *engine)
{
    return prefault_tally_outcome(&engine->work.tally, NULL) !=
           PREFAULT_OUTCOME_RUNNING;
}

/*
 * A large guest has millions of chunks.  The workers need not take them one by
 * one where nothing is to be done.
 */
static void engine_skip_mapped(PrefaultEngine *engine, PrefaultCursor *cursor)
{
    PrefaultWork *work = &engine->work;
    PrefaultChunk rest;

    while (work->ops->mapped && !engine_stopped(engine) &&
           prefault_plan_rest(engine->plan, cursor, &rest)) {
        rest.size = prefault_plan_skip(
            engine->plan, cursor, work->ops->mapped(work->opaque, &rest));
        if (!rest.size) {
            return;
        }
        prefault_work_was_mapped(work, &rest);
    }
}

static bool engine_next(EngineWorker *worker, PrefaultChunk *chunk)
{
    PrefaultEngine *engine = worker->engine;

    QEMU_LOCK_GUARD(&engine->lock);
    for (unsigned i = 0; i < engine->nr_places && !engine_stopped(engine);
         i++) {
        unsigned place = (worker->place + i) % engine->nr_places;
        PrefaultCursor *cursor = &engine->cursors[place];

        engine_skip_mapped(engine, cursor);
        if (!engine_stopped(engine) &&
            prefault_plan_next(engine->plan, cursor, chunk)) {
            return true;
        }
    }
    return false;
}

static void engine_enter(EngineWorker *worker, unsigned place)
{
    PrefaultWork *work = &worker->engine->work;

    if (worker->entered && worker->place == place) {
        return;
    }
    worker->entered = true;
    worker->place = place;
    if (work->ops->enter) {
        work->ops->enter(work->opaque, place);
    }
}

/* Returns true for the last worker */
static bool engine_finish_worker(PrefaultEngine *engine)
{
    QEMU_LOCK_GUARD(&engine->lock);

    return !--engine->busy;
}

static void *engine_thread(void *opaque)
{
    EngineWorker *worker = opaque;
    PrefaultEngine *engine = worker->engine;
    PrefaultWork *work = &engine->work;
    PrefaultChunk chunk;

    while (engine_next(worker, &chunk)) {
        engine_enter(worker, chunk.place);
        prefault_work_chunk(work, worker->index, &chunk);
    }
    if (engine_finish_worker(engine)) {
        prefault_tally_stop(&work->tally, PREFAULT_OUTCOME_COMPLETED);
        work->ops->done(work->opaque);
    }
    return NULL;
}

/*
 * GLib's thread, for qemu_thread_create() aborts if there can be none.  Signals
 * are for QEMU's main thread, but for those of the thread's own mistakes, which
 * must not be blocked.
 */
static bool engine_create_thread(EngineWorker *worker, Error **errp)
{
    g_autofree char *name = g_strdup_printf("prefault/%u", worker->index);
    g_autoptr(GError) err = NULL;
    sigset_t all, old;

    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    worker->thread = g_thread_try_new(name, engine_thread, worker, &err);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!worker->thread) {
        error_setg(errp, "no thread can be made: %s (pids.max, RLIMIT_NPROC or "
                   "kernel.threads-max?)", err->message);
    }
    return worker->thread;
}

static void engine_create_threads(PrefaultEngine *engine, unsigned threads)
{
    Error *err = NULL;

    /* Workers wait for the lock: none is the last one before all are there */
    QEMU_LOCK_GUARD(&engine->lock);
    while (engine->nr_workers < threads) {
        EngineWorker *worker = &engine->workers[engine->nr_workers];

        worker->engine = engine;
        worker->index = engine->nr_workers;
        worker->place = worker->index % engine->nr_places;
        if (!engine_create_thread(worker, &err)) {
            break;
        }
        engine->nr_workers++;
    }
    engine->busy = engine->nr_workers;
    if (threads && !engine->nr_workers) {
        prefault_tally_fail(&engine->work.tally, g_steal_pointer(&err));
    }
    error_free(err);
}

PrefaultEngine *prefault_engine_start(const PrefaultPlan *plan,
                                      const PrefaultOps *ops,
                                      void *opaque, unsigned threads)
{
    PrefaultEngine *engine = g_new0(PrefaultEngine, 1);

    engine->plan = plan;
    engine->work.ops = ops;
    engine->work.opaque = opaque;
    prefault_tally_init(&engine->work.tally);
    engine->workers = g_new0(EngineWorker, threads);
    engine->nr_places = prefault_plan_places(plan);
    engine->cursors = g_new0(PrefaultCursor, engine->nr_places);
    for (unsigned i = 0; i < engine->nr_places; i++) {
        engine->cursors[i].place = i;
    }
    qemu_mutex_init(&engine->lock);
    engine_create_threads(engine, threads);
    return engine;
}

unsigned prefault_engine_workers(PrefaultEngine *engine, unsigned *busy)
{
    QEMU_LOCK_GUARD(&engine->lock);
    if (busy) {
        *busy = engine->busy;
    }
    return engine->nr_workers;
}

void prefault_engine_work(PrefaultEngine *engine, bool (*go_on)(void *opaque),
                          void *opaque)
{
    EngineWorker worker = { .engine = engine };
    PrefaultChunk chunk;

    assert(!engine->nr_workers);
    while (engine_next(&worker, &chunk)) {
        prefault_work_chunk(&engine->work, 0, &chunk);
        if (!go_on(opaque)) {
            return;
        }
    }
    prefault_tally_stop(&engine->work.tally, PREFAULT_OUTCOME_COMPLETED);
}

void prefault_engine_cancel(PrefaultEngine *engine)
{
    prefault_tally_stop(&engine->work.tally, PREFAULT_OUTCOME_CANCELLED);
}

void prefault_engine_invalidate(PrefaultEngine *engine)
{
    prefault_tally_stop(&engine->work.tally, PREFAULT_OUTCOME_STALE);
}

PrefaultOutcome prefault_engine_wait(PrefaultEngine *engine)
{
    for (unsigned i = 0; i < engine->nr_workers && !engine->joined; i++) {
        g_thread_join(engine->workers[i].thread);
    }
    engine->joined = true;
    return prefault_tally_outcome(&engine->work.tally, NULL);
}

PrefaultOutcome prefault_engine_progress(PrefaultEngine *engine,
                                         PrefaultProgress *progress)
{
    return prefault_tally_outcome(&engine->work.tally, progress);
}

void prefault_engine_failure(PrefaultEngine *engine, Error **errp)
{
    prefault_tally_failure(&engine->work.tally, errp);
}

void prefault_engine_free(PrefaultEngine *engine)
{
    if (!engine) {
        return;
    }
    prefault_engine_cancel(engine);
    prefault_engine_wait(engine);
    prefault_tally_destroy(&engine->work.tally);
    qemu_mutex_destroy(&engine->lock);
    g_free(engine->cursors);
    g_free(engine->workers);
    g_free(engine);
}
