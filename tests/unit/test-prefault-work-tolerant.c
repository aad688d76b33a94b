/*
 * Tests of what tolerant workers make of failures
 *
 * Each test states one property of hw/core/prefault/work.h.  Operations are
 * fake: see prefault-fake-ops.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "prefault-fake-ops.h"

/* A hang is a failure too */
#define DEADLINE_SEC 30

static PrefaultOutcome run_tolerant(Fake *f, unsigned threads)
{
    static PrefaultOps tolerant;

    tolerant = fake_ops;
    tolerant.tolerant = true;
    fake_start_ops(f, &tolerant, threads);
    return fake_wait(f);
}

static void assert_told_never(Fake *f, hwaddr gpa, uint64_t size)
{
    g_assert_cmpuint(fake_marked(f, f->told_never, gpa, size), ==, size);
}

static void test_chunk_that_is_not_populated_is_left_out(void)
{
    static const int errnos[] = { ENOMEM, EFAULT, EIO, EAGAIN, EINTR };

    for (int i = 0; i < ARRAY_SIZE(errnos); i++) {
        g_autoptr(Fake) f = fake_new(PAGE);

        f->populate = populate_bad_fails;
        f->err = errnos[i];
        add_bad(f, CHUNK + MiB);
        g_assert_cmpint(run_tolerant(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
        assert_failure(f, "populating guest memory 0x400000-0x7fffff",
                       errnos[i]);
        assert_progress(f, GUEST - CHUNK, GUEST - CHUNK, CHUNK);
        assert_told_never(f, CHUNK, CHUNK);
        assert_each_page_is_told_once(f);
    }
}

/* Nor what makes no progress; the rest of the chunk is mapped */
static void test_page_that_is_not_mapped_is_left_out(void)
{
    static const int errnos[] = { EFAULT, ENOMEM, EINVAL, EIO, 0 };

    for (int i = 0; i < ARRAY_SIZE(errnos); i++) {
        g_autoptr(Fake) f = fake_new(PAGE);

        f->map = map_up_to_bad;
        f->err = errnos[i];
        add_bad(f, CHUNK + MiB);
        g_assert_cmpint(run_tolerant(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
        assert_failure(f, "mapping guest memory 0x500000-0x500fff",
                       errnos[i] ?: EIO);
        assert_progress(f, GUEST, GUEST - PAGE, PAGE);
        assert_told_never(f, CHUNK + MiB, PAGE);
        assert_each_page_is_told_once(f);
    }
}

/* Or each page would be tried for a second */
static void test_memory_that_is_always_busy_is_left_out_at_once(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->map = map_up_to_bad;
    f->err = EAGAIN;
    add_bad(f, CHUNK + MiB);
    g_assert_cmpint(run_tolerant(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_failure(f, "mapping guest memory 0x500000-0x7fffff", EAGAIN);
    assert_progress(f, GUEST, GUEST - 3 * MiB, 3 * MiB);
}

static void test_first_failure_is_kept(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->map = map_up_to_bad;
    f->err = EFAULT;
    add_bad(f, 3 * PAGE);
    add_bad(f, 5 * PAGE);
    add_bad(f, GUEST - PAGE);
    g_assert_cmpint(run_tolerant(f, 1), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_failure(f, "mapping guest memory 0x3000-0x3fff", EFAULT);
    assert_progress(f, GUEST, GUEST - 3 * PAGE, 3 * PAGE);
}

/* No failure: it would be the same in any run */
static void test_poison_is_no_failure(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->populate = populate_bad_fails;
    f->err = EHWPOISON;
    add_bad(f, PAGE);
    g_assert_cmpint(run_tolerant(f, 1), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_sentence(f, NULL);
    assert_progress(f, GUEST - PAGE, GUEST - PAGE, PAGE);
}

/* No room */

static void test_chunk_without_room_is_skipped(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->begin = refuse_bad;
    add_bad(f, CHUNK);
    add_bad(f, 3 * CHUNK);
    g_assert_cmpint(run_tolerant(f, 1), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_sentence(f, "no room for 0x400000");
    assert_progress(f, GUEST - 2 * CHUNK, GUEST - 2 * CHUNK, 0);
    assert_skipped(f, PREFAULT_SKIP_REASON_NO_ROOM, 2 * CHUNK, 0);
    assert_told_never(f, CHUNK, CHUNK);
    assert_told_never(f, 3 * CHUNK, CHUNK);
    assert_each_page_is_told_once(f);
    g_assert_cmpuint(f->begin_calls, ==, GUEST / CHUNK);
    g_assert_cmpuint(f->populate_calls, ==, GUEST / CHUNK - 2);
}

static void test_private_chunk_without_room_is_skipped(void)
{
    g_autoptr(Fake) f = fake_new_private();

    f->begin = refuse_bad;
    add_bad(f, 0);
    add_bad(f, GUEST / 2);
    g_assert_cmpint(run_tolerant(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_progress(f, CHUNK, 2 * CHUNK, 0);
    assert_private_mapped(f, CHUNK);
    assert_skipped(f, PREFAULT_SKIP_REASON_NO_ROOM, 2 * CHUNK, CHUNK);
}

/* The next run tries again */
static void test_chunk_without_room_is_for_later_if_patient(void)
{
    PrefaultOps patient = fake_ops;
    g_autoptr(Fake) f = fake_new(PAGE);
    PrefaultProgress progress;

    patient.tolerant = patient.patient = true;
    patient.later = NULL;
    f->begin = refuse_bad;
    add_bad(f, CHUNK);
    fake_start_ops(f, &patient, 2);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_COMPLETED);
    prefault_engine_progress(f->engine, &progress);
    g_assert_cmpuint(progress.later, ==, CHUNK);
    g_assert_cmpuint(progress.mapped, ==, GUEST - CHUNK);
    assert_skipped(f, PREFAULT_SKIP_REASON_NO_ROOM, 0, 0);
}

/* What cannot be pinned is mapped all the same */
static void test_chunk_that_is_not_pinned_is_mapped(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->pin = refuse_bad;
    add_bad(f, CHUNK);
    g_assert_cmpint(run_tolerant(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_sentence(f, "no pin for 0x400000");
    assert_progress(f, GUEST, GUEST, 0);
    g_assert_cmpuint(fake_marked(f, f->pinned, 0, GUEST), ==, GUEST - CHUNK);
    assert_each_page_is_told_once(f);
}

/* Unless all is wanted: then it ends the run */
static void test_chunk_that_is_not_pinned_ends_a_run(void)
{
    g_autoptr(Fake) f = fake_new(PAGE);

    f->pin = refuse_bad;
    add_bad(f, CHUNK);
    g_assert_cmpint(fake_run(f, 2), ==, PREFAULT_OUTCOME_FAILED);
    assert_sentence(f, "no pin for 0x400000");
    g_assert_cmpuint(fake_marked(f, f->mapped, CHUNK, CHUNK), ==, 0);
}

/* What was there before is pinned, too, and nothing else */
static void test_present_memory_is_pinned(void)
{
    g_autoptr(Fake) f = fake_new_present_only();

    memset(f->absent, 1, CHUNK / PAGE);
    g_assert_cmpint(fake_run(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
    g_assert_cmpuint(fake_marked(f, f->pinned, 0, CHUNK), ==, 0);
    g_assert_cmpuint(fake_marked(f, f->pinned, CHUNK, GUEST - CHUNK), ==,
                     GUEST - CHUNK);
}

/* Nobody looks for room, pins or ends */

static void test_nobody_needs_to_look(void)
{
    static const PrefaultOps ops = {
        .populate = fake_populate,
        .map = fake_map,
        .done = fake_done,
        .tolerant = true,
    };
    g_autoptr(Fake) f = fake_new(PAGE);
    PrefaultProgress progress;

    f->map = map_up_to_bad;
    f->err = EFAULT;
    add_bad(f, MiB);
    fake_start_ops(f, &ops, 2);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_COMPLETED);
    prefault_engine_progress(f->engine, &progress);
    g_assert_cmpuint(progress.mapped, ==, GUEST - PAGE);
    g_assert_cmpuint(progress.failed, ==, PAGE);
}

#define ADD(name, test) g_test_add_func("/prefault/tolerant/" name, test)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    alarm(DEADLINE_SEC);

    ADD("populate", test_chunk_that_is_not_populated_is_left_out);
    ADD("map", test_page_that_is_not_mapped_is_left_out);
    ADD("busy", test_memory_that_is_always_busy_is_left_out_at_once);
    ADD("first", test_first_failure_is_kept);
    ADD("poison", test_poison_is_no_failure);
    ADD("no-room", test_chunk_without_room_is_skipped);
    ADD("no-room/patient", test_chunk_without_room_is_for_later_if_patient);
    ADD("no-room/private", test_private_chunk_without_room_is_skipped);
    ADD("pin", test_chunk_that_is_not_pinned_is_mapped);
    ADD("pin/all", test_chunk_that_is_not_pinned_ends_a_run);
    ADD("pin/present", test_present_memory_is_pinned);
    ADD("unwatched", test_nobody_needs_to_look);
    return g_test_run();
}
