/*
 * What a run still takes from the host, by the kind of its pages
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "host-limits.h"
#include "pools.h"

/* Host page tables take so much of ordinary memory: 8 bytes for 4 KiB */
#define BYTES_PER_TABLE_BYTE 512

/* A limit that leaves so much more than is wanted cannot be short soon */
#define PLENTY GiB

/* The pools that one limit is for */
typedef struct Share {
    size_t huge_page;
    const unsigned long *nodes; /* bound to no other nodes; NULL: all */
    bool unreserved;            /* only hugetlb pages that are not set aside */
    bool pinned;                /* only what cannot go to swap */
} Share;

/* A look at the limits */
typedef struct Look {
    const PrefaultPools *pools;
    uint64_t spare;             /* of the tightest limit so far */
    Error **errp;
} Look;

static bool pools_are_alike(const PrefaultBacking *a, const PrefaultBacking *b)
{
    return a->page_size == b->page_size && a->reserved == b->reserved &&
           a->is_private == b->is_private && a->is_bound == b->is_bound &&
           a->is_pinned == b->is_pinned &&
           bitmap_equal(a->nodes, b->nodes, PREFAULT_NODES_MAX);
}

int prefault_pools_find(PrefaultPools *pools, const PrefaultBacking *b)
{
    PrefaultPool pool = {
        .like = *b,
        .huge_page = b->page_size > qemu_real_host_page_size() ? b->page_size
                                                               : 0,
    };

    for (guint i = 0; i < pools->array->len; i++) {
        if (pools_are_alike(&g_array_index(pools->array, PrefaultPool, i).like,
                            b)) {
            return i;
        }
    }
    g_array_append_val(pools->array, pool);
    return pools->array->len - 1;
}

static bool pools_is_in_share(const PrefaultPool *pool, const Share *share)
{
    DECLARE_BITMAP(others, PREFAULT_NODES_MAX);

    return pool->huge_page == share->huge_page &&
           !(share->unreserved && pool->like.reserved) &&
           !(share->pinned && !pool->like.is_pinned) &&
           (!share->nodes || (pool->like.is_bound &&
                              !bitmap_andnot(others, pool->like.nodes,
                                             share->nodes,
                                             PREFAULT_NODES_MAX)));
}

/* What is wanted of a share, with host page tables and a reserve for QEMU */
static uint64_t pools_sum(const PrefaultPools *pools, const Share *share)
{
    uint64_t sum = 0;

    for (guint i = 0; i < pools->array->len; i++) {
        const PrefaultPool *pool =
            &g_array_index(pools->array, PrefaultPool, i);

        if (pools_is_in_share(pool, share)) {
            sum += pool->in_work + (pools->all ? pool->left : 0);
        }
    }
    return sum && !share->huge_page
           ? sum + sum / BYTES_PER_TABLE_BYTE + PREFAULT_ROOM_RESERVE : sum;
}

static bool pools_fit(Look *look, uint64_t bytes, const PrefaultLimit *limit)
{
    if (bytes > limit->bytes) {
        error_setg(look->errp, "guest memory takes %" PRIu64 " bytes more, %s",
                   bytes, limit->of);
        return false;
    }
    look->spare = MIN(look->spare, limit->bytes - bytes);
    return true;
}

static bool pools_fit_nodes(Look *look, Share share)
{
    g_auto(PrefaultLimit) limit = { .bytes = UINT64_MAX };
    uint64_t bytes = pools_sum(look->pools, &share);

    if (!bytes) {
        return true;
    }
    if (share.huge_page) {
        prefault_limit_hugetlb_nodes(look->pools->root, share.huge_page,
                                     share.nodes, &limit);
    } else {
        prefault_limit_nodes(look->pools->root, share.nodes, !share.pinned,
                             &limit);
    }
    return pools_fit(look, bytes, &limit);
}

static bool pools_fit_hugetlb(Look *look, Share share)
{
    g_auto(PrefaultLimit) cgroup = {}, host = {};
    uint64_t bytes = pools_sum(look->pools, &share);

    if (!bytes) {
        return true;
    }
    share.unreserved = true;
    prefault_limit_hugetlb_cgroup(look->pools->root, share.huge_page, &cgroup);
    prefault_limit_hugetlb(look->pools->root, share.huge_page, &host);
    return pools_fit(look, bytes, &cgroup) &&
           pools_fit(look, pools_sum(look->pools, &share), &host);
}

static bool pools_fit_memory(Look *look, Share share)
{
    g_auto(PrefaultLimit) cgroup = {}, host = {};
    uint64_t bytes = pools_sum(look->pools, &share);

    if (!bytes) {
        return true;
    }
    prefault_limit_memory_cgroup(look->pools->root, bytes + PLENTY,
                                 !share.pinned, &cgroup);
    prefault_limit_host(look->pools->root, !share.pinned, &host);
    return pools_fit(look, bytes, &cgroup) && pools_fit(look, bytes, &host);
}

/*
 * The limits that @pool shares with others.  What cannot go to swap has to fit
 * where all fits, and also without swap.
 */
static bool pools_fit_pool(Look *look, const PrefaultPool *pool)
{
    Share all = { .huge_page = pool->huge_page };
    Share near = { .huge_page = pool->huge_page, .nodes = pool->like.nodes };

    if (pool->huge_page) {
        return (!pool->like.is_bound || pools_fit_nodes(look, near)) &&
               pools_fit_hugetlb(look, all);
    }
    for (int pinned = 0; pinned <= pool->like.is_pinned; pinned++) {
        all.pinned = near.pinned = pinned;
        if ((pool->like.is_bound && !pools_fit_nodes(look, near)) ||
            !pools_fit_memory(look, all)) {
            return false;
        }
    }
    return true;
}

/* Has an earlier pool the same limits? */
static bool pools_were_looked_at(const PrefaultPools *pools, guint number)
{
    const PrefaultPool *pool =
        &g_array_index(pools->array, PrefaultPool, number);

    for (guint i = 0; i < number; i++) {
        const PrefaultPool *p = &g_array_index(pools->array, PrefaultPool, i);

        if (p->huge_page == pool->huge_page &&
            p->like.is_pinned >= pool->like.is_pinned &&
            (!pool->like.is_bound ||
             bitmap_equal(p->like.nodes, pool->like.nodes,
                          PREFAULT_NODES_MAX))) {
            return true;
        }
    }
    return false;
}

bool prefault_pools_suffice(const PrefaultPools *pools, bool huge,
                            uint64_t *spare, Error **errp)
{
    Look look = { .pools = pools, .spare = UINT64_MAX, .errp = errp };

    *spare = 0;
    for (guint i = 0; i < pools->array->len; i++) {
        const PrefaultPool *pool =
            &g_array_index(pools->array, PrefaultPool, i);

        if ((huge || !pool->huge_page) && !pools_were_looked_at(pools, i) &&
            !pools_fit_pool(&look, pool)) {
            return false;
        }
    }
    *spare = look.spare;
    return true;
}
