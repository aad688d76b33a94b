/*
 * Tests of room while workers take it
 *
 * A guest of four chunks; populating is but a write.  The memory is real, the
 * host is made up: see prefault-real-memory.h and prefault-fake-host.h.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/statvfs.h>
#include "qemu/atomic.h"
#include "qemu/thread.h"
#include "prefault-fake-host.h"
#include "prefault-real-memory.h"

#define CHUNKS 4
#define CHUNK (SIZE / CHUNKS)

/* A hang is a failure too; all tests together take a few seconds */
#define DEADLINE_SEC 60

/* Limits are read again after this time; a test of that has to be faster */
#define LOOK_MS 50

/* A worker waits so long for another one that is stuck */
#define WAIT_MS 2000

static uint8_t *chunk_of(const PrefaultBacking *b, unsigned index)
{
    return (uint8_t *)b->host + index * CHUNK;
}

/* What our cgroup leaves */
static void put_left(uint64_t bytes)
{
    g_autofree char *max = g_strdup_printf("%" PRIu64, bytes);

    put("/proc/self/cgroup", "0::/vm\n");
    put_cgroup("/vm", max, "0", "");
}

static void wait_for_next_look(void)
{
    g_usleep((LOOK_MS + 1) * 1000);
}

static void assert_begins(PrefaultRoom *room, const PrefaultBacking *b,
                          unsigned index, uint64_t expected_cost)
{
    uint64_t cost = 77;

    g_assert_true(prefault_room_begin(room, b->is_private, chunk_of(b, index),
                                      CHUNK, &cost, &error_abort));
    g_assert_cmpuint(cost, ==, expected_cost);
}

static void end(PrefaultRoom *room, const PrefaultBacking *b, unsigned index,
                uint64_t cost)
{
    prefault_room_end(room, b->is_private, chunk_of(b, index), cost);
}

static void take(PrefaultRoom *room, const PrefaultBacking *b, unsigned index)
{
    assert_begins(room, b, index, CHUNK);
    memset(chunk_of(b, index), 1, CHUNK);
    end(room, b, index, CHUNK);
}

/* @bytes are said to be needed, and our cgroup leaves @left */
static void assert_refused(PrefaultRoom *room, const PrefaultBacking *b,
                           unsigned index, uint64_t bytes, uint64_t left)
{
    g_autofree char *limit = g_strdup_printf(
        "cgroup /vm leaves %" PRIu64 " (memory.max %" PRIu64 ", memory.current "
        "0, of which 0 can be reclaimed)", left, left);
    g_autofree char *refusal = refusal_new(bytes, limit);
    Error *err = NULL;
    uint64_t cost;

    g_assert_false(prefault_room_begin(room, b->is_private, chunk_of(b, index),
                                       CHUNK, &cost, &err));
    g_assert_cmpstr(error_get_pretty(err), ==, refusal);
    error_free(err);
}

/* All or nothing */

/* Although there is room for the chunk; and no refusal takes room */
static void test_all_is_refused_if_the_rest_does_not_fit(void)
{
    PrefaultBacking b = map_anonymous();
    g_autoptr(PrefaultRoom) room = NULL;
    uint64_t rest = with_tables(SIZE - CHUNK);

    new_host();
    room = prefault_room_new(&b, 1, true, root);
    put_left(with_tables(SIZE));
    g_assert_true(prefault_room_suffices(room, &error_abort));
    take(room, &b, 0);
    put_left(rest - 1);
    for (int i = 0; i < 3; i++) {
        assert_refused(room, &b, 1, rest, rest - 1);
    }
    put_left(rest);
    wait_for_next_look();
    take(room, &b, 1);
    free_host();
    unmap_memory(&b);
}

/* What is in work is part of the rest */
static void test_all_counts_what_is_in_work(void)
{
    PrefaultBacking b = map_anonymous();
    g_autoptr(PrefaultRoom) room = NULL;
    uint64_t need = with_tables(SIZE);

    new_host();
    room = prefault_room_new(&b, 1, true, root);
    put_left(need);
    assert_begins(room, &b, 0, CHUNK);
    put_left(need - 1);
    assert_refused(room, &b, 1, need, need - 1);
    end(room, &b, 0, CHUNK);
    free_host();
    unmap_memory(&b);
}

/* When pages are looked at, private memory that was taken is not left again */
static void test_private_memory_is_taken_once(void)
{
    PrefaultBacking b[] = { map_anonymous(), map_anonymous() };
    g_autoptr(PrefaultRoom) room = NULL;

    memset(b[0].host, 1, SIZE);
    b[1].is_private = true;
    new_host();
    room = prefault_room_new(b, 2, true, root);
    assert_begins(room, &b[1], 0, CHUNK);
    end(room, &b[1], 0, CHUNK);
    put_left(with_tables(SIZE - CHUNK));
    wait_for_next_look();
    assert_begins(room, &b[1], 1, CHUNK);
    end(room, &b[1], 1, CHUNK);
    free_host();
    unmap_memory(&b[0]);
    unmap_memory(&b[1]);
}

static void test_all_that_is_present_is_not_refused(void)
{
    PrefaultBacking b = map_anonymous();
    g_autoptr(PrefaultRoom) room = NULL;

    new_host();
    room = prefault_room_new(&b, 1, true, root);
    memset(b.host, 1, SIZE);
    put_left(0);
    for (int i = 0; i < CHUNKS; i++) {
        assert_begins(room, &b, i, 0);
        end(room, &b, i, 0);
    }
    free_host();
    unmap_memory(&b);
}

/* As much as there is room for */

static void test_chunks_are_taken_until_room_ends(void)
{
    PrefaultBacking b = map_anonymous();
    g_autoptr(PrefaultRoom) room = NULL;
    uint64_t need = with_tables(CHUNK);

    new_host();
    room = prefault_room_new(&b, 1, false, root);
    put_left(need);
    take(room, &b, 0);
    take(room, &b, 1);
    put_left(need - 1);
    for (int i = 0; i < 3; i++) {
        assert_refused(room, &b, 2, need, need - 1);
    }
    assert_begins(room, &b, 0, 0);      /* it is present */
    end(room, &b, 0, 0);
    memset(chunk_of(&b, 3), 1, CHUNK / 2);
    assert_begins(room, &b, 3, CHUNK / 2);
    end(room, &b, 3, CHUNK / 2);
    put_left(need);
    wait_for_next_look();
    take(room, &b, 2);
    free_host();
    unmap_memory(&b);
}

/* Less than was refused is looked at, and so is all when some worker ends */
static void test_refusal_stands_for_a_while(void)
{
    PrefaultBacking b = map_anonymous();
    g_autoptr(PrefaultRoom) room = NULL;
    uint64_t need = with_tables(CHUNK);

    new_host();
    room = prefault_room_new(&b, 1, false, root);
    put_left(need - 1);
    assert_refused(room, &b, 0, need, need - 1);
    put_left(need);
    assert_refused(room, &b, 1, need, need - 1);
    memset(chunk_of(&b, 2), 1, CHUNK / 2);
    assert_begins(room, &b, 2, CHUNK / 2);
    end(room, &b, 2, CHUNK / 2);
    take(room, &b, 1);
    free_host();
    unmap_memory(&b);
}

/* Several workers */

typedef struct Worker {
    QemuThread thread;
    PrefaultRoom *room;
    const PrefaultBacking *b;
    unsigned chunk;
    unsigned *in_work;          /* changed atomically */
    bool began;                 /* prefault_room_begin() said so */
} Worker;

/* There is room for one chunk only */
static void *worker_takes_alone(void *opaque)
{
    Worker *w = opaque;
    uint8_t *host = chunk_of(w->b, w->chunk);
    uint64_t cost;

    w->began = prefault_room_begin(w->room, false, host, CHUNK, &cost, NULL);
    if (w->began) {
        g_assert_cmpuint(qatomic_fetch_inc(w->in_work), ==, 0);
        memset(host, 1, CHUNK);
        g_usleep(10 * 1000);
        qatomic_dec(w->in_work);
        prefault_room_end(w->room, false, host, cost);
    }
    return NULL;
}

/* From @first on, a chunk each */
static void start_workers(Worker *workers, unsigned nr, PrefaultRoom *room,
                          const PrefaultBacking *b, unsigned first,
                          unsigned *in_work)
{
    for (unsigned i = 0; i < nr; i++) {
        workers[i] = (Worker) {
            .room = room,
            .b = b,
            .chunk = first + i,
            .in_work = in_work,
        };
        qemu_thread_create(&workers[i].thread, "worker", worker_takes_alone,
                           &workers[i], QEMU_THREAD_JOINABLE);
    }
}

static void join_workers(Worker *workers, unsigned nr, bool began)
{
    for (unsigned i = 0; i < nr; i++) {
        qemu_thread_join(&workers[i].thread);
        g_assert_cmpint(workers[i].began, ==, began);
    }
}

/* What is in work counts; whoever has no room waits, and is not refused */
static void test_workers_take_turns(void)
{
    PrefaultBacking b = map_anonymous();
    g_autoptr(PrefaultRoom) room = NULL;
    Worker workers[CHUNKS];
    unsigned in_work = 0;

    new_host();
    room = prefault_room_new(&b, 1, false, root);
    put_left(with_tables(2 * CHUNK) - 1);
    start_workers(workers, CHUNKS, room, &b, 0, &in_work);
    join_workers(workers, CHUNKS, true);
    free_host();
    unmap_memory(&b);
}

/* One that is stuck holds up the others for a while, not for ever */
static void test_workers_do_not_wait_for_ever(void)
{
    PrefaultBacking b = map_anonymous();
    g_autoptr(PrefaultRoom) room = NULL;
    Worker workers[CHUNKS - 1];
    unsigned in_work = 0;
    uint64_t cost;
    int64_t start;

    new_host();
    room = prefault_room_new(&b, 1, false, root);
    put_left(with_tables(2 * CHUNK) - 1);
    assert_begins(room, &b, 0, CHUNK);
    start_workers(workers, CHUNKS - 1, room, &b, 1, &in_work);
    join_workers(workers, CHUNKS - 1, false);
    /* They have waited: nobody else does, until something ends */
    start = g_get_monotonic_time();
    g_assert_false(prefault_room_begin(room, false, chunk_of(&b, 1), CHUNK,
                                       &cost, NULL));
    g_assert_cmpint(g_get_monotonic_time() - start, <, WAIT_MS * 1000 / 2);
    end(room, &b, 0, CHUNK);
    take(room, &b, 1);
    free_host();
    unmap_memory(&b);
}

/* What is present waits for nobody, though one is stuck */
static void test_present_chunk_does_not_wait(void)
{
    PrefaultBacking b = map_anonymous();
    g_autoptr(PrefaultRoom) room = NULL;

    new_host();
    room = prefault_room_new(&b, 1, false, root);
    put_left(with_tables(CHUNK));
    assert_begins(room, &b, 0, CHUNK);
    memset(chunk_of(&b, 1), 1, CHUNK);
    assert_begins(room, &b, 1, 0);
    end(room, &b, 1, 0);
    end(room, &b, 0, CHUNK);
    free_host();
    unmap_memory(&b);
}

/* When the limits are read */

/*
 * The first chunk begins with @spare more than it takes, and then the host has
 * nothing left.  Returns the number of chunks that begin before the host is
 * looked at again.
 */
static unsigned begun_before_a_look(const PrefaultBacking *b, uint64_t spare)
{
    g_autoptr(PrefaultRoom) room = prefault_room_new(b, 1, false, root);
    unsigned begun = 0;
    uint64_t cost;

    put_available(with_tables(CHUNK) + spare);
    while (begun < CHUNKS &&
           prefault_room_begin(room, false, chunk_of(b, begun), CHUNK, &cost,
                               NULL)) {
        end(room, b, begun, cost);
        begun++;
        put_available(KiB);
    }
    return begun;
}

/* Try again if this host was too slow */
static void test_limits_are_read_if_little_is_spare(void)
{
    static const struct {
        uint64_t spare;
        unsigned begun;
    } cases[] = {
        { 0, 1 },
        { 4 * CHUNK, 1 },
        { 8 * CHUNK, 2 },
        { 12 * CHUNK, 3 },
        { 1000 * CHUNK, CHUNKS },
    };
    PrefaultBacking b = map_anonymous();

    new_host();
    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        unsigned begun;
        int64_t start;

        do {
            start = g_get_monotonic_time();
            begun = begun_before_a_look(&b, cases[i].spare);
        } while (g_get_monotonic_time() - start >= LOOK_MS * 1000);
        g_assert_cmpuint(begun, ==, cases[i].begun);
    }
    free_host();
    unmap_memory(&b);
}

static void test_limits_are_read_after_a_while(void)
{
    PrefaultBacking b = map_anonymous();
    g_autoptr(PrefaultRoom) room = NULL;

    new_host();
    room = prefault_room_new(&b, 1, false, root);
    put_available(1000 * CHUNK);
    take(room, &b, 0);
    put_left(0);
    wait_for_next_look();
    assert_refused(room, &b, 1, with_tables(CHUNK), 0);
    free_host();
    unmap_memory(&b);
}

/* Without a huge page populating fails cleanly, later than the first */
static void test_pools_are_looked_at_once(void)
{
    static const char pool[] =
        "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    PrefaultBacking b = map_anonymous();
    g_autoptr(PrefaultRoom) room = NULL;
    uint64_t cost;

    b.page_size = HUGE_PAGE;
    new_host();
    room = prefault_room_new(&b, 1, true, root);
    put(pool, "3");
    for (int i = 0; i < 3; i++) {
        g_assert_false(prefault_room_begin(room, false, b.host, CHUNK, &cost,
                                           NULL));
        wait_for_next_look();
    }
    put(pool, "4");
    assert_begins(room, &b, 0, CHUNK);
    put(pool, "0");
    assert_begins(room, &b, 1, CHUNK);
    end(room, &b, 0, CHUNK);
    end(room, &b, 1, CHUNK);
    free_host();
    unmap_memory(&b);
}

/* Only if all is wanted */
static void test_space_is_looked_at_first(void)
{
    PrefaultBacking b = map_sparse_file(MAP_SHARED);
    g_autoptr(PrefaultRoom) all = NULL, some = NULL;
    struct statvfs fs;
    uint64_t cost;

    if (fstatvfs(b.fd, &fs) || !fs.f_blocks) {
        g_test_skip("the file system of temporary files does not say");
        unmap_memory(&b);
        return;
    }
    b.size = ROUND_UP((uint64_t)fs.f_bavail * fs.f_frsize, GiB) + 8 * GiB;
    new_host();
    all = prefault_room_new(&b, 1, true, root);
    some = prefault_room_new(&b, 1, false, root);
    for (int i = 0; i < 3; i++) {
        g_assert_false(prefault_room_begin(all, false, b.host, CHUNK, &cost,
                                           NULL));
        g_assert_true(prefault_room_begin(some, false, b.host, CHUNK, &cost,
                                          NULL));
        prefault_room_end(some, false, b.host, cost);
        wait_for_next_look();
    }
    free_host();
    unmap_memory(&b);
}

/* Memory that takes none */

static void test_device(void)
{
    PrefaultBacking b = map_device();
    g_autoptr(PrefaultRoom) room = NULL;

    new_host();
    room = prefault_room_new(&b, 1, true, root);
    put_left(0);
    assert_begins(room, &b, 0, 0);
    end(room, &b, 0, 0);
    free_host();
    unmap_memory(&b);
}

/* Neither before a backing, nor behind it, nor between two */
static void test_memory_outside(void)
{
    PrefaultBacking b = map_anonymous(), parts[] = { b, b };
    g_autoptr(PrefaultRoom) room = NULL;

    parts[0].host = chunk_of(&b, 1);
    parts[0].size = CHUNK;
    parts[1].host = chunk_of(&b, 3);
    parts[1].size = CHUNK;
    new_host();
    room = prefault_room_new(parts, 2, true, root);
    put_left(0);
    for (int i = 0; i <= CHUNKS; i += 2) {
        assert_begins(room, &b, i, 0);
        end(room, &b, i, 0);
    }
    assert_refused(room, &b, 1, with_tables(2 * CHUNK), 0);
    wait_for_next_look();
    assert_refused(room, &b, 3, with_tables(2 * CHUNK), 0);
    free_host();
    unmap_memory(&b);
}

/* Memory that begins or ends in the middle of a huge page is private there */
static void test_huge_pages_beside_private_memory(void)
{
    enum { SHARED_BEFORE, PRIVATE, SHARED_BEHIND, PARTS };
    PrefaultBacking b = map_anonymous(), parts[PARTS] = { b, b, b };
    g_autoptr(PrefaultRoom) room = NULL;
    uint8_t *middle = (uint8_t *)b.host + HUGE_PAGE + HUGE_PAGE / 4;
    uint8_t *behind = middle + HUGE_PAGE / 4;
    uint64_t cost, rest = (uint8_t *)b.host + SIZE - behind;

    parts[SHARED_BEFORE].page_size = HUGE_PAGE;
    parts[SHARED_BEFORE].size = 2 * HUGE_PAGE;
    parts[PRIVATE].is_private = true;
    parts[PRIVATE].host = middle;
    parts[PRIVATE].size = HUGE_PAGE / 4;
    parts[PRIVATE].private_taken = HUGE_PAGE / 8;
    parts[SHARED_BEHIND].page_size = HUGE_PAGE;
    parts[SHARED_BEHIND].host = (uint8_t *)b.host + HUGE_PAGE;
    parts[SHARED_BEHIND].size = SIZE - HUGE_PAGE;
    new_host();
    room = prefault_room_new(parts, PARTS, false, root);
    g_assert_true(prefault_room_begin(room, true, middle, HUGE_PAGE / 4, &cost,
                                      &error_abort));
    g_assert_cmpuint(cost, ==, HUGE_PAGE / 8);
    prefault_room_end(room, true, middle, cost);
    g_assert_true(prefault_room_begin(room, false, behind, rest, &cost,
                                      &error_abort));
    g_assert_cmpuint(cost, ==, rest);
    prefault_room_end(room, false, behind, cost);
    free_host();
    unmap_memory(&b);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    alarm(DEADLINE_SEC);
    prefault_room_free(NULL);

#define ADD(name, test) g_test_add_func("/prefault/room-workers/" name, test)
    ADD("all/private", test_private_memory_is_taken_once);
    ADD("all/rest", test_all_is_refused_if_the_rest_does_not_fit);
    ADD("all/in-work", test_all_counts_what_is_in_work);
    ADD("all/present", test_all_that_is_present_is_not_refused);
    ADD("some/until-room-ends", test_chunks_are_taken_until_room_ends);
    ADD("some/refusal", test_refusal_stands_for_a_while);
    ADD("threads/turns", test_workers_take_turns);
    ADD("threads/stuck", test_workers_do_not_wait_for_ever);
    ADD("threads/present", test_present_chunk_does_not_wait);
    ADD("looks/spare", test_limits_are_read_if_little_is_spare);
    ADD("looks/while", test_limits_are_read_after_a_while);
    ADD("looks/pools", test_pools_are_looked_at_once);
    ADD("looks/space", test_space_is_looked_at_first);
    ADD("huge-page", test_huge_pages_beside_private_memory);
    ADD("none/device", test_device);
    ADD("none/outside", test_memory_outside);
    return g_test_run();
}
