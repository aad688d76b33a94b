/*
 * Tests of the prefault engine
 *
 * Each test states one property of hw/core/prefault/engine.h, with fake
 * operations that answer what the test wants: see prefault-fake-ops.h.  No
 * memory is touched and no KVM is needed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "prefault-fake-ops.h"

/* A hang is a failure too; all tests together take a few seconds */
#define DEADLINE_SEC 30

static const unsigned workers[] = { 1, 2, 8 };

/* Scripts */

static int map_one_page(Fake *f, hwaddr gpa, uint64_t size, uint64_t *mapped)
{
    *mapped = PAGE;
    return 0;
}

static int map_one_mib(Fake *f, hwaddr gpa, uint64_t size, uint64_t *mapped)
{
    *mapped = MIN(size, MiB);
    return 0;
}

/* Half is done, and the answer is an error all the same */
static int map_progress_with_error(Fake *f, hwaddr gpa, uint64_t size,
                                   uint64_t *mapped)
{
    *mapped = size > PAGE ? ROUND_UP(size / 2, PAGE) : size;
    return -f->err;
}

/* Map what lies before the bad page, which never succeeds */
static int map_up_to_bad(Fake *f, hwaddr gpa, uint64_t size, uint64_t *mapped)
{
    *mapped = size;
    for (int i = 0; i < f->nr_bad; i++) {
        if (f->bad[i] >= gpa && f->bad[i] < gpa + *mapped) {
            *mapped = f->bad[i] - gpa;
        }
    }
    return *mapped ? 0 : -f->err;
}

/* Fail so many times, then map it all */
static int map_after_tries(Fake *f, hwaddr gpa, uint64_t size,
                           uint64_t *mapped)
{
    if (f->times-- > 0) {
        return -f->err;
    }
    *mapped = size;
    return 0;
}

/* Sixty interruptions before each 256 KiB */
static int map_in_fits(Fake *f, hwaddr gpa, uint64_t size, uint64_t *mapped)
{
    if (f->times++ % 61 < 60) {
        return -EINTR;
    }
    *mapped = MIN(size, 256 * KiB);
    return 0;
}

/* Does not return before somebody kicks; at the second try all is well */
static int map_blocks(Fake *f, hwaddr gpa, uint64_t size, uint64_t *mapped)
{
    if (qatomic_read(&f->kicks)) {
        *mapped = size;
        return 0;
    }
    wait_until_at_least(&f->kicks, 1);
    return -EINTR;
}

/* The guest's launch is not finished */
static int map_private_not_yet(Fake *f, hwaddr gpa, uint64_t size,
                               uint64_t *mapped)
{
    if (gpa >= f->private_start) {
        return -EOPNOTSUPP;
    }
    *mapped = size;
    return 0;
}

static int map_slowly(Fake *f, hwaddr gpa, uint64_t size, uint64_t *mapped)
{
    g_usleep(20 * 1000);
    *mapped = size;
    return 0;
}

static int map_pages_slowly(Fake *f, hwaddr gpa, uint64_t size,
                            uint64_t *mapped)
{
    g_usleep(50);
    *mapped = MIN(size, 4 * PAGE);
    return 0;
}

static int populate_fails(Fake *f, const PrefaultChunk *chunk)
{
    return -f->err;
}

static int populate_after_tries(Fake *f, const PrefaultChunk *chunk)
{
    return f->times-- > 0 ? -f->err : 0;
}

static int populate_poisoned(Fake *f, const PrefaultChunk *chunk)
{
    for (int i = 0; i < f->nr_bad; i++) {
        if (f->bad[i] >= chunk->gpa && f->bad[i] < chunk->gpa + chunk->size) {
            return -EHWPOISON;
        }
    }
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
    uint8_t *host = (uint8_t *)(uintptr_t)0x700000000000ULL;
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

static void test_populate_only(void)
{
    static const PrefaultEngineOps ops = {
        .populate = fake_populate,
        .done = fake_done,
    };
    g_autoptr(Fake) f = fake_new(PAGE);

    fake_start_ops(f, &ops, 2);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_progress(f, GUEST, 0, 0);
}

static void test_partial_progress_goes_on(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->map = map_one_page;
    g_assert_cmpint(fake_run(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_progress(f, GUEST, GUEST, 0);
    g_assert_cmpuint(f->map_calls, ==, PAGES);
}

static void test_progress_outweighs_error(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->map = map_progress_with_error;
    f->err = EFAULT;
    g_assert_cmpint(fake_run(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_progress(f, GUEST, GUEST, 0);
}

static void test_retries_then_completes(void)
{
    static const struct {
        int (*populate)(Fake *f, const PrefaultChunk *chunk);
        int (*map)(Fake *f, hwaddr gpa, uint64_t size, uint64_t *mapped);
        int err, times;
    } cases[] = {
        { NULL, map_after_tries, EINTR, 50 },
        { NULL, map_after_tries, EAGAIN, 200 },
        { NULL, map_in_fits, EINTR, 0 },    /* progress resets the count */
        { populate_after_tries, NULL, EINTR, 50 },
        { populate_after_tries, NULL, EAGAIN, 200 },
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autoptr(Fake) f = fake_new(PAGE);

        f->populate = cases[i].populate;
        f->map = cases[i].map;
        f->err = cases[i].err;
        f->times = cases[i].times;
        g_assert_cmpint(fake_run(f, 1), ==, PREFAULT_OUTCOME_COMPLETED);
        assert_progress(f, GUEST, GUEST, 0);
    }
}

/* Pages that are left out */

static void test_page_interrupted_for_ever_is_left_out(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->map = map_up_to_bad;
    f->err = EINTR;
    f->bad[f->nr_bad++] = 0;
    f->bad[f->nr_bad++] = CHUNK + 7 * PAGE;
    f->bad[f->nr_bad++] = GUEST - PAGE;
    g_assert_cmpint(fake_run(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_progress(f, GUEST, GUEST - 3 * PAGE, 3 * PAGE);
    for (int i = 0; i < f->nr_bad; i++) {
        g_assert_cmpuint(fake_marked(f, f->mapped, f->bad[i], PAGE), ==, 0);
    }
    g_assert_cmpuint(f->map_calls, <, 1000);
}

static void test_poisoned_pages_are_left_out(void)
{
    static const size_t page_sizes[] = { PAGE, 2 * MiB };

    for (int i = 0; i < ARRAY_SIZE(page_sizes); i++) {
        g_autoptr(Fake) f = fake_new(page_sizes[i]);

        f->populate = populate_poisoned;
        f->bad[f->nr_bad++] = 0;
        f->bad[f->nr_bad++] = 2 * CHUNK + 700 * PAGE;
        f->bad[f->nr_bad++] = GUEST - PAGE;
        g_assert_cmpint(fake_run(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
        assert_progress(f, GUEST - 3 * page_sizes[i],
                        GUEST - 3 * page_sizes[i], 3 * page_sizes[i]);
        for (int n = 0; n < f->nr_bad; n++) {
            hwaddr gpa = ROUND_DOWN(f->bad[n], page_sizes[i]);

            g_assert_cmpuint(fake_marked(f, f->populated, gpa, page_sizes[i]),
                             ==, 0);
        }
    }
}

/* Runs that fail */

static const int fatal_errnos[] = {
    ENOENT, EOPNOTSUPP, EINVAL, ENOMEM, EFAULT, EIO, ENODEV, ENXIO, ENOTTY,
    EPERM, EBADF, ENOSPC,
};

static void test_private_is_mapped_alone(void)
{
    for (int i = 0; i < ARRAY_SIZE(workers); i++) {
        g_autoptr(Fake) f = fake_new_private();

        g_assert_cmpint(fake_run(f, workers[i]), ==,
                        PREFAULT_OUTCOME_COMPLETED);
        assert_progress(f, GUEST / 2, GUEST, 0);
        assert_private(f, GUEST / 2, 0);
    }
}

static void test_private_can_be_for_later(void)
{
    for (int i = 0; i < ARRAY_SIZE(workers); i++) {
        g_autoptr(Fake) f = fake_new_private();

        f->map = map_private_not_yet;
        g_assert_cmpint(fake_run(f, workers[i]), ==,
                        PREFAULT_OUTCOME_COMPLETED);
        assert_progress(f, GUEST / 2, GUEST / 2, 0);
        assert_private(f, 0, GUEST / 2);
    }
}

static void test_poisoned_private_page_is_left_out(void)
{
    g_autoptr(Fake) f = fake_new_private();

    f->map = map_up_to_bad;
    f->err = EHWPOISON;
    f->bad[f->nr_bad++] = GUEST / 2 + 5 * PAGE;
    g_assert_cmpint(fake_run(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_progress(f, GUEST / 2, GUEST - PAGE, PAGE);
    assert_private(f, GUEST / 2 - PAGE, 0);
}

static void test_map_error_fails_at_once(void)
{
    for (int i = 0; i < ARRAY_SIZE(fatal_errnos); i++) {
        g_autoptr(Fake) f = fake_new(PAGE);

        f->map = map_up_to_bad;
        f->bad[f->nr_bad++] = CHUNK + MiB;
        f->err = fatal_errnos[i];
        g_assert_cmpint(fake_run(f, 1), ==, PREFAULT_OUTCOME_FAILED);
        assert_failure(f, "mapping guest memory 0x500000-0x7fffff", f->err);
        assert_progress(f, 2 * CHUNK, CHUNK + MiB, 0);
        g_assert_cmpuint(f->map_calls, ==, 3);
    }
}

static void test_populate_error_fails_at_once(void)
{
    for (int i = 0; i < ARRAY_SIZE(fatal_errnos); i++) {
        g_autoptr(Fake) f = fake_new(PAGE);

        f->populate = populate_fails;
        f->err = fatal_errnos[i];
        g_assert_cmpint(fake_run(f, 1), ==, PREFAULT_OUTCOME_FAILED);
        assert_failure(f, "populating guest memory 0x0-0x3fffff", f->err);
        assert_progress(f, 0, 0, 0);
        g_assert_cmpuint(f->calls, ==, 1);
    }
}

static void test_success_without_progress_fails(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->map = map_up_to_bad;
    f->bad[f->nr_bad++] = MiB;
    f->err = 0;
    g_assert_cmpint(fake_run(f, 1), ==, PREFAULT_OUTCOME_FAILED);
    assert_failure(f, "mapping guest memory 0x100000-0x3fffff", EIO);
    g_assert_cmpuint(f->map_calls, ==, 2);
}

static void test_retries_are_bounded(void)
{
    static const struct {
        int (*populate)(Fake *f, const PrefaultChunk *chunk);
        int err;
        const char *what;
    } cases[] = {
        { NULL, EAGAIN, "mapping guest memory 0x0-0x3fffff" },
        { populate_fails, EAGAIN, "populating guest memory 0x0-0x3fffff" },
        { populate_fails, EINTR, "populating guest memory 0x0-0x3fffff" },
    };

    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autoptr(Fake) f = fake_new(PAGE);

        f->populate = cases[i].populate;
        f->map = map_up_to_bad;
        f->bad[f->nr_bad++] = 0;
        f->err = cases[i].err;
        g_assert_cmpint(fake_run(f, 1), ==, PREFAULT_OUTCOME_FAILED);
        assert_failure(f, cases[i].what, f->err);
    }
}

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

static void test_wait_kicks_a_map_that_blocks(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->map = map_blocks;
    fake_start(f, 2);
    wait_until_at_least(&f->in_map, 2);
    prefault_engine_cancel(f->engine);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_CANCELLED);
    g_assert_cmpuint(f->map_calls, ==, 2);
}

static void test_free_while_running(void)
{
    Fake *f = fake_new(PAGE);

    prefault_engine_free(NULL);
    f->map = map_blocks;
    fake_start(f, 2);
    wait_until_at_least(&f->in_map, 1);
    fake_free(f);
}

/* Plans that no longer hold: no map is under way once the caller knows */

static void fake_invalidate(Fake *f)
{
    prefault_engine_invalidate(f->engine);
    g_assert_cmpuint(qatomic_read(&f->in_map), ==, 0);
    qatomic_set(&f->barred, true);
}

static void test_invalidate_waits_for_map(void)
{
    static const PrefaultEngineOps without_kick = {
        .populate = fake_populate,
        .map = fake_map,
        .done = fake_done,
    };
    g_autoptr(Fake) f = fake_new(PAGE);

    f->map = map_slowly;
    fake_start_ops(f, &without_kick, 2);
    wait_until_at_least(&f->in_map, 1);
    fake_invalidate(f);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_STALE);
}

static void test_invalidate_kicks_a_map_that_blocks(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->map = map_blocks;
    fake_start(f, 2);
    wait_until_at_least(&f->in_map, 1);
    fake_invalidate(f);
    g_assert_cmpuint(qatomic_read(&f->kicks), >=, 1);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_STALE);
}

/* Cancelled first: what is under way is waited for all the same */
static void test_invalidate_after_cancel_waits_too(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->map = map_slowly;
    fake_start(f, 2);
    wait_until_at_least(&f->in_map, 1);
    prefault_engine_cancel(f->engine);
    fake_invalidate(f);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_CANCELLED);
}

/* One race on purpose: invalidate at random while four workers map */
static void test_invalidate_at_random(void)
{
    const guint32 seed = 20253;
    g_autoptr(GRand) rand = g_rand_new_with_seed(seed);
    unsigned rounds = 200, in_flight = 0, stale = 0;

    for (unsigned i = 0; i < rounds; i++) {
        g_autoptr(Fake) f = fake_new(PAGE);

        f->map = map_pages_slowly;
        fake_start(f, 4);
        g_usleep(g_rand_int_range(rand, 0, 2000));
        in_flight += qatomic_read(&f->in_map) > 0;
        fake_invalidate(f);
        stale += fake_wait(f) == PREFAULT_OUTCOME_STALE;
    }
    g_test_message("seed %u: %u rounds, %u stale, %u with a map in flight",
                   seed, rounds, stale, in_flight);
    g_assert_cmpuint(stale, >, 0);
    g_assert_cmpuint(in_flight, >, 0);
}

#define ADD(name, test) g_test_add_func("/prefault/engine/" name, test)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    alarm(DEADLINE_SEC);

    ADD("completes", test_completes_with_exact_figures);
    ADD("completes/empty", test_empty_plan_completes);
    ADD("completes/alias", test_aliases_are_done_but_not_counted);
    ADD("completes/populate-only", test_populate_only);
    ADD("completes/partial-progress", test_partial_progress_goes_on);
    ADD("completes/progress-and-error", test_progress_outweighs_error);
    ADD("completes/retries", test_retries_then_completes);
    ADD("leaves-out/interrupted", test_page_interrupted_for_ever_is_left_out);
    ADD("leaves-out/poisoned", test_poisoned_pages_are_left_out);
    ADD("leaves-out/poisoned-private", test_poisoned_private_page_is_left_out);
    ADD("private/alone", test_private_is_mapped_alone);
    ADD("private/later", test_private_can_be_for_later);
    ADD("fails/map", test_map_error_fails_at_once);
    ADD("fails/populate", test_populate_error_fails_at_once);
    ADD("fails/no-progress", test_success_without_progress_fails);
    ADD("fails/retries-bounded", test_retries_are_bounded);
    ADD("fails/first-reported", test_first_failure_is_reported);
    ADD("stops/cancel-every-step", test_cancel_at_every_step);
    ADD("stops/cancel-retries", test_cancel_ends_retries);
    ADD("stops/first-reason", test_first_reason_to_stop_counts);
    ADD("stops/after-end", test_cancel_after_the_end_changes_nothing);
    ADD("stops/wait-kicks", test_wait_kicks_a_map_that_blocks);
    ADD("stops/free", test_free_while_running);
    ADD("invalidate/waits", test_invalidate_waits_for_map);
    ADD("invalidate/kicks", test_invalidate_kicks_a_map_that_blocks);
    ADD("invalidate/cancelled", test_invalidate_after_cancel_waits_too);
    ADD("invalidate/random", test_invalidate_at_random);
    return g_test_run();
}
