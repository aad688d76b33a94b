/*
 * Guest memory is pinned, so that the host can do nothing to it
 *
 * Each RAMBlock has some rings, because the kernel pins one buffer of a ring at
 * a time: as many as threads that pin its memory, and more where one is full.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/resource.h>
#include "qapi/error.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "qemu/units.h"
#include "exec/cpu-common.h"
#include "hw/core/prefault-compat.h"
#include "pins.h"
#include "plan.h"
#include "ring.h"
#include "spans.h"

/* Where all buffers are chunks of a plan, half of a ring's slots stay empty */
#define SLOT_BYTES (PREFAULT_CHUNK_SIZE / 2)

/* Tries to pin a piece, and the time between two */
#define AGAIN_MAX 20
#define AGAIN_USEC 10000

#define OPTION "prefault-keep=lock: "

typedef struct PinsBlock {
    uint8_t *host;
    GPtrArray *rings;           /* not full, and no thread uses them now */
    GPtrArray *full;            /* a large block has thousands */
    PrefaultSpans *pinned;      /* host addresses */
} PinsBlock;

static struct {
    bool set_up;                /* does not change once it is true */
    QemuMutex lock;             /* protects the rest */
    bool wanted;
    unsigned ended;             /* how often prefault_pins_end() was called */
    uint64_t bytes_wanted;
    Error *refusal;             /* why that failed */
    GPtrArray *blocks;
} pins;

static void pins_block_free(void *opaque)
{
    PinsBlock *block = opaque;

    g_ptr_array_unref(block->rings);
    g_ptr_array_unref(block->full);
    prefault_spans_free(block->pinned);
    g_free(block);
}

static uint64_t pins_bytes_locked(void)
{
    uint64_t bytes = 0;

    for (guint i = 0; i < pins.blocks->len; i++) {
        const PinsBlock *block = g_ptr_array_index(pins.blocks, i);

        bytes += prefault_spans_bytes(block->pinned);
    }
    return bytes;
}

uint64_t prefault_pins_bytes(void)
{
    if (!pins.set_up) {
        return 0;
    }
    QEMU_LOCK_GUARD(&pins.lock);
    return pins_bytes_locked();
}

static PinsBlock *pins_find_block(const uint8_t *host, guint *index)
{
    for (guint i = 0; i < pins.blocks->len; i++) {
        PinsBlock *block = g_ptr_array_index(pins.blocks, i);

        if (block->host == host) {
            *index = i;
            return block;
        }
    }
    return NULL;
}

static PinsBlock *pins_block(uint8_t *host)
{
    guint index;
    PinsBlock *block = pins_find_block(host, &index);

    if (!block) {
        block = g_new0(PinsBlock, 1);
        block->host = host;
        block->rings = g_ptr_array_new_with_free_func(
            (GDestroyNotify)prefault_ring_free);
        block->full = g_ptr_array_new_with_free_func(
            (GDestroyNotify)prefault_ring_free);
        block->pinned = prefault_spans_new();
        g_ptr_array_add(pins.blocks, block);
    }
    return block;
}

/* Returns a ring for the caller alone, or NULL if there is none */
static PrefaultRing *pins_take_ring(PinsBlock *block)
{
    return block->rings->len
           ? g_ptr_array_steal_index_fast(block->rings, block->rings->len - 1)
           : NULL;
}

static void pins_put_ring(PinsBlock *block, PrefaultRing *ring)
{
    g_ptr_array_add(prefault_ring_is_full(ring) ? block->full : block->rings,
                    ring);
}

static void pins_set_limit_error(uint64_t bytes, uint64_t pinned, Error **errp)
{
    struct rlimit limit = {};

    getrlimit(RLIMIT_MEMLOCK, &limit);
    error_setg(errp, OPTION "%" PRIu64 " bytes of guest memory are to be "
               "pinned, %" PRIu64 " are, and RLIMIT_MEMLOCK is %" PRIu64
               " for all processes of this user: raise it (ulimit -l, "
               "LimitMEMLOCK=, libvirt: <memtune><hard_limit>), or use "
               "prefault-keep=on, which pins nothing", bytes, pinned,
               (uint64_t)limit.rlim_cur);
}

static const char *pins_guess(int err)
{
    switch (err) {
    case EOPNOTSUPP:
    case EFAULT:
        return " (a file of a file system other than tmpfs and hugetlbfs?)";
    case ENOMEM:
        return " (RLIMIT_MEMLOCK of all processes of this user, or memory "
               "that the host cannot move out of the way?)";
    default:
        return "";
    }
}

static void pins_set_error(uint64_t host, uint64_t size, int err, Error **errp)
{
    uint64_t pinned = pins_bytes_locked();

    if (err == ENOMEM && !prefault_ring_fits(pinned + size)) {
        pins_set_limit_error(pins.bytes_wanted, pinned, errp);
    } else {
        error_setg_errno(errp, err, OPTION "%" PRIu64 " bytes at host address "
                         "0x%" PRIx64 " cannot be pinned%s", size, host,
                         pins_guess(err));
    }
}

/*
 * What was unlocked a moment ago may count still, and what has to be moved
 * first may be in use for a moment: try again, unless the limit is clear
 */
static int pins_pin(PrefaultRing *ring, uint64_t start, uint64_t size)
{
    int ret, tries = 0;

    do {
        ret = prefault_ring_pin(ring, (void *)(uintptr_t)start, size);
        if (ret != -ENOMEM ||
            !prefault_ring_fits(prefault_pins_bytes() + size)) {
            break;
        }
        g_usleep(AGAIN_USEC);
    } while (++tries < AGAIN_MAX);
    return ret;
}

/*
 * Returns false with an error.  Without the lock while the kernel pins, which
 * takes long.
 */
static bool pins_add_gap(uint8_t *block_host, uint64_t block_size,
                         uint64_t start, uint64_t end, Error **errp)
{
    unsigned ended = pins.ended;
    PrefaultRing *ring = pins_take_ring(pins_block(block_host));
    int ret;

    qemu_mutex_unlock(&pins.lock);
    ring = ring ?: prefault_ring_new(block_size / SLOT_BYTES + 1, errp);
    ret = ring ? pins_pin(ring, start, end - start) : 0;
    qemu_mutex_lock(&pins.lock);

    if (!ring) {
        error_prepend(errp, OPTION);
        return false;
    }
    if (!pins.wanted || ended != pins.ended) {
        prefault_ring_free(ring);
        return true;
    }
    pins_put_ring(pins_block(block_host), ring);
    if (ret) {
        pins_set_error(start, end - start, -ret, errp);
        if (ret == -ENOMEM && !pins.refusal) {
            /* Each further try would pin the pages first */
            pins.refusal = error_copy(*errp);
        }
        return false;
    }
    prefault_spans_add(pins_block(block_host)->pinned, start, end);
    return true;
}

/* The caller's plan keeps the block alive */
static bool pins_find_memory(void *host, uint8_t **start, uint64_t *size,
                             uint64_t *page)
{
    ram_addr_t offset;
    RAMBlock *rb;

    RCU_READ_LOCK_GUARD();
    rb = qemu_ram_block_from_host(host, false, &offset);
    if (rb) {
        *start = qemu_ram_get_host_addr(rb);
        *size = qemu_ram_get_max_length(rb);
        *page = qemu_ram_pagesize(rb);
    }
    return rb;
}

bool prefault_pins_add(void *host, uint64_t size, Error **errp)
{
    uint64_t start = (uintptr_t)host, end = start + size, block_size, page;
    uint64_t first, last;
    uint8_t *block_host;

    if (!pins.set_up ||
        !pins_find_memory(host, &block_host, &block_size, &page)) {
        return true;
    }
    start = QEMU_ALIGN_DOWN(start, page);
    end = QEMU_ALIGN_UP(end, page);
    QEMU_LOCK_GUARD(&pins.lock);
    if (pins.refusal) {
        error_propagate(errp, error_copy(pins.refusal));
        return false;
    }
    for (first = start, last = end; pins.wanted &&
         prefault_spans_gap(pins_block(block_host)->pinned, &first, &last);
         first = start, last = end) {
        if (!pins_add_gap(block_host, block_size, first, last, errp)) {
            return false;
        }
    }
    return true;
}

bool prefault_pins_have(const void *host, uint64_t size)
{
    if (!pins.set_up) {
        return true;
    }
    QEMU_LOCK_GUARD(&pins.lock);
    for (guint i = 0; pins.wanted && i < pins.blocks->len; i++) {
        PinsBlock *block = g_ptr_array_index(pins.blocks, i);
        uint64_t start = (uintptr_t)host, end = start + size;

        if (!prefault_spans_gap(block->pinned, &start, &end)) {
            return true;
        }
    }
    return !pins.wanted && !pins.refusal;
}

/* The pages would stay taken for as long as they are pinned */
static void pins_ram_block_removed(RAMBlockNotifier *notifier, void *host,
                                   size_t size, size_t max_size)
{
    guint index;

    QEMU_LOCK_GUARD(&pins.lock);
    if (pins_find_block(host, &index)) {
        g_ptr_array_remove_index_fast(pins.blocks, index);
    }
}

static void pins_set_up(void)
{
    static RAMBlockNotifier notifier = {
        .ram_block_removed = pins_ram_block_removed,
    };

    if (!pins.set_up) {
        qemu_mutex_init(&pins.lock);
        pins.blocks = g_ptr_array_new_with_free_func(pins_block_free);
        pins.set_up = true;
        ram_block_notifier_add(&notifier);
    }
}

static bool pins_fit(uint64_t bytes, Error **errp)
{
    bool fit = prefault_ring_fits(bytes);

    if (!fit) {
        pins_set_limit_error(bytes, prefault_pins_bytes(), errp);
    }
    return fit;
}

static bool pins_may_open(uint64_t bytes, Error **errp)
{
    struct rlimit limit = {};
    uint64_t files;

    if (prefault_ring_may_open(bytes, &files)) {
        return true;
    }
    getrlimit(RLIMIT_NOFILE, &limit);
    error_setg(errp, OPTION "to pin %" PRIu64 " bytes of guest memory takes %"
               PRIu64 " file descriptors, and RLIMIT_NOFILE allows %" PRIu64
               ": raise it (ulimit -n, LimitNOFILE=, libvirt: max_files), or "
               "use prefault-keep=on, which pins nothing", bytes, files,
               (uint64_t)limit.rlim_max);
    return false;
}

/* Returns false with an error if there is no hope */
static bool pins_try(uint64_t bytes, Error **errp)
{
    PrefaultRing *ring = prefault_ring_new(1, errp);

    if (!ring) {
        error_prepend(errp, OPTION);
        return false;
    }
    prefault_ring_free(ring);
    if (!pins_fit(bytes, errp) || !pins_may_open(bytes, errp)) {
        return false;
    }
    /* As VFIO: a device that says what it discards has nothing pinned */
    if (!pins.wanted && ram_block_uncoordinated_discard_disable(true)) {
        error_setg(errp, OPTION "a device has to discard guest memory; "
                   "prefault-keep=on lets it");
        return false;
    }
    return true;
}

bool prefault_pins_begin(uint64_t bytes, Error **errp)
{
    Error *refusal = NULL;
    bool possible;

    assert(bql_locked());
    pins_set_up();
    possible = pins_try(bytes, &refusal);
    QEMU_LOCK_GUARD(&pins.lock);
    error_free(pins.refusal);
    pins.refusal = refusal;
    pins.bytes_wanted = bytes;
    pins.wanted |= possible;
    if (!possible) {
        error_propagate(errp, error_copy(refusal));
    }
    return possible;
}

bool prefault_pins_may_add(uint64_t bytes, Error **errp)
{
    assert(bql_locked());
    return pins_fit(MAX(pins.bytes_wanted, prefault_pins_bytes()) + bytes,
                    errp);
}

void prefault_pins_end(void)
{
    assert(bql_locked());
    if (!pins.set_up) {
        return;
    }
    QEMU_LOCK_GUARD(&pins.lock);
    g_clear_pointer(&pins.refusal, error_free);
    if (pins.wanted) {
        pins.wanted = false;
        pins.ended++;
        g_ptr_array_set_size(pins.blocks, 0);
        ram_block_uncoordinated_discard_disable(false);
    }
}
