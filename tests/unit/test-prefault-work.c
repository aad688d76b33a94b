/*
 * Tests of what prefault's workers do with a chunk
 *
 * Each test states one property of hw/core/prefault/work.h: what the answers of
 * the operations lead to.  The operations are fake and answer what the test
 * wants: see prefault-fake-ops.h.  An engine hands out the chunks.  What a
 * tolerant run makes of failures is tested in test-prefault-work-tolerant.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "prefault-fake-ops.h"

/* A hang is a failure too; all tests together take a few seconds */
#define DEADLINE_SEC 30

/* The end of the run, for any of them */
static const int populate_fatal_errnos[] = {
    ENOENT, EOPNOTSUPP, ENOMEM, EFAULT, EIO, ENODEV, ENXIO, ENOTTY, EPERM,
    EBADF, ENOSPC, ENOEXEC, EBUSY,
};
static const int map_fatal_errnos[] = {
    ENOENT, EINVAL, ENOMEM, EFAULT, EIO, ENXIO, ENOTTY, EPERM, EBADF, ENOSPC,
};

/* Scripts */

static int map_one_page(Fake *f, hwaddr gpa, uint64_t size, uint64_t *mapped)
{
    *mapped = PAGE;
    return 0;
}

/* Half is done, and the answer is an error all the same */
static int map_progress_with_error(Fake *f, hwaddr gpa, uint64_t size,
                                   uint64_t *mapped)
{
    *mapped = size > PAGE ? ROUND_UP(size / 2, PAGE) : size;
    return -f->err;
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

/* Fifteen interruptions before each 256 KiB */
static int map_in_fits(Fake *f, hwaddr gpa, uint64_t size, uint64_t *mapped)
{
    if (f->times++ % 16 < 15) {
        return -f->err;
    }
    *mapped = MIN(size, 256 * KiB);
    return 0;
}

static int populate_after_tries(Fake *f, const PrefaultChunk *chunk)
{
    return f->times-- > 0 ? -f->err : 0;
}

/* Everything is done */

static void test_populate_only(void)
{
    static const PrefaultOps ops = {
        .populate = fake_populate,
        .later = fake_later,
        .done = fake_done,
    };
    g_autoptr(Fake) f = fake_new(PAGE);

    fake_start_ops(f, &ops, 2);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_progress(f, GUEST, 0, 0);
    assert_later(f, 0, 0);
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
    static const int errnos[] = { EFAULT, EBUSY, ECANCELED };

    for (int i = 0; i < ARRAY_SIZE(errnos); i++) {
        g_autoptr(Fake) f = fake_new(PAGE);

        f->map = map_progress_with_error;
        f->err = errnos[i];
        g_assert_cmpint(fake_run(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
        assert_progress(f, GUEST, GUEST, 0);
    }
}

static void test_retries_then_completes(void)
{
    static const struct {
        int (*populate)(Fake *f, const PrefaultChunk *chunk);
        int (*map)(Fake *f, hwaddr gpa, uint64_t size, uint64_t *mapped);
        int err, times;
    } cases[] = {
        { NULL, map_after_tries, EINTR, 15 },
        { NULL, map_after_tries, ETIME, 15 },
        { NULL, map_after_tries, EAGAIN, 200 },
        { NULL, map_in_fits, EINTR, 0 },    /* progress resets the count */
        { NULL, map_in_fits, ETIME, 0 },
        { populate_after_tries, NULL, EINTR, 15 },
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

static void test_page_that_is_never_mapped_is_left_out(void)
{
    static const int errnos[] = { EINTR, ETIME, EHWPOISON };

    for (int i = 0; i < ARRAY_SIZE(errnos); i++) {
        g_autoptr(Fake) f = fake_new(PAGE);

        f->map = map_up_to_bad;
        f->err = errnos[i];
        add_bad(f, 0);
        add_bad(f, CHUNK + 7 * PAGE);
        add_bad(f, GUEST - PAGE);
        g_assert_cmpint(fake_run(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
        assert_progress(f, GUEST, GUEST - 3 * PAGE, 3 * PAGE);
        assert_each_page_is_told_once(f);
        for (int n = 0; n < f->nr_bad; n++) {
            g_assert_cmpuint(fake_marked(f, f->told_never, f->bad[n], PAGE), ==,
                             PAGE);
        }
        g_assert_cmpuint(f->map_calls, <, 100);
    }
}

static void test_poisoned_pages_are_left_out(void)
{
    static const size_t page_sizes[] = { PAGE, 2 * MiB };

    for (int i = 0; i < ARRAY_SIZE(page_sizes); i++) {
        size_t size = page_sizes[i];
        g_autoptr(Fake) f = fake_new(size);

        f->populate = populate_bad_fails;
        f->err = EHWPOISON;
        add_bad(f, 0);
        add_bad(f, 2 * CHUNK + 700 * PAGE);
        add_bad(f, GUEST - PAGE);
        g_assert_cmpint(fake_run(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
        assert_progress(f, GUEST - 3 * size, GUEST - 3 * size, 3 * size);
        assert_each_page_is_told_once(f);
        for (int n = 0; n < f->nr_bad; n++) {
            hwaddr gpa = ROUND_DOWN(f->bad[n], size);

            g_assert_cmpuint(fake_marked(f, f->populated, gpa, size), ==, 0);
            g_assert_cmpuint(fake_marked(f, f->told_never, gpa, size), ==,
                             size);
        }
    }
}

static int map_nothing_beside_bad(Fake *f, hwaddr gpa, uint64_t size,
                                  uint64_t *mapped)
{
    bool bad = fake_is_bad(f, gpa, size);

    *mapped = bad ? 0 : size;
    return bad ? -f->err : 0;
}

static int again_bad_is_poisoned(Fake *f, const PrefaultChunk *chunk)
{
    return fake_is_bad(f, chunk->gpa, chunk->size) ? -EHWPOISON : 0;
}

/* Since they were populated: KVM gets nowhere, and does not say why */
static void test_pages_poisoned_later_are_left_out(void)
{
    static const size_t page_sizes[] = { PAGE, 2 * MiB };
    static const int errnos[] = { EBUSY, ETIME, EINTR };

    for (int i = 0; i < ARRAY_SIZE(page_sizes) * ARRAY_SIZE(errnos); i++) {
        size_t size = page_sizes[i % ARRAY_SIZE(page_sizes)];
        g_autoptr(Fake) f = fake_new(size);

        f->map = map_nothing_beside_bad;
        f->again = again_bad_is_poisoned;
        f->err = errnos[i / ARRAY_SIZE(page_sizes)];
        add_bad(f, 0);
        add_bad(f, 2 * CHUNK + 700 * PAGE);
        add_bad(f, GUEST - PAGE);
        g_assert_cmpint(fake_run(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
        assert_progress(f, GUEST, GUEST - 3 * size, 3 * size);
        assert_each_page_is_told_once(f);
        assert_later(f, 0, 0);
    }
}

/* Memory of a kind that cannot be populated */
static void test_unpopulatable_chunk_is_skipped(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->populate = populate_bad_fails;
    f->err = EINVAL;
    add_bad(f, 2 * CHUNK);
    g_assert_cmpint(fake_run(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_sentence(f, NULL);
    assert_progress(f, GUEST - CHUNK, GUEST - CHUNK, 0);
    assert_skipped(f, PREFAULT_SKIP_REASON_UNPOPULATABLE, CHUNK, 0);
    assert_each_page_is_told_once(f);
    g_assert_cmpuint(fake_marked(f, f->told_never, 2 * CHUNK, CHUNK), ==,
                     CHUNK);
    g_assert_cmpuint(f->populate_calls, ==, GUEST / CHUNK);
}

/* Plans that no longer hold */

static int populate_third_is_stale(Fake *f, const PrefaultChunk *chunk)
{
    return chunk->gpa == 2 * CHUNK ? -ECANCELED : 0;
}

static void test_stale_map_ends_the_run(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->map = map_up_to_bad;
    f->err = ECANCELED;
    add_bad(f, CHUNK + MiB);
    g_assert_cmpint(fake_run(f, 1), ==, PREFAULT_OUTCOME_STALE);
    assert_progress(f, 2 * CHUNK, CHUNK + MiB, 0);
    assert_later(f, 0, 0);
    g_assert_cmpuint(f->map_calls, ==, 3);
}

static void test_stale_populate_ends_the_run(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->populate = populate_third_is_stale;
    g_assert_cmpint(fake_run(f, 1), ==, PREFAULT_OUTCOME_STALE);
    assert_progress(f, 2 * CHUNK, 2 * CHUNK, 0);
    g_assert_cmpuint(f->populate_calls, ==, 3);
}

/* Runs that fail */

static void test_map_error_fails_at_once(void)
{
    for (int i = 0; i < ARRAY_SIZE(map_fatal_errnos); i++) {
        g_autoptr(Fake) f = fake_new(PAGE);

        f->map = map_up_to_bad;
        f->err = map_fatal_errnos[i];
        add_bad(f, CHUNK + MiB);
        g_assert_cmpint(fake_run(f, 1), ==, PREFAULT_OUTCOME_FAILED);
        assert_failure(f, "mapping guest memory 0x500000-0x500fff", f->err);
        assert_progress(f, 2 * CHUNK, CHUNK + MiB, 0);
        assert_later(f, 0, 0);
        g_assert_cmpuint(f->map_calls, ==, 3);
    }
}

static void test_populate_error_fails_at_once(void)
{
    for (int i = 0; i < ARRAY_SIZE(populate_fatal_errnos); i++) {
        g_autoptr(Fake) f = fake_new(PAGE);

        f->populate = populate_fails;
        f->err = populate_fatal_errnos[i];
        g_assert_cmpint(fake_run(f, 1), ==, PREFAULT_OUTCOME_FAILED);
        assert_failure(f, "populating guest memory 0x0-0x3fffff", f->err);
        assert_progress(f, 0, 0, 0);
        g_assert_cmpuint(f->calls, ==, 1);
    }
}

/* And nothing of that chunk is tried */
static void test_no_room_fails(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->begin = refuse_bad;
    add_bad(f, CHUNK);
    g_assert_cmpint(fake_run(f, 1), ==, PREFAULT_OUTCOME_FAILED);
    assert_sentence(f, "no room for 0x400000");
    assert_progress(f, CHUNK, CHUNK, 0);
    g_assert_cmpuint(f->begin_calls, ==, 2);
    g_assert_cmpuint(f->populate_calls, ==, 1);
}

static void test_success_without_progress_fails(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->map = map_up_to_bad;
    f->err = 0;
    add_bad(f, MiB);
    g_assert_cmpint(fake_run(f, 1), ==, PREFAULT_OUTCOME_FAILED);
    assert_failure(f, "mapping guest memory 0x100000-0x100fff", EIO);
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
        f->err = cases[i].err;
        add_bad(f, 0);
        g_assert_cmpint(fake_run(f, 1), ==, PREFAULT_OUTCOME_FAILED);
        assert_failure(f, cases[i].what, f->err);
    }
}

#define ADD(name, test) g_test_add_func("/prefault/work/" name, test)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    alarm(DEADLINE_SEC);

    ADD("completes/populate-only", test_populate_only);
    ADD("completes/partial-progress", test_partial_progress_goes_on);
    ADD("completes/progress-and-error", test_progress_outweighs_error);
    ADD("completes/retries", test_retries_then_completes);
    ADD("leaves-out/never-mapped", test_page_that_is_never_mapped_is_left_out);
    ADD("leaves-out/poisoned", test_poisoned_pages_are_left_out);
    ADD("leaves-out/poisoned-later", test_pages_poisoned_later_are_left_out);
    ADD("skips/unpopulatable", test_unpopulatable_chunk_is_skipped);
    ADD("stale/map", test_stale_map_ends_the_run);
    ADD("stale/populate", test_stale_populate_ends_the_run);
    ADD("fails/map", test_map_error_fails_at_once);
    ADD("fails/populate", test_populate_error_fails_at_once);
    ADD("fails/no-room", test_no_room_fails);
    ADD("fails/no-progress", test_success_without_progress_fails);
    ADD("fails/retries-bounded", test_retries_are_bounded);
    return g_test_run();
}
