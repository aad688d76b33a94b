/*
 * Has the host room for the guest's memory?
 *
 * Guarantees: never refuses what would have fitted, as far as the host's
 * figures tell; needs the same little memory for any size of guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "host-limits.h"
#include "room.h"
#include "space.h"

/* Host page tables take so much of ordinary memory: 8 bytes for 4 KiB */
#define BYTES_PER_TABLE_BYTE 512

/* The limits are read anew after this time, or when this part is taken */
#define LOOK_NS (50 * SCALE_MS)
#define LOOK_PART 4

/* How long a worker waits for the others before it takes room for short */
#define WAIT_MS 2000

/* A limit that leaves so much more than is wanted cannot be short soon */
#define PLENTY GiB

/* Pages of one size, from the same nodes */
typedef struct Pool {
    PrefaultBacking like;       /* the first backing of this pool */
    size_t huge_page;           /* bytes; 0 for ordinary memory */
    uint64_t left;              /* bytes that no worker has taken yet */
    uint64_t in_work;           /* bytes that workers take now */
} Pool;

typedef struct Piece {
    PrefaultBacking b;
    int pool;                   /* index, or -1: it takes no memory */
} Piece;

struct PrefaultRoom {
    const char *root;
    bool all;
    GArray *pieces;             /* of Piece */
    PrefaultSpace *space;       /* files of theirs */

    QemuMutex lock;             /* protects the rest */
    QemuCond ended;             /* @in_work became less */
    GArray *pools;              /* of Pool */
    bool begun;                 /* something was taken */
    bool exact;                 /* only absent pages are counted */
    uint64_t in_work;           /* of all pools */
    int64_t looked_ns;
    uint64_t spare;             /* then, of the tightest limit */
    uint64_t taken;             /* since */
};

/* Pieces and pools */

static bool room_same_pool(const PrefaultBacking *a, const PrefaultBacking *b)
{
    return a->page_size == b->page_size && a->reserved == b->reserved &&
           a->is_private == b->is_private && a->is_bound == b->is_bound &&
           bitmap_equal(a->nodes, b->nodes, PREFAULT_NODES_MAX);
}

static int room_find_pool(PrefaultRoom *room, const PrefaultBacking *b)
{
    Pool pool = {
        .like = *b,
        .huge_page = b->page_size > qemu_real_host_page_size() ? b->page_size
                                                               : 0,
    };

    for (guint i = 0; i < room->pools->len; i++) {
        if (room_same_pool(&g_array_index(room->pools, Pool, i).like, b)) {
            return i;
        }
    }
    g_array_append_val(room->pools, pool);
    return room->pools->len - 1;
}

static void room_add_piece(PrefaultRoom *room, const PrefaultBacking *b)
{
    Piece piece = {
        .b = *b,
        .pool = prefault_backing_takes_memory(b) ? room_find_pool(room, b) : -1,
    };

    g_array_append_val(room->pieces, piece);
    if (prefault_backing_takes_space(b)) {
        prefault_space_add(room->space, b->fd, b->size, b->name);
    }
}

static uint64_t room_cost(const PrefaultRoom *room, const Piece *piece,
                          uint8_t *host, uint64_t size)
{
    return piece->pool < 0
           ? 0 : prefault_backing_cost(&piece->b, host, size, room->exact);
}

/* Count what is left to be taken, without what workers take now */
static uint64_t room_count_pool(const PrefaultRoom *room, int number)
{
    uint64_t sum = 0;

    for (guint i = 0; i < room->pieces->len; i++) {
        const Piece *piece = &g_array_index(room->pieces, Piece, i);

        sum += piece->pool == number
               ? room_cost(room, piece, piece->b.host, piece->b.size) : 0;
    }
    return sum - MIN(g_array_index(room->pools, Pool, number).in_work, sum);
}

/* Private memory cannot be asked again: what is left of it is known */
static void room_count(PrefaultRoom *room)
{
    for (guint i = 0; i < room->pools->len; i++) {
        Pool *pool = &g_array_index(room->pools, Pool, i);

        if (!room->exact || !pool->like.is_private) {
            pool->left = room_count_pool(room, i);
        }
    }
}

PrefaultRoom *prefault_room_new(const PrefaultBacking *backings,
                                size_t nr_backings, bool all, const char *root)
{
    PrefaultRoom *room = g_new0(PrefaultRoom, 1);

    room->root = root;
    room->all = all;
    room->pieces = g_array_new(false, false, sizeof(Piece));
    room->pools = g_array_new(false, false, sizeof(Pool));
    room->space = prefault_space_new();
    for (size_t i = 0; i < nr_backings; i++) {
        room_add_piece(room, &backings[i]);
    }
    room_count(room);
    qemu_mutex_init(&room->lock);
    qemu_cond_init(&room->ended);
    return room;
}

void prefault_room_free(PrefaultRoom *room)
{
    if (room) {
        qemu_cond_destroy(&room->ended);
        qemu_mutex_destroy(&room->lock);
        g_array_unref(room->pieces);
        g_array_unref(room->pools);
        prefault_space_free(room->space);
        g_free(room);
    }
}

/* Limits */

static bool room_fits(PrefaultRoom *room, uint64_t bytes,
                      const PrefaultLimit *limit, Error **errp)
{
    if (bytes > limit->bytes) {
        error_setg(errp, "guest memory takes %" PRIu64 " bytes more, %s", bytes,
                   limit->of);
        return false;
    }
    room->spare = MIN(room->spare, limit->bytes - bytes);
    return true;
}

static uint64_t room_wanted(const PrefaultRoom *room, const Pool *pool)
{
    return pool->in_work + (room->all ? pool->left : 0);
}

/* With the host's page tables, and a reserve for QEMU itself */
static uint64_t room_with_tables(uint64_t bytes, size_t huge_page)
{
    return bytes && !huge_page
           ? bytes + bytes / BYTES_PER_TABLE_BYTE + PREFAULT_ROOM_RESERVE
           : bytes;
}

static bool room_fits_nodes(PrefaultRoom *room, const Pool *pool, Error **errp)
{
    g_auto(PrefaultLimit) limit = { .bytes = UINT64_MAX };
    uint64_t bytes = room_with_tables(room_wanted(room, pool), pool->huge_page);

    if (!pool->like.is_bound || !bytes) {
        return true;
    }
    if (pool->huge_page) {
        prefault_limit_hugetlb_nodes(room->root, pool->huge_page,
                                     pool->like.nodes, &limit);
    } else {
        prefault_limit_nodes(room->root, pool->like.nodes, &limit);
    }
    return room_fits(room, bytes, &limit, errp);
}

/* What all pools with pages of one size want */
static uint64_t room_sum(const PrefaultRoom *room, size_t huge_page,
                         bool unreserved)
{
    uint64_t sum = 0;

    for (guint i = 0; i < room->pools->len; i++) {
        const Pool *pool = &g_array_index(room->pools, Pool, i);

        if (pool->huge_page == huge_page &&
            !(unreserved && pool->like.reserved)) {
            sum += room_wanted(room, pool);
        }
    }
    return room_with_tables(sum, huge_page);
}

static bool room_fits_host(PrefaultRoom *room, size_t huge_page, Error **errp)
{
    g_auto(PrefaultLimit) cgroup = {}, host = {};
    uint64_t sum = room_sum(room, huge_page, false);

    if (!sum) {
        return true;
    }
    if (huge_page) {
        prefault_limit_hugetlb_cgroup(room->root, huge_page, &cgroup);
        prefault_limit_hugetlb(room->root, huge_page, &host);
    } else {
        prefault_limit_memory_cgroup(room->root, sum + PLENTY, &cgroup);
        prefault_limit_host(room->root, &host);
    }
    return room_fits(room, sum, &cgroup, errp) &&
           room_fits(room, room_sum(room, huge_page, huge_page), &host, errp);
}

/* The limits of the host are for all pools with pages of one size together */
static bool room_is_first_of_size(const PrefaultRoom *room, guint number)
{
    size_t size = g_array_index(room->pools, Pool, number).huge_page;

    for (guint i = 0; i < number; i++) {
        if (g_array_index(room->pools, Pool, i).huge_page == size) {
            return false;
        }
    }
    return true;
}

/*
 * Only a lack of ordinary memory kills.  Without a huge page, or space behind a
 * file, populating fails cleanly, and what workers are about to take cannot be
 * told from what they have taken: these limits are looked at once.
 */
static bool room_has_all(PrefaultRoom *room, Error **errp)
{
    for (guint i = 0; i < room->pools->len; i++) {
        const Pool *pool = &g_array_index(room->pools, Pool, i);

        if (pool->huge_page && room->begun) {
            continue;
        }
        if (!room_fits_nodes(room, pool, errp) ||
            (room_is_first_of_size(room, i) &&
             !room_fits_host(room, pool->huge_page, errp))) {
            return false;
        }
    }
    return room->begun || !room->all ||
           prefault_space_suffices(room->space, errp);
}

/* Look at all limits.  After a failure the next worker looks again. */
static bool room_look(PrefaultRoom *room, Error **errp)
{
    bool ok;

    room->looked_ns = get_clock();
    room->taken = 0;
    room->spare = UINT64_MAX;
    ok = room_has_all(room, errp);
    room->spare = ok ? room->spare : 0;
    return ok;
}

/*
 * Most hosts have enough for all pages, so that is tried first: it takes no
 * look at each page.  If it fails its error is dropped, and only absent pages
 * are counted from then on.
 */
static void room_count_exactly(PrefaultRoom *room)
{
    room->exact = true;
    room_count(room);
}

bool prefault_room_suffices(PrefaultRoom *room, Error **errp)
{
    QEMU_LOCK_GUARD(&room->lock);
    if (!room->exact && room_look(room, NULL)) {
        return true;
    }
    room_count_exactly(room);
    return room_look(room, errp);
}

/* Returns NULL for memory that is not to be counted */
static const Piece *room_find_piece(const PrefaultRoom *room, uint8_t *host)
{
    for (guint i = 0; i < room->pieces->len; i++) {
        const Piece *piece = &g_array_index(room->pieces, Piece, i);

        if (host - (uint8_t *)piece->b.host < piece->b.size &&
            host >= (uint8_t *)piece->b.host) {
            return piece;
        }
    }
    return NULL;
}

static void room_give_back(PrefaultRoom *room, const Piece *piece,
                           uint64_t cost)
{
    if (cost) {
        g_array_index(room->pools, Pool, piece->pool).in_work -= cost;
        room->in_work -= cost;
    }
}

static bool room_take(PrefaultRoom *room, const Piece *piece, uint8_t *host,
                      uint64_t size, uint64_t *cost, Error **errp)
{
    Pool *pool = piece->pool < 0
                 ? NULL : &g_array_index(room->pools, Pool, piece->pool);
    uint64_t left = pool ? pool->left : 0;

    *cost = room_cost(room, piece, host, size);
    if (*cost) {
        pool->in_work += *cost;
        pool->left -= MIN(*cost, left);
        room->in_work += *cost;
        room->taken += *cost;
    }
    if ((get_clock() - room->looked_ns < LOOK_NS &&
         room->taken < room->spare / LOOK_PART) || room_look(room, errp)) {
        room->begun = true;
        return true;
    }
    if (*cost) {
        pool->left = left;
        room_give_back(room, piece, *cost);
    }
    return false;
}

/*
 * What others have in work may have been taken already, and is counted twice
 * then: try again when they are done, unless the kernel holds them back
 */
bool prefault_room_begin(PrefaultRoom *room, uint8_t *host, uint64_t size,
                         uint64_t *cost, Error **errp)
{
    const Piece *piece = room_find_piece(room, host);
    Error *err = NULL;

    *cost = 0;
    if (!piece) {
        return true;
    }
    QEMU_LOCK_GUARD(&room->lock);
    while (!room_take(room, piece, host, size, cost, &err)) {
        if (!room->exact) {
            room_count_exactly(room);
        } else if (!room->in_work ||
                   !qemu_cond_timedwait(&room->ended, &room->lock, WAIT_MS)) {
            error_propagate(errp, err);
            return false;
        }
        error_free(g_steal_pointer(&err));
    }
    return true;
}

void prefault_room_end(PrefaultRoom *room, uint8_t *host, uint64_t cost)
{
    QEMU_LOCK_GUARD(&room->lock);
    room_give_back(room, room_find_piece(room, host), cost);
    qemu_cond_broadcast(&room->ended);
}
