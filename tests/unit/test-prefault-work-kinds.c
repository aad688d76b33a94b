/*
 * Tests of what prefault's workers do with memory of each kind
 *
 * Private memory, memory that is mapped only where the host has it, memory
 * whose writes are tracked, memory that cannot be mapped yet: which of it is
 * populated, which is mapped, and what the caller is told of the rest.
 * Operations are fake: see prefault-fake-ops.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "prefault-fake-ops.h"

/* A hang is a failure too */
#define DEADLINE_SEC 30

static const unsigned workers[] = { 1, 2, 8 };

/* What is answered while memory cannot be mapped yet */
static const int not_yet_errnos[] = { EOPNOTSUPP, ENOEXEC, EBUSY, ENODEV };

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

static void set_absent(Fake *f, hwaddr gpa, uint64_t size)
{
    memset(f->absent + gpa / PAGE, 1, size / PAGE);
}

/* Memory that is not populated */

static void test_private_is_mapped_alone(void)
{
    for (int i = 0; i < ARRAY_SIZE(workers); i++) {
        g_autoptr(Fake) f = fake_new_private();

        g_assert_cmpint(fake_run(f, workers[i]), ==,
                        PREFAULT_OUTCOME_COMPLETED);
        assert_progress(f, GUEST / 2, GUEST, 0);
        assert_private_mapped(f, GUEST / 2);
        assert_later(f, 0, 0);
    }
}

static void test_poisoned_private_page_is_left_out(void)
{
    g_autoptr(Fake) f = fake_new_private();

    f->map = map_up_to_bad;
    f->err = EHWPOISON;
    add_bad(f, GUEST / 2 + 5 * PAGE);
    g_assert_cmpint(fake_run(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_progress(f, GUEST / 2, GUEST - PAGE, PAGE);
    assert_private_mapped(f, GUEST / 2 - PAGE);
}

static void test_only_what_is_present_is_mapped(void)
{
    for (int i = 0; i < ARRAY_SIZE(workers); i++) {
        g_autoptr(Fake) f = fake_new_present_only();
        uint64_t absent = CHUNK + 12 * PAGE;

        set_absent(f, 0, PAGE);
        set_absent(f, 3 * PAGE, 10 * PAGE);
        set_absent(f, CHUNK, CHUNK);
        set_absent(f, GUEST - PAGE, PAGE);
        g_assert_cmpint(fake_run(f, workers[i]), ==,
                        PREFAULT_OUTCOME_COMPLETED);
        assert_progress(f, 0, GUEST - absent, 0);
        for (unsigned page = 0; page < PAGES; page++) {
            g_assert_cmpuint(f->told_mapped[page], ==, !f->absent[page]);
            g_assert_cmpuint(f->told_never[page], ==, f->absent[page]);
        }
        g_assert_cmpuint(f->populate_calls, ==, 0);
        g_assert_cmpuint(f->map_calls, ==, 4);
    }
}

/* The host may fail to say what is there, and tell the next time */
static void test_what_nobody_can_tell_is_for_later(void)
{
    g_autoptr(Fake) f = fake_new_present_only();

    f->untold[CHUNK / PAGE] = true;
    g_assert_cmpint(fake_run(f, 1), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_progress(f, 0, GUEST - CHUNK, 0);
    for (unsigned page = 0; page < PAGES; page++) {
        bool untold = page / (CHUNK / PAGE) == 1;

        g_assert_cmpuint(f->told_mapped[page], ==, !untold);
        g_assert_false(f->told_never[page]);
    }
}

/* The second chunk was returned, a part of it is still there; the third is */
static PrefaultKnowledge know_two_chunks(void *opaque,
                                         const PrefaultChunk *chunk)
{
    Fake *f = opaque;

    if (chunk->gpa == CHUNK) {
        fake_mark(f, f->populated, CHUNK, CHUNK);
        return PREFAULT_WAS_RETURNED;
    }
    return chunk->gpa == 2 * CHUNK ? PREFAULT_IS_MAPPED : PREFAULT_UNKNOWN;
}

/* Nobody asks for another chunk than the one that was returned */
static uint64_t present_of_returned(void *opaque, const PrefaultChunk *chunk,
                                    bool *present)
{
    PrefaultChunk returned = *chunk;

    g_assert_cmpuint(chunk->gpa / CHUNK, ==, 1);
    returned.present_only = true;
    return fake_present(opaque, &returned, present);
}

/* What is known is done without a call; what was returned is not populated */
static void test_known_chunks(void)
{
    static const PrefaultOps ops = {
        .known = know_two_chunks,
        .present = present_of_returned,
        .populate = fake_populate,
        .map = fake_map,
        .done = fake_done,
    };
    g_autoptr(Fake) f = fake_new(PAGE);
    PrefaultProgress progress;

    set_absent(f, CHUNK + MiB, MiB);
    set_absent(f, 3 * CHUNK, MiB);
    fake_start_ops(f, &ops, 2);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_COMPLETED);
    prefault_engine_progress(f->engine, &progress);
    g_assert_cmpuint(progress.populated, ==, GUEST - MiB);
    g_assert_cmpuint(progress.mapped, ==, GUEST - MiB);
    g_assert_cmpuint(progress.skipped[PREFAULT_SKIP_REASON_RETURNED], ==, MiB);
    g_assert_cmpuint(f->populate_calls, ==, 2);
    g_assert_cmpuint(fake_marked(f, f->mapped, 0, GUEST), ==,
                     GUEST - CHUNK - MiB);
}

static void test_bad_page_among_present_ones_is_left_out(void)
{
    g_autoptr(Fake) f = fake_new_present_only();

    set_absent(f, MiB, MiB);
    f->map = map_up_to_bad;
    f->err = EHWPOISON;
    add_bad(f, 5 * PAGE);
    add_bad(f, 2 * MiB);
    g_assert_cmpint(fake_run(f, 1), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_progress(f, 0, GUEST - MiB - 2 * PAGE, 2 * PAGE);
    assert_each_page_is_told_once(f);
}

/* Memory that is left for later */

/* And nothing but what is left of that chunk */
static void test_what_cannot_be_mapped_yet_is_for_later(void)
{
    for (int i = 0; i < ARRAY_SIZE(not_yet_errnos); i++) {
        g_autoptr(Fake) f = fake_new(PAGE);

        f->map = map_up_to_bad;
        f->err = not_yet_errnos[i];
        add_bad(f, CHUNK + MiB);
        add_bad(f, 2 * CHUNK);
        g_assert_cmpint(fake_run(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
        assert_progress(f, GUEST, GUEST - 7 * MiB, 0);
        assert_later(f, 7 * MiB, 0);
        assert_each_page_is_told_once(f);
        g_assert_cmpuint(fake_marked(f, f->told_later, CHUNK + MiB, 3 * MiB),
                         ==, 3 * MiB);
        g_assert_cmpuint(fake_marked(f, f->told_later, 2 * CHUNK, CHUNK),
                         ==, CHUNK);
        g_assert_cmpuint(f->later_calls, ==, 2);
        /* No second try */
        g_assert_cmpuint(f->map_calls, ==, GUEST / CHUNK + 1);
    }
}

/* In a run that is not the last one: no page is given up for that */
static void test_interrupted_is_for_later_if_patient(void)
{
    static const int errnos[] = { EINTR, ETIME, EAGAIN };
    PrefaultOps patient = fake_ops;

    patient.patient = true;
    for (int i = 0; i < ARRAY_SIZE(errnos); i++) {
        g_autoptr(Fake) f = fake_new(PAGE);

        f->map = map_up_to_bad;
        f->err = errnos[i];
        add_bad(f, CHUNK + MiB);
        fake_start_ops(f, &patient, 2);
        g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_COMPLETED);
        assert_progress(f, GUEST, GUEST - 3 * MiB, 0);
        assert_later(f, 3 * MiB, 0);
        assert_each_page_is_told_once(f);
        g_assert_cmpuint(f->later_calls, ==, 1);
        /* But a few tries later */
        g_assert_cmpuint(f->map_calls, >, GUEST / CHUNK + 10);
    }
}

static void test_poisoned_is_left_out_if_patient_too(void)
{
    PrefaultOps patient = fake_ops;
    g_autoptr(Fake) f = fake_new(PAGE);

    patient.patient = true;
    f->map = map_up_to_bad;
    f->err = EHWPOISON;
    add_bad(f, CHUNK + MiB);
    fake_start_ops(f, &patient, 2);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_progress(f, GUEST, GUEST - PAGE, PAGE);
    assert_later(f, 0, 0);
}

static void test_private_can_be_for_later(void)
{
    for (int i = 0; i < ARRAY_SIZE(workers); i++) {
        g_autoptr(Fake) f = fake_new_private();

        f->map = map_private_not_yet;
        g_assert_cmpint(fake_run(f, workers[i]), ==,
                        PREFAULT_OUTCOME_COMPLETED);
        assert_progress(f, GUEST / 2, GUEST / 2, 0);
        assert_private_mapped(f, 0);
        assert_later(f, GUEST / 2, GUEST / 2);
        g_assert_cmpuint(fake_marked(f, f->told_later, GUEST / 2, GUEST / 2),
                         ==, GUEST / 2);
    }
}

static void test_private_is_for_later_if_nobody_maps(void)
{
    static const PrefaultOps ops = {
        .populate = fake_populate,
        .later = fake_later,
        .done = fake_done,
    };
    g_autoptr(Fake) f = fake_new_private();

    fake_start_ops(f, &ops, 2);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_progress(f, GUEST / 2, 0, 0);
    assert_later(f, GUEST / 2, GUEST / 2);
}

static void test_nobody_needs_to_be_told(void)
{
    static const PrefaultOps ops = {
        .populate = fake_populate,
        .map = fake_map,
        .done = fake_done,
    };
    g_autoptr(Fake) f = fake_new_private();
    PrefaultProgress progress;

    f->map = map_private_not_yet;
    fake_start_ops(f, &ops, 2);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_COMPLETED);
    prefault_engine_progress(f->engine, &progress);
    g_assert_cmpuint(progress.mapped, ==, GUEST / 2);
    g_assert_cmpuint(progress.later, ==, GUEST / 2);
}

/* In the second chunk writes are tracked */
static Fake *fake_new_tracked(bool present_only)
{
    PrefaultSection s[] = {
        { .size = CHUNK, .host = FAKE_HOST, .page_size = PAGE },
        { .gpa = CHUNK, .ram_addr = CHUNK, .size = CHUNK,
          .host = FAKE_HOST + CHUNK, .page_size = PAGE, .map_later = true,
          .present_only = present_only },
    };

    return fake_new_sections(s, ARRAY_SIZE(s));
}

static void test_tracked_memory_is_populated_only(void)
{
    g_autoptr(Fake) f = fake_new_tracked(false);

    g_assert_cmpint(fake_run(f, 2), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_progress(f, 2 * CHUNK, CHUNK, 0);
    assert_later(f, CHUNK, 0);
    g_assert_cmpuint(fake_marked(f, f->told_later, CHUNK, CHUNK), ==, CHUNK);
}

/* As memory that is owed: nobody has to be told that it still is */
static void test_tracked_memory_stays_owed_where_present(void)
{
    static const PrefaultOps ops = {
        .present = fake_present,
        .populate = fake_populate,
        .map = fake_map,
        .settle = fake_settle,
        .done = fake_done,
    };
    g_autoptr(Fake) f = fake_new_tracked(true);
    PrefaultProgress progress;

    set_absent(f, CHUNK + MiB, MiB);
    fake_start_ops(f, &ops, 1);
    g_assert_cmpint(fake_wait(f), ==, PREFAULT_OUTCOME_COMPLETED);
    assert_progress(f, CHUNK, CHUNK, 0);
    prefault_engine_progress(f->engine, &progress);
    g_assert_cmpuint(progress.later, ==, 3 * MiB);
}

#define ADD(name, test) g_test_add_func("/prefault/kinds/" name, test)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    alarm(DEADLINE_SEC);

    ADD("unpopulated/private", test_private_is_mapped_alone);
    ADD("unpopulated/private-poisoned", test_poisoned_private_page_is_left_out);
    ADD("unpopulated/present", test_only_what_is_present_is_mapped);
    ADD("unpopulated/untold", test_what_nobody_can_tell_is_for_later);
    ADD("known", test_known_chunks);
    ADD("unpopulated/present-poisoned",
        test_bad_page_among_present_ones_is_left_out);
    ADD("later/not-yet", test_what_cannot_be_mapped_yet_is_for_later);
    ADD("later/patient", test_interrupted_is_for_later_if_patient);
    ADD("later/patient-poisoned", test_poisoned_is_left_out_if_patient_too);
    ADD("later/private", test_private_can_be_for_later);
    ADD("later/private-only", test_private_is_for_later_if_nobody_maps);
    ADD("later/untold", test_nobody_needs_to_be_told);
    ADD("later/tracked", test_tracked_memory_is_populated_only);
    ADD("later/tracked-present", test_tracked_memory_stays_owed_where_present);
    return g_test_run();
}
