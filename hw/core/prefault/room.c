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
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "room.h"
#include "space.h"

/* The limits are read anew after this time, or when this part is taken */
#define LOOK_NS (50 * SCALE_MS)
#define LOOK_PART 4

/* How long a worker waits for the others before it takes room for short */
#define WAIT_MS 2000

typedef struct Piece {
    PrefaultBacking b;
    int pool;                   /* index, or -1: it takes no memory */
} Piece;

struct PrefaultRoom {
    GArray *pieces;             /* of Piece, sorted; none overlap */
    PrefaultSpace *space;       /* files of theirs */

    QemuMutex lock;             /* protects the rest */
    QemuCond ended;             /* @in_work became less */
    PrefaultPools pools;
    bool begun;                 /* something was taken */
    bool exact;                 /* only absent pages are counted */
    uint64_t in_work;           /* of all pools */
    bool stuck;                 /* nobody has ended for WAIT_MS */
    int64_t looked_ns;
    uint64_t spare;             /* then, of the tightest limit */
    Error *refusal;             /* then, or NULL */
    uint64_t refused;           /* bytes that had no room */
    uint64_t taken;             /* since */
};

/* Pieces and pools */

static PrefaultPool *room_pool(const PrefaultRoom *room, int number)
{
    return &g_array_index(room->pools.array, PrefaultPool, number);
}

/*
 * Shared and private memory lie at the same addresses, and a huge page of the
 * one reaches into the other: each kind is sorted for itself.
 */
static int room_compare(const void *a, const void *b)
{
    const PrefaultBacking *x = a, *y = b;

    return x->is_private != y->is_private ? x->is_private - y->is_private
           : x->host < y->host ? -1 : x->host > y->host;
}

/* What of @b lies in the piece before it: a huge page of the host in two */
static uint64_t room_counted(const PrefaultRoom *room, const PrefaultBacking *b)
{
    const PrefaultBacking *last = room->pieces->len
        ? &g_array_index(room->pieces, Piece, room->pieces->len - 1).b : NULL;
    uint64_t behind = last && last->is_private == b->is_private
                      ? (uint8_t *)b->host - (uint8_t *)last->host
                      : UINT64_MAX;

    return last && behind < last->size ? MIN(last->size - behind, b->size) : 0;
}

static void room_add_piece(PrefaultRoom *room, const PrefaultBacking *b)
{
    Piece piece = {
        .b = *b,
        .pool = prefault_backing_takes_memory(b)
                ? prefault_pools_find(&room->pools, b) : -1,
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

/* A huge page of the host that lies in two backings counts once */
static void room_add_backing(PrefaultRoom *room, PrefaultBacking b)
{
    uint64_t counted = room_counted(room, &b);

    b.host += counted;
    b.fd_offset += counted;
    b.size -= counted;
    if (b.size) {
        room_add_piece(room, &b);
    }
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
    return sum - MIN(room_pool(room, number)->in_work, sum);
}

/* Private memory cannot be asked again: what is left of it is known */
static void room_count(PrefaultRoom *room)
{
    for (guint i = 0; i < room->pools.array->len; i++) {
        PrefaultPool *pool = room_pool(room, i);

        if (!room->exact || !pool->like.is_private) {
            pool->left = room_count_pool(room, i);
        }
    }
}

PrefaultRoom *prefault_room_new(const PrefaultBacking *backings,
                                size_t nr_backings, bool all, const char *root)
{
    PrefaultRoom *room = g_new0(PrefaultRoom, 1);
    g_autoptr(GArray) sorted =
        g_array_new(false, false, sizeof(PrefaultBacking));

    g_array_append_vals(sorted, backings, nr_backings);
    g_array_sort(sorted, room_compare);
    room->pools = (PrefaultPools) {
        .root = root,
        .all = all,
        .array = g_array_new(false, false, sizeof(PrefaultPool)),
    };
    room->pieces = g_array_new(false, false, sizeof(Piece));
    room->space = prefault_space_new();
    for (size_t i = 0; i < nr_backings; i++) {
        room_add_backing(room, g_array_index(sorted, PrefaultBacking, i));
    }
    room_count(room);
    qemu_mutex_init(&room->lock);
    qemu_cond_init(&room->ended);
    return room;
}

void prefault_room_free(PrefaultRoom *room)
{
    if (room) {
        error_free(room->refusal);
        qemu_cond_destroy(&room->ended);
        qemu_mutex_destroy(&room->lock);
        g_array_unref(room->pieces);
        g_array_unref(room->pools.array);
        prefault_space_free(room->space);
        g_free(room);
    }
}

/* Limits */

static void room_forget_refusal(PrefaultRoom *room)
{
    g_clear_pointer(&room->refusal, error_free);
}

/*
 * Look at all limits.  Only a lack of ordinary memory kills.  Without a huge
 * page, or space behind a file, populating fails cleanly, and what workers are
 * about to take cannot be told from what they have taken: these limits are
 * looked at once.
 */
static bool room_look(PrefaultRoom *room, Error **errp)
{
    bool ok = prefault_pools_suffice(&room->pools, !room->begun, &room->spare,
                                     errp) &&
              (room->begun || !room->pools.all ||
               prefault_space_suffices(room->space, errp));

    room->looked_ns = get_clock();
    room->taken = 0;
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
    room_forget_refusal(room);
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

/*
 * Returns NULL for memory that is not to be counted.  Each chunk asks, and a
 * guest can have very many pieces: virtio-mem may be plugged in here and there.
 */
static const Piece *room_find_piece(const PrefaultRoom *room, bool is_private,
                                    uint8_t *host)
{
    const PrefaultBacking wanted = { .is_private = is_private, .host = host };
    const Piece *found = NULL;
    guint low = 0, high = room->pieces->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        const Piece *piece = &g_array_index(room->pieces, Piece, middle);

        if (room_compare(&piece->b, &wanted) > 0) {
            high = middle;
        } else {
            found = piece;
            low = middle + 1;
        }
    }
    return found && found->b.is_private == is_private &&
           host - (uint8_t *)found->b.host < found->b.size ? found : NULL;
}

/* Where there is no room for some chunk there is none for the next one */
static bool room_has(PrefaultRoom *room, uint64_t cost, Error **errp)
{
    bool lately = get_clock() - room->looked_ns < LOOK_NS;
    bool ok = lately && room->taken < room->spare / LOOK_PART;

    if (!ok && !(lately && room->refusal && cost >= room->refused)) {
        room_forget_refusal(room);
        ok = room_look(room, &room->refusal);
        room->refused = cost;
    }
    if (!ok) {
        error_propagate(errp, error_copy(room->refusal));
    }
    return ok;
}

static void room_give_back(PrefaultRoom *room, const Piece *piece,
                           uint64_t cost)
{
    if (cost) {
        room_pool(room, piece->pool)->in_work -= cost;
        room->in_work -= cost;
    }
}

static bool room_take(PrefaultRoom *room, const Piece *piece, uint8_t *host,
                      uint64_t size, uint64_t *cost, Error **errp)
{
    PrefaultPool *pool = piece->pool < 0 ? NULL : room_pool(room, piece->pool);
    uint64_t left = pool ? pool->left : 0;

    *cost = room_cost(room, piece, host, size);
    if (*cost) {
        assert(pool);           /* a piece without one costs nothing */
        pool->in_work += *cost;
        pool->left -= MIN(*cost, left);
        room->in_work += *cost;
        room->taken += *cost;
    }
    if (room_has(room, *cost, errp)) {
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
static bool room_wait(PrefaultRoom *room)
{
    if (!room->in_work || room->stuck) {
        return false;
    }
    room->stuck = !qemu_cond_timedwait(&room->ended, &room->lock, WAIT_MS);
    return !room->stuck;
}

bool prefault_room_begin(PrefaultRoom *room, bool is_private, uint8_t *host,
                         uint64_t size, uint64_t *cost, Error **errp)
{
    const Piece *piece = room_find_piece(room, is_private, host);
    Error *err = NULL;

    *cost = 0;
    if (!piece) {
        return true;
    }
    QEMU_LOCK_GUARD(&room->lock);
    while (!room_take(room, piece, host, size, cost, &err)) {
        if (!room->exact) {
            room_count_exactly(room);
        } else if (!room_wait(room)) {
            error_propagate(errp, err);
            return false;
        }
        error_free(g_steal_pointer(&err));
    }
    return true;
}

void prefault_room_end(PrefaultRoom *room, bool is_private, uint8_t *host,
                       uint64_t cost)
{
    QEMU_LOCK_GUARD(&room->lock);
    room_give_back(room, room_find_piece(room, is_private, host), cost);
    room->stuck = false;
    room_forget_refusal(room);
    qemu_cond_broadcast(&room->ended);
}
