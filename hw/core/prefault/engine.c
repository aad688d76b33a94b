/*
 * Prefault engine: the threads that work through a plan
 *
 * Guarantees: a chunk is handled by one worker, populated before it is mapped;
 * every loop over an operation that makes no progress ends; @done is called
 * once, when the other workers have finished too.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "qapi/error.h"
#include "engine.h"
#include "trace.h"

/*
 * Interruptions in a row, without progress, before a page is given up.  A
 * poisoned page interrupts for ever; a signal or two is normal.  Each can take
 * the time that a call has, some milliseconds.
 */
#define INTR_MAX 20

/* Tries in a row, a millisecond apart: no memslot change takes a second */
#define AGAIN_MAX 1000
#define AGAIN_USEC 1000

typedef struct EngineWorker {
    PrefaultEngine *engine;
    unsigned index;
    unsigned place;             /* of its last chunk; where to look next */
    bool entered;               /* that place */
    QemuThread thread;
} EngineWorker;

struct PrefaultEngine {
    const PrefaultPlan *plan;
    const PrefaultEngineOps *ops;
    void *opaque;
    EngineWorker *workers;
    unsigned nr_workers;
    unsigned nr_places;
    bool joined;                /* by prefault_engine_wait(), its thread only */

    QemuMutex lock;             /* protects everything below */
    QemuCond cond;              /* @outcome changed */
    PrefaultCursor *cursors;    /* one for each place */
    PrefaultProgress progress;
    PrefaultOutcome outcome;
    unsigned busy;              /* workers that have not finished */
    const char *failed_step;
    PrefaultChunk failed_chunk;
    int failed_errno;           /* positive */
};

static void engine_stop_locked(PrefaultEngine *engine, PrefaultOutcome why)
{
    if (engine->outcome == PREFAULT_OUTCOME_RUNNING) {
        engine->outcome = why;
        qemu_cond_broadcast(&engine->cond);
    }
}

static bool engine_stopped(PrefaultEngine *engine)
{
    QEMU_LOCK_GUARD(&engine->lock);
    return engine->outcome != PREFAULT_OUTCOME_RUNNING;
}

static void engine_fail(PrefaultEngine *engine, const char *step,
                        const PrefaultChunk *chunk, int err)
{
    QEMU_LOCK_GUARD(&engine->lock);

    /* The first failure is the one to report */
    if (engine->outcome == PREFAULT_OUTCOME_RUNNING) {
        engine->failed_step = step;
        engine->failed_chunk = *chunk;
        engine->failed_errno = err;
        engine_stop_locked(engine, PREFAULT_OUTCOME_FAILED);
    }
}

/* Count @piece in @counter, a member of the engine's progress */
static void engine_account(PrefaultEngine *engine, uint64_t *counter,
                           const PrefaultChunk *piece)
{
    QEMU_LOCK_GUARD(&engine->lock);
    *counter += piece->alias ? 0 : piece->size;
}

static void engine_leave_for_later(PrefaultEngine *engine,
                                   const PrefaultChunk *piece)
{
    engine_account(engine, &engine->progress.later, piece);
    if (piece->is_private) {
        engine_account(engine, &engine->progress.private_later, piece);
    }
    if (engine->ops->later) {
        engine->ops->later(engine->opaque, piece);
    }
}

/* @piece needs nothing any more */
static void engine_settle(PrefaultEngine *engine, const PrefaultChunk *piece,
                          bool mapped)
{
    if (engine->ops->settle) {
        engine->ops->settle(engine->opaque, piece, mapped);
    }
}

static void engine_leave_out(PrefaultEngine *engine, const PrefaultChunk *piece)
{
    trace_prefault_engine_leave_out(piece->gpa, piece->size);
    engine_account(engine, &engine->progress.failed, piece);
    engine_settle(engine, piece, false);
}

static void engine_account_mapped(PrefaultEngine *engine,
                                  const PrefaultChunk *piece)
{
    engine_account(engine, &engine->progress.mapped, piece);
    if (piece->is_private) {
        engine_account(engine, &engine->progress.private_mapped, piece);
    }
    engine_settle(engine, piece, true);
}

static PrefaultChunk engine_chunk_part(const PrefaultChunk *chunk,
                                       uint64_t offset, uint64_t size)
{
    PrefaultChunk part = *chunk;

    part.gpa += offset;
    part.host += offset;
    part.size = size;
    return part;
}

/*
 * Is another try after @err worth it?  @tries counts those in a row.
 */
static bool engine_try_again(int err, unsigned *tries)
{
    ++*tries;
    switch (err) {
    case EINTR:
    case ETIME:
        return *tries < INTR_MAX;
    case EAGAIN:
        g_usleep(AGAIN_USEC);
        return *tries < AGAIN_MAX;
    default:
        return false;
    }
}

static bool engine_is_not_yet(int ret)
{
    return ret == -EOPNOTSUPP || ret == -ENOEXEC || ret == -EBUSY ||
           ret == -ENODEV;
}

/*
 * Nothing of @rest could be mapped, and another try is not worth it.  Returns how
 * much of it is dealt with: all, or a page that is left out.
 */
static uint64_t engine_give_up(PrefaultEngine *engine,
                               const PrefaultChunk *rest, int ret)
{
    if (engine_is_not_yet(ret)) {
        engine_leave_for_later(engine, rest);
    } else if (ret == -ECANCELED) {
        prefault_engine_invalidate(engine);
    } else if (ret == -EINTR || ret == -ETIME || ret == -EHWPOISON) {
        PrefaultChunk page = engine_chunk_part(rest, 0,
            MIN(rest->size, qemu_real_host_page_size()));

        engine_leave_out(engine, &page);
        return page.size;
    } else {
        /* Success without progress would go on for ever */
        engine_fail(engine, "mapping", rest, -ret ?: EIO);
    }
    return rest->size;
}

static void engine_map(EngineWorker *worker, const PrefaultChunk *chunk)
{
    PrefaultEngine *engine = worker->engine;
    uint64_t done = 0;
    unsigned tries = 0;

    while (done < chunk->size && !engine_stopped(engine)) {
        PrefaultChunk rest = engine_chunk_part(chunk, done, chunk->size - done);
        uint64_t mapped = 0;
        int ret = engine->ops->map(engine->opaque, worker->index, rest.gpa,
                                   rest.size, &mapped);

        trace_prefault_engine_map(worker->index, rest.gpa, rest.size, mapped,
                                  ret);
        if (mapped) {
            /* An error that lasts comes back from the next try */
            PrefaultChunk part = engine_chunk_part(&rest, 0, mapped);

            engine_account_mapped(engine, &part);
            done += mapped;
            tries = 0;
        } else if (!engine_try_again(-ret, &tries)) {
            done += engine_give_up(engine, &rest, ret);
            tries = 0;
        }
    }
}

/* Map @chunk, which has all the memory that it needs, if that is possible now */
static void engine_map_if_possible(EngineWorker *worker,
                                   const PrefaultChunk *chunk)
{
    if (!worker->engine->ops->map || chunk->map_later) {
        engine_leave_for_later(worker->engine, chunk);
    } else {
        engine_map(worker, chunk);
    }
}

/* Map of @chunk what the host has; the rest needs nothing */
static void engine_map_present(EngineWorker *worker, const PrefaultChunk *chunk)
{
    PrefaultEngine *engine = worker->engine;
    uint64_t done = 0, size;

    for (; done < chunk->size && !engine_stopped(engine); done += size) {
        PrefaultChunk rest = engine_chunk_part(chunk, done, chunk->size - done);
        bool present;

        size = engine->ops->present(engine->opaque, &rest, &present);
        rest.size = size;
        if (present) {
            engine_map_if_possible(worker, &rest);
        } else {
            engine_settle(engine, &rest, false);
        }
    }
}

static int engine_populate(PrefaultEngine *engine, const PrefaultChunk *chunk)
{
    unsigned tries = 0;
    int ret;

    do {
        ret = engine->ops->populate(engine->opaque, chunk);
    } while (ret && !engine_stopped(engine) &&
             engine_try_again(-ret, &tries));
    return ret;
}

static void engine_populate_and_map(EngineWorker *worker,
                                    const PrefaultChunk *chunk)
{
    PrefaultEngine *engine = worker->engine;
    int ret = engine_populate(engine, chunk);

    if (ret == 0) {
        engine_account(engine, &engine->progress.populated, chunk);
        trace_prefault_engine_populated(worker->index, chunk->gpa, chunk->size);
        if (engine->ops->map) {
            engine_map_if_possible(worker, chunk);
        }
    } else if (ret == -ECANCELED) {
        prefault_engine_invalidate(engine);
    } else if (ret == -EHWPOISON && chunk->size > chunk->page_size) {
        /* Somewhere in here: halves, until it is one page */
        uint64_t half = ROUND_UP(chunk->size / 2, chunk->page_size);
        PrefaultChunk low = engine_chunk_part(chunk, 0, half);
        PrefaultChunk high = engine_chunk_part(chunk, half, chunk->size - half);

        engine_populate_and_map(worker, &low);
        engine_populate_and_map(worker, &high);
    } else if (ret == -EHWPOISON) {
        engine_leave_out(engine, chunk);
    } else {
        engine_fail(engine, "populating", chunk, -ret);
    }
}

static void engine_handle(EngineWorker *worker, const PrefaultChunk *chunk)
{
    if (engine_stopped(worker->engine)) {
        return;
    }
    if (chunk->is_private) {
        engine_map_if_possible(worker, chunk);
    } else if (chunk->present_only) {
        engine_map_present(worker, chunk);
    } else {
        engine_populate_and_map(worker, chunk);
    }
}

static bool engine_next(EngineWorker *worker, PrefaultChunk *chunk)
{
    PrefaultEngine *engine = worker->engine;

    QEMU_LOCK_GUARD(&engine->lock);
    if (engine->outcome != PREFAULT_OUTCOME_RUNNING) {
        return false;
    }
    for (unsigned i = 0; i < engine->nr_places; i++) {
        unsigned place = (worker->place + i) % engine->nr_places;

        if (prefault_plan_next(engine->plan, &engine->cursors[place], chunk)) {
            return true;
        }
    }
    return false;
}

static void engine_enter(EngineWorker *worker, unsigned place)
{
    PrefaultEngine *engine = worker->engine;

    if (worker->entered && worker->place == place) {
        return;
    }
    worker->entered = true;
    worker->place = place;
    if (engine->ops->enter) {
        engine->ops->enter(engine->opaque, place);
    }
}

/* Returns true for the last worker */
static bool engine_finish_worker(PrefaultEngine *engine)
{
    QEMU_LOCK_GUARD(&engine->lock);

    if (--engine->busy) {
        return false;
    }
    engine_stop_locked(engine, PREFAULT_OUTCOME_COMPLETED);
    return true;
}

static void *engine_thread(void *opaque)
{
    EngineWorker *worker = opaque;
    PrefaultEngine *engine = worker->engine;
    PrefaultChunk chunk;

    while (engine_next(worker, &chunk)) {
        engine_enter(worker, chunk.place);
        engine_handle(worker, &chunk);
    }
    if (engine_finish_worker(engine) && engine->ops->done) {
        engine->ops->done(engine->opaque);
    }
    return NULL;
}

PrefaultEngine *prefault_engine_start(const PrefaultPlan *plan,
                                      const PrefaultEngineOps *ops,
                                      void *opaque, unsigned threads)
{
    PrefaultEngine *engine = g_new0(PrefaultEngine, 1);

    engine->plan = plan;
    engine->ops = ops;
    engine->opaque = opaque;
    engine->nr_workers = threads;
    engine->busy = threads;
    engine->workers = g_new0(EngineWorker, threads);
    engine->nr_places = prefault_plan_places(plan);
    engine->cursors = g_new0(PrefaultCursor, engine->nr_places);
    for (unsigned i = 0; i < engine->nr_places; i++) {
        engine->cursors[i].place = i;
    }
    qemu_mutex_init(&engine->lock);
    qemu_cond_init(&engine->cond);

    for (unsigned i = 0; i < threads; i++) {
        EngineWorker *worker = &engine->workers[i];
        g_autofree char *name = g_strdup_printf("prefault/%u", i);

        worker->engine = engine;
        worker->index = i;
        worker->place = i % engine->nr_places;
        qemu_thread_create(&worker->thread, name, engine_thread, worker,
                           QEMU_THREAD_JOINABLE);
    }
    return engine;
}

void prefault_engine_work(PrefaultEngine *engine, bool (*go_on)(void *opaque))
{
    EngineWorker worker = { .engine = engine, .entered = true };
    PrefaultChunk chunk;

    assert(!engine->nr_workers);
    do {
        if (!engine_next(&worker, &chunk)) {
            QEMU_LOCK_GUARD(&engine->lock);
            engine_stop_locked(engine, PREFAULT_OUTCOME_COMPLETED);
            return;
        }
        engine_handle(&worker, &chunk);
    } while (go_on(engine->opaque));
}

void prefault_engine_cancel(PrefaultEngine *engine)
{
    QEMU_LOCK_GUARD(&engine->lock);

    engine_stop_locked(engine, PREFAULT_OUTCOME_CANCELLED);
}

void prefault_engine_invalidate(PrefaultEngine *engine)
{
    QEMU_LOCK_GUARD(&engine->lock);

    engine_stop_locked(engine, PREFAULT_OUTCOME_STALE);
}

PrefaultOutcome prefault_engine_wait(PrefaultEngine *engine)
{
    WITH_QEMU_LOCK_GUARD(&engine->lock) {
        while (engine->outcome == PREFAULT_OUTCOME_RUNNING) {
            qemu_cond_wait(&engine->cond, &engine->lock);
        }
    }
    if (!engine->joined) {
        for (unsigned i = 0; i < engine->nr_workers; i++) {
            qemu_thread_join(&engine->workers[i].thread);
        }
        engine->joined = true;
    }
    return prefault_engine_progress(engine, NULL);
}

PrefaultOutcome prefault_engine_progress(PrefaultEngine *engine,
                                         PrefaultProgress *progress)
{
    QEMU_LOCK_GUARD(&engine->lock);

    if (progress) {
        *progress = engine->progress;
    }
    return engine->outcome;
}

void prefault_engine_failure(PrefaultEngine *engine, Error **errp)
{
    QEMU_LOCK_GUARD(&engine->lock);

    error_setg(errp, "%s guest memory 0x%" HWADDR_PRIx "-0x%" HWADDR_PRIx
               " failed: %s%s", engine->failed_step, engine->failed_chunk.gpa,
               engine->failed_chunk.gpa + engine->failed_chunk.size - 1,
               g_strerror(engine->failed_errno),
               engine->failed_errno == EFAULT
               ? " (no free huge page, or no space behind the file?)" : "");
}

void prefault_engine_free(PrefaultEngine *engine)
{
    if (!engine) {
        return;
    }
    prefault_engine_cancel(engine);
    prefault_engine_wait(engine);
    qemu_cond_destroy(&engine->cond);
    qemu_mutex_destroy(&engine->lock);
    g_free(engine->cursors);
    g_free(engine->workers);
    g_free(engine);
}
