/*
 * What populating guest memory takes from the host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include "qemu/bitops.h"
#include "qemu/host-utils.h"
#include "qemu/units.h"
#include "backing.h"
#include "residency.h"

/* Bytes whose pages are asked for in one call */
#define WINDOW (256 * MiB)

/* Bits of an entry of /proc/self/pagemap: Linux, admin-guide/mm/pagemap.rst */
#define PAGEMAP_PRESENT BIT_ULL(63)
#define PAGEMAP_SWAPPED BIT_ULL(62)
#define PAGEMAP_OF_FILE BIT_ULL(61)
#define PAGEMAP_EXCLUSIVE BIT_ULL(56)

/* Pages of a window that are not in memory; if mincore() fails assume all */
static size_t backing_absent_pages(uint8_t *host, size_t size, size_t page)
{
    size_t count = size / page, words = DIV_ROUND_UP(count, 8), present = 0;
    /* A byte a page; those behind the last page stay 0 */
    g_autofree uint64_t *vec = g_new0(uint64_t, words);

    if (mincore(host, size, (unsigned char *)vec)) {
        return count;
    }
    for (size_t i = 0; i < words; i++) {
        present += ctpop64(vec[i] & 0x0101010101010101ULL);
    }
    return count - present;
}

static bool backing_read_pagemap(uint64_t *entries, size_t first, size_t count)
{
    size_t size = count * sizeof(*entries);
    int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && pread(fd, entries, size,
                               first * sizeof(*entries)) == size;

    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/*
 * A write takes memory unless the page is ours alone: not absent, nor a page of
 * the file, the zero page that a read left there, or one that KSM has merged.
 * What is in swap takes as much as it gives back.
 */
static bool backing_page_is_ours(uint64_t entry)
{
    return entry & PAGEMAP_PRESENT
           ? (entry & PAGEMAP_EXCLUSIVE) && !(entry & PAGEMAP_OF_FILE)
           : entry & PAGEMAP_SWAPPED;
}

/* Pages of a window of a private mapping that take memory when written */
static size_t backing_unwritten_pages(uint8_t *host, size_t size, size_t page)
{
    size_t count = size / page, unwritten = 0;
    g_autofree uint64_t *entries = g_new(uint64_t, count);

    if (!backing_read_pagemap(entries, (uintptr_t)host / page, count)) {
        return backing_absent_pages(host, size, page);
    }
    for (size_t i = 0; i < count; i++) {
        unwritten += !backing_page_is_ours(entries[i]);
    }
    return unwritten;
}

static bool backing_is_file(const PrefaultBacking *b)
{
    struct stat st;

    return b->fd >= 0 && fstat(b->fd, &st) == 0 && S_ISREG(st.st_mode);
}

static bool backing_file_is_in_memory(const PrefaultBacking *b)
{
    struct statfs fs;

    return fstatfs(b->fd, &fs) || fs.f_type == TMPFS_MAGIC ||
           fs.f_type == HUGETLBFS_MAGIC;
}

/*
 * A write to a hole of a file of tmpfs or memfd that is mapped private takes a
 * page of the file, and its copy (Linux, mm/memory.c, do_cow_fault())
 */
static bool backing_takes_twice(const PrefaultBacking *b)
{
    return backing_is_file(b) && !b->shared && backing_file_is_in_memory(b) &&
           b->page_size == qemu_real_host_page_size();
}

/* Memory of a device is the device's; page cache of a disk is written back */
bool prefault_backing_takes_memory(const PrefaultBacking *b)
{
    return b->fd < 0 || (backing_is_file(b) &&
                         (!b->shared || backing_file_is_in_memory(b)));
}

/* A private mapping of a file on a disk allocates none of it */
bool prefault_backing_takes_space(const PrefaultBacking *b)
{
    return backing_is_file(b) && (b->shared || backing_takes_twice(b)) &&
           b->page_size == qemu_real_host_page_size();
}

/* Nobody can be asked about private memory: its first bytes are taken first */
static uint64_t backing_private_cost(const PrefaultBacking *b, uint8_t *host,
                                     uint64_t size)
{
    uint64_t offset = host - (uint8_t *)b->host;
    uint64_t taken = b->private_taken - MIN(offset, b->private_taken);

    return size - MIN(taken, size);
}

/* How far does the file go from @offset on without a page? */
static uint64_t backing_file_hole(int fd, uint64_t offset, uint64_t size)
{
    off_t data;

    if (fd < 0) {
        return 0;               /* anonymous memory that is shared */
    }
    data = lseek(fd, offset, SEEK_DATA);
    if (data < 0) {
        return errno == ENXIO ? size : 0;
    }
    return MIN(data - offset, size);
}

/*
 * Bytes from @at on of which the host has nothing.  A guest that has just been
 * made has terabytes of that, and to ask for each page would take a minute.
 */
static uint64_t backing_hole(const PrefaultBacking *b, uint64_t at,
                             uint64_t size, bool twice)
{
    uint64_t hole = b->shared || twice
        ? backing_file_hole(b->fd, b->fd_offset + at, size) : size;

    if (hole && !b->shared) {
        hole = prefault_residency_hole(b->host + at, hole);
    }
    return QEMU_ALIGN_DOWN(hole, qemu_real_host_page_size());
}

/* Pages of a window that take memory when written */
static uint64_t backing_window_pages(const PrefaultBacking *b, uint8_t *host,
                                     size_t size, bool twice)
{
    size_t page = qemu_real_host_page_size();

    return (b->shared ? 0 : backing_unwritten_pages(host, size, page)) +
           (b->shared || twice ? backing_absent_pages(host, size, page) : 0);
}

uint64_t prefault_backing_cost(const PrefaultBacking *b, uint8_t *host,
                               uint64_t size, bool exact)
{
    size_t page = qemu_real_host_page_size();
    bool twice = backing_takes_twice(b);
    uint64_t pages = 0;

    if (b->is_private) {
        return backing_private_cost(b, host, size);
    }
    if (!exact) {
        return twice ? 2 * size : size;
    }
    for (uint64_t at = host - (uint8_t *)b->host, end = at + size; at < end;) {
        size_t part = MIN(WINDOW, end - at);
        uint64_t hole = part == WINDOW ? backing_hole(b, at, end - at, twice)
                                       : 0;

        if (hole > part) {
            pages += hole / page * (twice ? 2 : 1);
            at += hole;
        } else {
            pages += backing_window_pages(b, b->host + at, part, twice);
            at += part;
        }
    }
    return pages * page;
}
