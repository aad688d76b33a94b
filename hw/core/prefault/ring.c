/*
 * An io_uring that pins memory, and does nothing else
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "qapi/error.h"
#include "qemu/bitops.h"
#include "qemu/units.h"
#include "cgroup.h"
#include "plan.h"
#include "ring.h"
#include "trace.h"

/*
 * The kernel makes 16384 at most, and looks for each huge page in all that the
 * ring has already (Linux, io_uring/rsrc.c, headpage_already_acct())
 */
#define SLOTS_MAX (4 * KiB)

/*
 * For all else that QEMU opens: disks, connections, vCPUs, and rings that are
 * not full, one for each thread that pins a block of memory
 */
#define FILES_ELSE 256

/*
 * Linux 5.13 and, for sparse tables, 5.19, include/uapi/linux/io_uring.h: each
 * kernel that can map in advance has them, the headers that QEMU is built with
 * may not.
 */
#define RING_REGISTER_BUFFERS 15
#define RING_REGISTER_UPDATE 16
#define RING_SPARSE 1

typedef struct RingTable {
    uint32_t slots;
    uint32_t flags;
    uint64_t unused[3];
} RingTable;

typedef struct RingUpdate {
    uint32_t slot;
    uint32_t unused;
    uint64_t buffers;           /* address of an array of struct iovec */
    uint64_t tags;
    uint32_t nr_buffers;
    uint32_t unused_too;
} RingUpdate;

struct PrefaultRing {
    int fd;
    unsigned slots;
    unsigned used;
};

PrefaultRing *prefault_ring_new(uint64_t slots, Error **errp)
{
    RingTable table = { .slots = MIN(slots, SLOTS_MAX), .flags = RING_SPARSE };
    PrefaultRing *ring;
    struct io_uring_params params = {};
    int fd = syscall(SYS_io_uring_setup, 1, &params);

    if (fd < 0 || syscall(SYS_io_uring_register, fd, RING_REGISTER_BUFFERS,
                          &table, sizeof(table)) < 0) {
        bool forbidden = errno == EPERM || errno == EACCES || errno == ENOSYS;

        error_setg_errno(errp, errno, "no io_uring to pin memory%s; "
                         "prefault-keep=on needs none", forbidden
                         ? " (kernel.io_uring_disabled, or a container's "
                         "seccomp filter?)" : "");
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    ring = g_new0(PrefaultRing, 1);
    ring->fd = fd;
    ring->slots = table.slots;
    return ring;
}

void prefault_ring_free(PrefaultRing *ring)
{
    close(ring->fd);
    g_free(ring);
}

bool prefault_ring_is_full(const PrefaultRing *ring)
{
    return ring->used == ring->slots;
}

int prefault_ring_pin(PrefaultRing *ring, void *host, uint64_t size)
{
    struct iovec buffer = { .iov_base = host, .iov_len = size };
    RingUpdate update = {
        .slot = ring->used, .buffers = (uintptr_t)&buffer, .nr_buffers = 1,
    };
    /* Returns the number of slots that were filled */
    int ret = syscall(SYS_io_uring_register, ring->fd, RING_REGISTER_UPDATE,
                      &update, sizeof(update));

    ret = ret < 0 ? -errno : 0;
    ring->used += !ret;
    trace_prefault_ring_pin(host, size, ret);
    return ret;
}

/* The kernel asks for the right in the first user namespace */
static bool ring_is_limited(void)
{
    g_autofree char *ids = prefault_cgroup_read("/proc/self/uid_map");
    g_autofree char *text = prefault_cgroup_read("/proc/self/status");
    const char *field = text ? strstr(text, "CapEff:") : NULL;
    uint64_t rights, count;

    return !ids || sscanf(ids, " 0 0 %" SCNu64, &count) != 1 ||
           count != UINT32_MAX || !field ||
           sscanf(field, "CapEff: %" SCNx64, &rights) != 1 ||
           !(rights & BIT_ULL(CAP_IPC_LOCK));
}

bool prefault_ring_fits(uint64_t bytes)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur >= bytes ||
           !ring_is_limited();
}

bool prefault_ring_may_open(uint64_t bytes, uint64_t *files)
{
    struct rlimit limit;

    *files = DIV_ROUND_UP(bytes, SLOTS_MAX * PREFAULT_CHUNK_SIZE);
    /* At its start QEMU has raised the soft limit to the hard one */
    return getrlimit(RLIMIT_NOFILE, &limit) ||
           limit.rlim_cur > *files + FILES_ELSE;
}
