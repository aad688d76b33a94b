/*
 * Tests of the prefault engine
 *
 * Each test states one property of hw/core/prefault/engine.h, with fake
 * operations that answer what the test wants: see prefault-fake-ops.h.  No
 * memory is touched and no KVM is needed.  What a worker does with a chunk is
 * tested in test-prefault-work.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/prctl.h>
#include <sys/resource.h>
#include "qemu/rcu.h"
#include "prefault-fake-ops.h"

/* A hang is a failure too; all tests together take a few seconds */
#define DEADLINE_SEC 30

static const unsigned workers[] = { 1, 2, 8 };

/* A user without processes: limits of their number do not bind root */
#define NOBODY 54321

/* Scripts */

static int map_slowly(Fake *f, hwaddr gpa, uint64_t size, uint64_t *mapped)
{
    g_usleep(20 * 1000);
    *mapped = size;
    return 0;
}

static int populate_waits_for_start(Fake *f, const PrefaultChunk *chunk)
{
    fake_wait_for_start(f);
    return -f->err;
}

/* One chunk fails at once, the others only after the run was stopped */
static int populate_third_fails_first(Fake *f, const PrefaultChunk *chunk)
{
    fake_wait_for_start(f);
    if (chunk->gpa == 2 * CHUNK) {
        return -ENXIO;
    }
    while (prefault_engine_progress(f->engine, NULL) ==
           PREFAULT_OUTCOME_RUNNING) {
        g_usleep(100);
    }
    return -EIO;
}

static void act_cancel(Fake *f)
{
    prefault_engine_cancel(f->engine);
}

static void act_invalidate(Fake *f)
{
    prefault_engine_invalidate(f->engine);
}

static void act_cancel_then_invalidate(Fake *f)
{
    act_cancel(f);
    act_invalidate(f);
}

static void act_invalidate_then_cancel(Fake *f)
{
    act_invalidate(f);
    act_cancel(f);
}

/* Runs that complete */

static void test_completes_with_exact_figures(void)
{
    for (int i = 0; i < ARRAY_SIZE(workers); i++) {
        g_autoptr(Fake) f = fake_new(PAGE);

        g_assert_cmpint(fake_run(f, workers[i]), ==,
                        PREFAULT_OUTCOME_COMPLETED);
        assert_progress(f, GUEST, GUEST, 0);
        g_assert_cmpuint(f->populate_calls, ==, GUEST / CHUNK);
        g_assert_cmpuint(f->map_calls, ==, GUEST / CHUNK);
    }
}

static void test_empty_plan_completes(void)
{
    g_autoptr(Fake) f = fake_new_sections(NULL, 0);

    g_assert_cmpint(fake_run(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
    g_assert_cmpuint(f->calls, ==, 0);
}

static void test_aliases_are_done_but_not_counted(void)
{
    uint8_t *host = FAKE_HOST;
    PrefaultSection s[] = {
        { .gpa = 0, .size = CHUNK, .host = host, .page_size = PAGE },
        { .gpa = CHUNK, .size = CHUNK, .host = host, .page_size = PAGE },
    };
    g_autoptr(Fake) f = fake_new_sections(s, 2);
    PrefaultProgress progress;

    g_assert_cmpint(fake_run(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
    prefault_engine_progress(f->engine, &progress);
    g_assert_cmpuint(progress.populated, ==, CHUNK);
    g_assert_cmpuint(progress.mapped, ==, CHUNK);
    g_assert_cmpuint(fake_marked(f, f->mapped, 0, GUEST), ==, 2 * CHUNK);
}

/* Runs that fail */

static void test_first_failure_is_reported(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->populate = populate_third_fails_first;
    g_assert_cmpint(fake_run(f, 4), ==, PREFAULT_OUTCOME_FAILED);
    assert_failure(f, "populating guest memory 0x800000-0xbfffff", ENXIO);
}

/* Runs that are stopped */

static void test_cancel_at_every_step(void)
{
    const unsigned all = GUEST / CHUNK + GUEST / MiB;

    for (int i = 0; i < ARRAY_SIZE(workers); i++) {
        for (unsigned n = 1; n <= all; n++) {
            g_autoptr(Fake) f = fake_new(PAGE);
            uint64_t mapped;

            f->map = map_one_mib;
            f->act_at = n;
            f->act = act_cancel;
            g_assert_cmpint(fake_run(f, workers[i]), ==,
                            PREFAULT_OUTCOME_CANCELLED);
            /* At most what the other workers had begun comes after it */
            g_assert_cmpuint(f->calls_at_act, >=, n);
            g_assert_cmpuint(f->calls, <, f->calls_at_act + workers[i]);
            mapped = fake_marked(f, f->mapped, 0, GUEST);
            assert_progress(f, fake_marked(f, f->populated, 0, GUEST), mapped,
                            0);
        }
    }
}

static void test_cancel_ends_retries(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->populate = populate_fails;
    f->err = EAGAIN;
    f->act_at = 3;
    f->act = act_cancel;
    g_assert_cmpint(fake_run(f, 1), ==, PREFAULT_OUTCOME_CANCELLED);
    g_assert_cmpuint(f->calls, ==, 3);
}

/* Each chunk is broken: halves, halves of halves ... */
static void test_cancel_ends_the_search_for_poison(void)
{
    for (unsigned n = 1; n <= 12; n++) {
        g_autoptr(Fake) f = fake_new(PAGE);

        f->populate = populate_fails;
        f->err = EHWPOISON;
        f->act_at = n;
        f->act = act_cancel;
        g_assert_cmpint(fake_run(f, 1), ==, PREFAULT_OUTCOME_CANCELLED);
        g_assert_cmpuint(f->calls, ==, n);
    }
}

/* What is mapped already is taken in pieces; here of a chunk */
static uint64_t mapped_chunk(void *opaque, const PrefaultChunk *rest)
{
    fake_count_call(opaque);
    return MIN(rest->size, CHUNK);
}

static const PrefaultOps ops_all_mapped = {
    .mapped = mapped_chunk,
    .populate = fake_populate,
    .map = fake_map,
    .done = fake_done,
};

static void test_cancel_ends_what_is_mapped_already(void)
{
    for (int i = 0; i < ARRAY_SIZE(workers); i++) {
        for (unsigned n = 1; n < GUEST / CHUNK; n++) {
            g_autoptr(Fake) f = fake_new(PAGE);
            PrefaultProgress progress;

            f->act_at = n;
            f->act = act_cancel;
            fake_start_ops(f, &ops_all_mapped, workers[i]);
            g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_CANCELLED);
            g_assert_cmpuint(f->calls, ==, n);
            prefault_engine_progress(f->engine, &progress);
            g_assert_cmpuint(progress.mapped, ==, n * CHUNK);
        }
    }
}

/* All comes while a worker is in its first operation */
static void test_first_reason_to_stop_counts(void)
{
    static const struct {
        void (*act)(Fake *f);
        int err;
        PrefaultOutcome outcome;
    } cases[] = {
        { act_cancel, 0, PREFAULT_OUTCOME_CANCELLED },
        { act_invalidate, 0, PREFAULT_OUTCOME_STALE },
        { act_invalidate_then_cancel, 0, PREFAULT_OUTCOME_STALE },
        { act_cancel_then_invalidate, 0, PREFAULT_OUTCOME_CANCELLED },
        { act_cancel, EIO, PREFAULT_OUTCOME_CANCELLED },
        { act_invalidate, EIO, PREFAULT_OUTCOME_STALE },
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autoptr(Fake) f = fake_new(PAGE);

        f->populate = populate_waits_for_start;
        f->err = cases[i].err;
        f->engine = prefault_engine_start(f->plan, &fake_ops, f, 1);
        wait_until_at_least(&f->populate_calls, 1);
        cases[i].act(f);
        fake_let_go(f);
        g_assert_cmpint(fake_wait(f), ==, cases[i].outcome);
        g_assert_cmpuint(f->calls, ==, 1);
    }
}

static void test_cancel_after_the_end_changes_nothing(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    fake_run(f, 2);
    prefault_engine_cancel(f->engine);
    prefault_engine_invalidate(f->engine);
    g_assert_cmpint(prefault_engine_progress(f->engine, NULL), ==,
                    PREFAULT_OUTCOME_COMPLETED);
}

static void test_wait_is_for_the_map_under_way(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->map = map_slowly;
    fake_start(f, 2);
    wait_until_at_least(&f->in_map, 1);
    prefault_engine_cancel(f->engine);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_CANCELLED);
    g_assert_cmpuint(qatomic_read(&f->in_map), ==, 0);
}

static void test_free_while_running(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    prefault_engine_free(NULL);
    f->map = map_slowly;
    fake_start(f, 2);
    wait_until_at_least(&f->in_map, 1);
    g_clear_pointer(&f->engine, prefault_engine_free);
    g_assert_cmpuint(qatomic_read(&f->in_map), ==, 0);
    g_assert_cmpuint(qatomic_read(&f->done_calls), ==, 1);
}

/* Fewer threads than wanted */

static unsigned count_threads(void)
{
    GDir *dir = g_dir_open("/proc/self/task", 0, NULL);
    unsigned count = 0;

    g_assert_nonnull(dir);
    while (g_dir_read_name(dir)) {
        count++;
    }
    g_dir_close(dir);
    return count;
}

/* Become another user, who can have so many threads more; -1: all */
static bool limit_threads(int more)
{
    struct rlimit limit;

    g_assert_cmpint(getrlimit(RLIMIT_NPROC, &limit), ==, 0);
    limit.rlim_cur = more < 0 ? limit.rlim_max : count_threads() + more;
    if (setresuid(NOBODY, NOBODY, NOBODY) || setrlimit(RLIMIT_NPROC, &limit)) {
        g_test_skip("cannot be another user");
        return false;
    }
    prctl(PR_SET_DUMPABLE, 1);      /* for a leak check at the end */
    return true;
}

/* Run @here in a process of its own */
static void in_subprocess(void (*here)(void))
{
    if (g_test_subprocess()) {
        here();
    } else if (geteuid()) {
        g_test_skip("needs root");
    } else {
        /* ThreadSanitizer lets a child make no thread before it execs */
        rcu_disable_atfork();
        g_test_trap_subprocess(NULL, 0, 0);
        g_test_trap_assert_passed();
    }
}

static void some_threads(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);
    unsigned busy;

    if (!limit_threads(2)) {
        return;
    }
    g_assert_cmpint(fake_run(f, 8), ==, PREFAULT_OUTCOME_COMPLETED);
    limit_threads(-1);
    g_assert_cmpuint(prefault_engine_workers(f->engine, &busy), ==, 2);
    g_assert_cmpuint(busy, ==, 0);
    assert_sentence(f, NULL);
    assert_progress(f, GUEST, GUEST, 0);
}

static void test_some_threads_do_all_the_work(void)
{
    in_subprocess(some_threads);
}

static void no_threads(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);
    Error *err = NULL;

    if (!limit_threads(0)) {
        return;
    }
    f->without_threads = true;
    g_assert_cmpint(fake_run(f, 8), ==, PREFAULT_OUTCOME_FAILED);
    limit_threads(-1);
    g_assert_cmpuint(prefault_engine_workers(f->engine, NULL), ==, 0);
    g_assert_cmpuint(f->begin_calls, ==, 0);
    prefault_engine_failure(f->engine, &err);
    g_assert_true(g_str_has_prefix(error_get_pretty(err),
                                   "no thread can be made: "));
    g_assert_true(g_str_has_suffix(
        error_get_pretty(err),
        " (pids.max, RLIMIT_NPROC or kernel.threads-max?)"));
    error_free(err);
}

static void test_no_threads_fail(void)
{
    in_subprocess(no_threads);
}

static void test_workers_are_counted(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);
    unsigned busy;

    f->populate = populate_waits_for_start;
    f->engine = prefault_engine_start(f->plan, &fake_ops, f, 4);
    g_assert_cmpuint(prefault_engine_workers(f->engine, &busy), ==, 4);
    g_assert_cmpuint(busy, ==, 4);
    fake_let_go(f);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_COMPLETED);
    g_assert_cmpuint(prefault_engine_workers(f->engine, &busy), ==, 4);
    g_assert_cmpuint(busy, ==, 0);
}

/* No threads: the caller works */

static const PrefaultOps ops_without_done = {
    .populate = fake_populate,
    .map = fake_map,
    .settle = fake_settle,
    .later = fake_later,
};

static Fake *fake_new_here(void)
{
    Fake *f = fake_new(PAGE);

    f->without_threads = true;
    fake_start_ops(f, &ops_without_done, 0);
    return f;
}

/* @opaque: after how many chunks to stop */
static bool go_on_for(void *opaque)
{
    unsigned *chunks = opaque;

    return --*chunks;
}

static void test_work_here_completes(void)
{
    g_autoptr(Fake) f = fake_new_here();
    unsigned chunks = UINT_MAX;

    g_assert_cmpint(prefault_engine_progress(f->engine, NULL), ==,
                    PREFAULT_OUTCOME_RUNNING);
    prefault_engine_work(f->engine, go_on_for, &chunks);
    g_assert_cmpuint(UINT_MAX - chunks, ==, GUEST / CHUNK);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_progress(f, GUEST, GUEST, 0);
}

/* And then it is freed, not being done */
static void test_work_here_for_a_while(void)
{
    for (unsigned n = 1; n <= GUEST / CHUNK; n++) {
        g_autoptr(Fake) f = fake_new_here();
        unsigned chunks = n;

        prefault_engine_work(f->engine, go_on_for, &chunks);
        g_assert_cmpint(prefault_engine_progress(f->engine, NULL), ==,
                        PREFAULT_OUTCOME_RUNNING);
        assert_progress(f, n * CHUNK, n * CHUNK, 0);
        prefault_engine_cancel(f->engine);
        g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_CANCELLED);
    }
}

static void test_work_here_goes_on(void)
{
    g_autoptr(Fake) f = fake_new_here();

    for (unsigned n = 1; n <= GUEST / CHUNK; n++) {
        unsigned chunks = 1;

        prefault_engine_work(f->engine, go_on_for, &chunks);
        assert_progress(f, n * CHUNK, n * CHUNK, 0);
    }
    prefault_engine_work(f->engine, go_on_for, NULL);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_COMPLETED);
}

static void test_work_here_of_a_cancelled_run(void)
{
    g_autoptr(Fake) f = fake_new_here();

    prefault_engine_cancel(f->engine);
    prefault_engine_work(f->engine, go_on_for, NULL);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_CANCELLED);
    g_assert_cmpuint(f->calls, ==, 0);
}

static void test_work_here_is_stopped(void)
{
    g_autoptr(Fake) f = fake_new_here();
    unsigned chunks = UINT_MAX;

    f->act_at = 3;              /* the second chunk is populated */
    f->act = act_invalidate;
    prefault_engine_work(f->engine, go_on_for, &chunks);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_STALE);
    assert_progress(f, 2 * CHUNK, CHUNK, 0);
}

#define ADD(name, test) g_test_add_func("/prefault/engine/" name, test)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    alarm(DEADLINE_SEC);

    ADD("completes", test_completes_with_exact_figures);
    ADD("completes/empty", test_empty_plan_completes);
    ADD("completes/alias", test_aliases_are_done_but_not_counted);
    ADD("fails/first-reported", test_first_failure_is_reported);
    ADD("stops/cancel-every-step", test_cancel_at_every_step);
    ADD("stops/cancel-retries", test_cancel_ends_retries);
    ADD("stops/cancel-poison", test_cancel_ends_the_search_for_poison);
    ADD("stops/cancel-mapped", test_cancel_ends_what_is_mapped_already);
    ADD("stops/first-reason", test_first_reason_to_stop_counts);
    ADD("stops/after-end", test_cancel_after_the_end_changes_nothing);
    ADD("stops/wait", test_wait_is_for_the_map_under_way);
    ADD("stops/free", test_free_while_running);
    ADD("threads/some", test_some_threads_do_all_the_work);
    ADD("threads/none", test_no_threads_fail);
    ADD("threads/counted", test_workers_are_counted);
    ADD("here/completes", test_work_here_completes);
    ADD("here/a-while", test_work_here_for_a_while);
    ADD("here/goes-on", test_work_here_goes_on);
    ADD("here/cancelled", test_work_here_of_a_cancelled_run);
    ADD("here/stopped", test_work_here_is_stopped);
    return g_test_run();
}
