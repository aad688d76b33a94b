/*
 * Fake operations for tests of the prefault engine
 *
 * A guest of 16 MiB, four chunks, in which populating and mapping is but a
 * mark on a page.  A test scripts what the operations answer; whatever it
 * scripts, they assert that nothing is mapped before it is populated, that
 * private memory is not populated, that no page is done twice, that work on a
 * chunk begins before and ends after that, and that the engine tells of each
 * page once, and the truth.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_PREFAULT_FAKE_OPS_H
#define TESTS_UNIT_PREFAULT_FAKE_OPS_H

#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "../../hw/core/prefault/engine.h"

#define PAGE (4 * KiB)
#define CHUNK (4 * MiB)
#define GUEST (4 * CHUNK)
#define PAGES (GUEST / PAGE)

/* Nobody touches it */
#define FAKE_HOST ((uint8_t *)(uintptr_t)0x700000000000ULL)

typedef struct Fake Fake;

struct Fake {
    PrefaultPlan *plan;
    hwaddr private_start;       /* from here on memory is private; 0: none is */
    bool present_only;          /* all memory is */
    bool without_threads;       /* nobody says that the workers are done */
    PrefaultEngine *engine;     /* operations wait for @started first */
    bool started;

    /* The script: set before the run.  NULL: success at once */
    bool (*begin)(Fake *f, const PrefaultChunk *chunk);
    int (*populate)(Fake *f, const PrefaultChunk *chunk);
    int (*again)(Fake *f, const PrefaultChunk *chunk);  /* what is populated */
    bool (*pin)(Fake *f, const PrefaultChunk *chunk);
    int (*map)(Fake *f, hwaddr gpa, uint64_t size, uint64_t *mapped);
    int err;                    /* positive; what the script answers */
    int times;                  /* how often; the script counts down */
    hwaddr bad[3];              /* where; nr_bad of them */
    int nr_bad;
    unsigned act_at;            /* number of the operation that does @act */
    void (*act)(Fake *f);
    unsigned calls_at_act;      /* operations begun until @act was done */

    /* Changed atomically */
    unsigned populate_calls, map_calls, later_calls, calls, done_calls;
    unsigned begin_calls, allowed, end_calls;
    unsigned in_map;

    uint8_t absent[PAGES];      /* the host has them not; set before the run */
    bool untold[PAGES];         /* whether a page is there is not told */

    QemuMutex lock;             /* protects the marks */
    uint8_t in_work[PAGES];     /* between begin and end */
    uint8_t populated[PAGES];
    uint8_t pinned[PAGES];
    uint8_t mapped[PAGES];
    uint8_t told_mapped[PAGES]; /* by settle */
    uint8_t told_never[PAGES];  /* likewise: left out, or absent */
    uint8_t told_later[PAGES];
};

static void fake_mark(Fake *f, uint8_t *marks, hwaddr gpa, uint64_t size)
{
    QEMU_LOCK_GUARD(&f->lock);

    for (uint64_t page = gpa / PAGE; page < (gpa + size) / PAGE; page++) {
        g_assert_cmpuint(marks[page], ==, 0);
        marks[page] = 1;
    }
}

static uint64_t fake_marked(Fake *f, const uint8_t *marks, hwaddr gpa,
                            uint64_t size)
{
    uint64_t bytes = 0;

    QEMU_LOCK_GUARD(&f->lock);
    for (uint64_t page = gpa / PAGE; page < (gpa + size) / PAGE; page++) {
        bytes += marks[page] * PAGE;
    }
    return bytes;
}

/* Pairs with the load in fake_wait_for_start() */
static inline void fake_let_go(Fake *f)
{
    qatomic_store_release(&f->started, true);
}

/* No QemuEvent: ThreadSanitizer does not see what its futex orders */
static inline void fake_wait_for_start(Fake *f)
{
    while (!qatomic_load_acquire(&f->started)) {
        g_usleep(100);
    }
}

/* What of a range has to be populated before it is mapped */
static uint64_t fake_shared_part(const Fake *f, hwaddr gpa, uint64_t size)
{
    return f->present_only || (f->private_start && gpa >= f->private_start)
           ? 0 : size;
}

/* Nothing is done before @begin allowed it, nor after @end */
static void fake_assert_in_work(Fake *f, hwaddr gpa, uint64_t size)
{
    if (qatomic_read(&f->begin_calls)) {
        g_assert_cmpuint(fake_marked(f, f->in_work, gpa, size), ==, size);
    }
}

/* Of each chunk another one */
static uint64_t fake_cost(const PrefaultChunk *chunk)
{
    return chunk->gpa + 7;
}

static bool fake_begin(void *opaque, const PrefaultChunk *chunk,
                       uint64_t *cost, Error **errp)
{
    Fake *f = opaque;

    qatomic_inc(&f->begin_calls);
    if (f->begin && !f->begin(f, chunk)) {
        error_setg(errp, "no room for 0x%" HWADDR_PRIx, chunk->gpa);
        return false;
    }
    fake_mark(f, f->in_work, chunk->gpa, chunk->size);
    *cost = fake_cost(chunk);
    qatomic_inc(&f->allowed);
    return true;
}

static void fake_end(void *opaque, const PrefaultChunk *chunk, uint64_t cost)
{
    Fake *f = opaque;

    g_assert_cmpuint(cost, ==, fake_cost(chunk));
    fake_assert_in_work(f, chunk->gpa, chunk->size);
    WITH_QEMU_LOCK_GUARD(&f->lock) {
        memset(f->in_work + chunk->gpa / PAGE, 0, chunk->size / PAGE);
    }
    qatomic_inc(&f->end_calls);
}

static void fake_count_call(Fake *f)
{
    if (qatomic_fetch_inc(&f->calls) + 1 == f->act_at) {
        fake_wait_for_start(f);
        f->act(f);
        f->calls_at_act = qatomic_read(&f->calls);
    }
}

static int fake_populate(void *opaque, const PrefaultChunk *chunk)
{
    Fake *f = opaque;
    int ret;

    g_assert_false(chunk->is_private);
    g_assert_false(chunk->present_only);
    fake_assert_in_work(f, chunk->gpa, chunk->size);
    if (fake_marked(f, f->populated, chunk->gpa, chunk->size) == chunk->size) {
        return f->again ? f->again(f, chunk) : 0;
    }
    fake_count_call(f);
    qatomic_inc(&f->populate_calls);
    ret = f->populate ? f->populate(f, chunk) : 0;
    if (!ret) {
        fake_mark(f, f->populated, chunk->gpa, chunk->size);
    }
    return ret;
}

static bool fake_pin(void *opaque, const PrefaultChunk *chunk, Error **errp)
{
    Fake *f = opaque;

    fake_assert_in_work(f, chunk->gpa, chunk->size);
    g_assert_cmpuint(fake_marked(f, f->populated, chunk->gpa, chunk->size), ==,
                     fake_shared_part(f, chunk->gpa, chunk->size));
    g_assert_cmpuint(fake_marked(f, f->mapped, chunk->gpa, chunk->size), ==, 0);
    if (f->pin && !f->pin(f, chunk)) {
        error_setg(errp, "no pin for 0x%" HWADDR_PRIx, chunk->gpa);
        return false;
    }
    fake_mark(f, f->pinned, chunk->gpa, chunk->size);
    return true;
}

static int fake_map(void *opaque, unsigned worker, hwaddr gpa, uint64_t size,
                    uint64_t *mapped)
{
    Fake *f = opaque;
    int ret = 0;

    fake_assert_in_work(f, gpa, size);
    g_assert_cmpuint(fake_marked(f, f->populated, gpa, size), ==,
                     fake_shared_part(f, gpa, size));
    qatomic_inc(&f->in_map);
    fake_count_call(f);
    qatomic_inc(&f->map_calls);
    if (f->map) {
        ret = f->map(f, gpa, size, mapped);
    } else {
        *mapped = size;
    }
    fake_mark(f, f->mapped, gpa, *mapped);
    qatomic_dec(&f->in_map);
    return ret;
}

static uint64_t fake_present(void *opaque, const PrefaultChunk *chunk,
                             bool *present)
{
    Fake *f = opaque;
    uint64_t first = chunk->gpa / PAGE, end = first + chunk->size / PAGE;
    uint64_t page = first;

    g_assert_true(chunk->present_only);
    if (f->untold[first]) {
        return 0;
    }
    while (page < end && f->absent[page] == f->absent[first]) {
        page++;
    }
    *present = !f->absent[first];
    return (page - first) * PAGE;
}

static void fake_settle(void *opaque, const PrefaultChunk *piece, bool mapped)
{
    Fake *f = opaque;

    g_assert_cmpuint(fake_marked(f, f->mapped, piece->gpa, piece->size), ==,
                     mapped ? piece->size : 0);
    fake_mark(f, mapped ? f->told_mapped : f->told_never, piece->gpa,
              piece->size);
}

static void fake_later(void *opaque, const PrefaultChunk *piece)
{
    Fake *f = opaque;

    g_assert_cmpuint(fake_marked(f, f->populated, piece->gpa, piece->size), ==,
                     fake_shared_part(f, piece->gpa, piece->size));
    g_assert_cmpuint(fake_marked(f, f->mapped, piece->gpa, piece->size), ==, 0);
    fake_mark(f, f->told_later, piece->gpa, piece->size);
    qatomic_inc(&f->later_calls);
}

static void fake_done(void *opaque)
{
    Fake *f = opaque;

    g_assert_cmpuint(qatomic_read(&f->in_map), ==, 0);
    qatomic_inc(&f->done_calls);
}

static const PrefaultOps fake_ops = {
    .begin = fake_begin,
    .end = fake_end,
    .present = fake_present,
    .populate = fake_populate,
    .pin = fake_pin,
    .map = fake_map,
    .settle = fake_settle,
    .later = fake_later,
    .done = fake_done,
};

static inline Fake *fake_new_sections(const PrefaultSection *s, size_t nr)
{
    Fake *f = g_new0(Fake, 1);

    f->plan = prefault_plan_new(s, nr, PAGE);
    qemu_mutex_init(&f->lock);
    return f;
}

static inline Fake *fake_new(size_t page_size)
{
    PrefaultSection all = {
        .size = GUEST,
        .host = FAKE_HOST,
        .page_size = page_size,
    };

    return fake_new_sections(&all, 1);
}

static inline Fake *fake_new_present_only(void)
{
    PrefaultSection all = {
        .size = GUEST,
        .host = FAKE_HOST,
        .page_size = PAGE,
        .present_only = true,
    };
    Fake *f = fake_new_sections(&all, 1);

    f->present_only = true;
    return f;
}

/* The second half is private */
static inline Fake *fake_new_private(void)
{
    uint8_t *host = FAKE_HOST;
    PrefaultSection halves[] = {
        { .size = GUEST / 2, .host = host, .page_size = PAGE },
        { .gpa = GUEST / 2, .ram_addr = GUEST / 2, .size = GUEST / 2,
          .host = host + GUEST / 2, .page_size = PAGE, .is_private = true },
    };
    Fake *f = fake_new_sections(halves, ARRAY_SIZE(halves));

    f->private_start = GUEST / 2;
    return f;
}

static inline void fake_free(Fake *f)
{
    prefault_engine_free(f->engine);
    prefault_plan_free(f->plan);
    qemu_mutex_destroy(&f->lock);
    g_free(f);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fake, fake_free)

static inline void fake_start_ops(Fake *f, const PrefaultOps *ops,
                                  unsigned threads)
{
    f->engine = prefault_engine_start(f->plan, ops, f, threads);
    fake_let_go(f);
}

static inline void fake_start(Fake *f, unsigned threads)
{
    fake_start_ops(f, &fake_ops, threads);
}

/* Wait for the end; every end has these properties */
static inline PrefaultOutcome fake_wait(Fake *f)
{
    PrefaultOutcome outcome = prefault_engine_wait(f->engine);
    unsigned calls = qatomic_read(&f->calls);

    g_assert_cmpuint(qatomic_read(&f->done_calls), ==, !f->without_threads);
    g_assert_cmpint(prefault_engine_wait(f->engine), ==, outcome);
    g_assert_cmpuint(qatomic_read(&f->calls), ==, calls);
    g_assert_cmpuint(qatomic_read(&f->end_calls), ==,
                     qatomic_read(&f->allowed));
    g_assert_cmpuint(fake_marked(f, f->in_work, 0, GUEST), ==, 0);
    return outcome;
}

static inline PrefaultOutcome fake_run(Fake *f, unsigned threads)
{
    fake_start(f, threads);
    return fake_wait(f);
}

/* Memory that turned out to be skipped; what is private is for later */
static inline uint64_t fake_skipped(const PrefaultProgress *progress)
{
    uint64_t sum = 0;

    for (int i = 0; i < PREFAULT_SKIP_REASON__MAX; i++) {
        sum += i == PREFAULT_SKIP_REASON_PRIVATE ? 0 : progress->skipped[i];
    }
    return sum;
}

static inline void assert_progress(Fake *f, uint64_t populated,
                                   uint64_t mapped, uint64_t failed)
{
    PrefaultProgress progress;

    prefault_engine_progress(f->engine, &progress);
    g_assert_cmpuint(progress.populated, ==, populated);
    g_assert_cmpuint(progress.mapped, ==, mapped);
    g_assert_cmpuint(progress.failed, ==, failed);
    g_assert_cmpuint(fake_marked(f, f->populated, 0, GUEST), ==, populated);
    g_assert_cmpuint(fake_marked(f, f->mapped, 0, GUEST), ==, mapped);
    g_assert_cmpuint(fake_marked(f, f->told_mapped, 0, GUEST), ==, mapped);
    g_assert_cmpuint(fake_marked(f, f->told_never, 0, GUEST), ==,
                     failed + fake_skipped(&progress) +
                     fake_marked(f, f->absent, 0, GUEST));
}

/* Of a run that completed the engine told what became of each page */
static inline void assert_each_page_is_told_once(Fake *f)
{
    for (unsigned page = 0; page < PAGES; page++) {
        g_assert_cmpuint(f->told_mapped[page] + f->told_never[page] +
                         f->told_later[page], ==, 1);
    }
}

/* What was left for later, and how much of that is private */
static inline void assert_later(Fake *f, uint64_t later, uint64_t private_later)
{
    PrefaultProgress progress;

    prefault_engine_progress(f->engine, &progress);
    g_assert_cmpuint(progress.later, ==, later);
    g_assert_cmpuint(progress.skipped[PREFAULT_SKIP_REASON_PRIVATE], ==,
                     private_later);
    g_assert_cmpuint(progress.private_skipped, ==, private_later);
    g_assert_cmpuint(fake_marked(f, f->told_later, 0, GUEST), ==, later);
}

/* Skipped for one reason, and nothing for another one */
static inline void assert_skipped(Fake *f, PrefaultSkipReason reason,
                                  uint64_t skipped, uint64_t private_skipped)
{
    PrefaultProgress progress;

    prefault_engine_progress(f->engine, &progress);
    g_assert_cmpuint(progress.skipped[reason], ==, skipped);
    g_assert_cmpuint(fake_skipped(&progress), ==, skipped);
    g_assert_cmpuint(progress.private_skipped, ==, private_skipped);
}

static inline void assert_private_mapped(Fake *f, uint64_t mapped)
{
    PrefaultProgress progress;

    prefault_engine_progress(f->engine, &progress);
    g_assert_cmpuint(progress.private_mapped, ==, mapped);
}

/* NULL: nothing failed */
static inline void assert_sentence(Fake *f, const char *sentence)
{
    Error *error = NULL;

    prefault_engine_failure(f->engine, &error);
    g_assert_cmpstr(error ? error_get_pretty(error) : NULL, ==, sentence);
    error_free(error);
}

static inline void assert_failure(Fake *f, const char *what, int err)
{
    g_autofree char *expected = g_strdup_printf(
        "%s failed: %s%s", what, g_strerror(err), err == EFAULT
        ? " (no free huge page, or no space behind the file?)" : "");

    assert_sentence(f, expected);
}

/* Scripts that several programs use */

static inline void add_bad(Fake *f, hwaddr gpa)
{
    g_assert_cmpint(f->nr_bad, <, ARRAY_SIZE(f->bad));
    f->bad[f->nr_bad++] = gpa;
}

static inline bool fake_is_bad(const Fake *f, hwaddr gpa, uint64_t size)
{
    for (int i = 0; i < f->nr_bad; i++) {
        if (f->bad[i] >= gpa && f->bad[i] < gpa + size) {
            return true;
        }
    }
    return false;
}

/* Map what lies before the bad page, which never succeeds */
static inline int map_up_to_bad(Fake *f, hwaddr gpa, uint64_t size,
                                uint64_t *mapped)
{
    *mapped = size;
    for (int i = 0; i < f->nr_bad; i++) {
        if (f->bad[i] >= gpa && f->bad[i] < gpa + *mapped) {
            *mapped = f->bad[i] - gpa;
        }
    }
    return *mapped ? 0 : -f->err;
}

static inline int map_one_mib(Fake *f, hwaddr gpa, uint64_t size,
                              uint64_t *mapped)
{
    *mapped = MIN(size, MiB);
    return 0;
}

static inline int populate_fails(Fake *f, const PrefaultChunk *chunk)
{
    return -f->err;
}

/* A chunk with a bad page */
static inline int populate_bad_fails(Fake *f, const PrefaultChunk *chunk)
{
    return fake_is_bad(f, chunk->gpa, chunk->size) ? -f->err : 0;
}

static inline bool refuse_bad(Fake *f, const PrefaultChunk *chunk)
{
    return !fake_is_bad(f, chunk->gpa, chunk->size);
}

/* Poll: what is waited for is a counter of the fake */
static inline void wait_until_at_least(unsigned *counter, unsigned value)
{
    while (qatomic_read(counter) < value) {
        g_usleep(100);
    }
}

#endif /* TESTS_UNIT_PREFAULT_FAKE_OPS_H */
