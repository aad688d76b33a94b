/*
 * Real memory of this process, for tests of what populating it takes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_PREFAULT_REAL_MEMORY_H
#define TESTS_UNIT_PREFAULT_REAL_MEMORY_H

#include <sys/mman.h>
#include "qapi/error.h"
#include "qemu/memfd.h"
#include "qemu/units.h"
#include "../../hw/core/prefault/room.h"

#define SIZE (8 * MiB)
#define HUGE_PAGE (2 * MiB)

static inline PrefaultBacking map_memory(int fd, int flags)
{
    void *host = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);

    g_assert_true(host != MAP_FAILED);
    /* A huge page would be present as a whole */
    madvise(host, SIZE, MADV_NOHUGEPAGE);
    return (PrefaultBacking) {
        .name = "ram",
        .host = host,
        .size = SIZE,
        .page_size = qemu_real_host_page_size(),
        .fd = fd,
        .shared = flags & MAP_SHARED,
    };
}

static inline PrefaultBacking map_anonymous(void)
{
    return map_memory(-1, MAP_PRIVATE | MAP_ANONYMOUS);
}

static inline PrefaultBacking map_memfd(int flags)
{
    return map_memory(qemu_memfd_create("prefault-test", SIZE, false, 0, 0,
                                        &error_abort), flags);
}

/* A file without a block, in the folder for temporary files */
static inline PrefaultBacking map_sparse_file(int flags)
{
    g_autofree char *name = NULL;
    int fd = g_file_open_tmp("prefault-file-XXXXXX", &name, NULL);

    g_assert_cmpint(fd, >=, 0);
    unlink(name);
    g_assert_cmpint(ftruncate(fd, SIZE), ==, 0);
    return map_memory(fd, flags);
}

/* A character device stands for device DAX */
static inline PrefaultBacking map_device(void)
{
    int fd = open("/dev/zero", O_RDWR);

    g_assert_cmpint(fd, >=, 0);
    return map_memory(fd, MAP_SHARED);
}

static inline void unmap_memory(PrefaultBacking *b)
{
    munmap(b->host, SIZE);
    if (b->fd >= 0) {
        close(b->fd);
    }
}

/* What so much ordinary memory takes with its page tables and the reserve */
static inline uint64_t with_tables(uint64_t bytes)
{
    return bytes + bytes / 512 + PREFAULT_ROOM_RESERVE;
}

/* What is said where a limit does not suffice */
static inline char *refusal_new(uint64_t bytes, const char *limit)
{
    return g_strdup_printf("guest memory takes %" PRIu64 " bytes more, %s",
                           bytes, limit);
}

#endif /* TESTS_UNIT_PREFAULT_REAL_MEMORY_H */
