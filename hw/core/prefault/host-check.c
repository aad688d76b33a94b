/*
 * Does the host have enough memory to populate the guest's?
 *
 * Guarantees: never refuses a guest that would have fitted, as far as the
 * host's figures tell; needs the same little memory for any size of guest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include "qapi/error.h"
#include "qemu/bitmap.h"
#include "qemu/units.h"
#include "host-check.h"
#include "host-limits.h"

/* Bytes whose pages are asked for in one call */
#define WINDOW (256 * MiB)

/* Bits of an entry of /proc/self/pagemap */
#define PAGEMAP_PRESENT BIT_ULL(63)
#define PAGEMAP_SWAPPED BIT_ULL(62)
#define PAGEMAP_OF_FILE BIT_ULL(61)

/* Memory that is to come from the same pool and the same nodes */
typedef struct Need {
    uint64_t bytes;
    size_t huge_page;           /* bytes; 0 for ordinary memory */
    bool reserved;              /* in the hugetlb pool */
    const unsigned long *nodes; /* NULL: any */
    unsigned max_node;
} Need;

/* Space that one file takes from its file system */
typedef struct FileNeed {
    dev_t dev;
    ino_t ino;
    uint64_t mapped;            /* bytes of it that are guest memory */
    uint64_t allocated;
    uint64_t left;              /* in the file system */
    const char *name;           /* of a RAM block, for a message */
} FileNeed;

/* Pages of a window that are not in memory; if mincore() fails assume all */
static size_t check_absent_pages(uint8_t *host, size_t size, size_t page)
{
    g_autofree unsigned char *present = g_malloc(size / page);
    size_t absent = 0;

    if (mincore(host, size, present)) {
        return size / page;
    }
    for (size_t i = 0; i < size / page; i++) {
        absent += !(present[i] & 1);
    }
    return absent;
}

/*
 * Pages of a window that are still the file's, and need memory when they are
 * written.  None if pagemap cannot be read: a guess could refuse a guest that
 * fits.
 */
static size_t check_uncopied_pages(uint8_t *host, size_t size, size_t page,
                                   int pagemap)
{
    size_t count = size / page, uncopied = 0;
    g_autofree uint64_t *entries = g_new(uint64_t, count);

    if (pread(pagemap, entries, count * sizeof(*entries),
              (uintptr_t)host / page * sizeof(*entries)) !=
        count * sizeof(*entries)) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        uncopied += !(entries[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) ||
                    (entries[i] & PAGEMAP_OF_FILE);
    }
    return uncopied;
}

/* Bytes of a backing that are not present yet: every page is looked at */
static uint64_t check_backing_absent(const PrefaultBacking *b)
{
    size_t page = qemu_real_host_page_size();
    bool copies = b->fd >= 0 && !b->shared;
    int pagemap = copies ? open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)
                         : -1;
    uint64_t pages = 0;

    for (uint64_t at = 0; at < b->size; at += WINDOW) {
        uint8_t *host = (uint8_t *)b->host + at;
        size_t size = MIN(WINDOW, b->size - at);

        pages += copies ? check_uncopied_pages(host, size, page, pagemap)
                        : check_absent_pages(host, size, page);
    }
    if (pagemap >= 0) {
        close(pagemap);
    }
    return pages * page;
}

static bool check_same_nodes(const Need *need, const PrefaultBacking *b)
{
    return need->nodes == b->nodes ||
           (need->nodes && b->nodes && need->max_node == b->max_node &&
            bitmap_equal(need->nodes, b->nodes, b->max_node));
}

static void check_add_memory(GArray *needs, const PrefaultBacking *b,
                             bool exact)
{
    size_t huge_page = b->page_size > qemu_real_host_page_size()
                       ? b->page_size : 0;
    Need need = {
        .bytes = exact ? check_backing_absent(b) : b->size,
        .huge_page = huge_page,
        .reserved = b->reserved,
        .nodes = b->nodes,
        .max_node = b->max_node,
    };

    for (guint i = 0; i < needs->len; i++) {
        Need *other = &g_array_index(needs, Need, i);

        if (other->huge_page == huge_page && check_same_nodes(other, b) &&
            other->reserved == b->reserved) {
            other->bytes += need.bytes;
            return;
        }
    }
    g_array_append_val(needs, need);
}

static void check_add_file(GArray *files, const PrefaultBacking *b)
{
    struct statvfs fs;
    struct stat st;
    FileNeed need;

    /*
     * A file system without a limit, as memfd's, says that it has no block.  A
     * file that cannot be asked is no limit: populating then fails cleanly.
     */
    if (fstat(b->fd, &st) || fstatvfs(b->fd, &fs) || !fs.f_blocks ||
        !S_ISREG(st.st_mode)) {
        return;
    }
    for (guint i = 0; i < files->len; i++) {
        FileNeed *other = &g_array_index(files, FileNeed, i);

        if (other->dev == st.st_dev && other->ino == st.st_ino) {
            other->mapped += b->size;
            return;
        }
    }
    need = (FileNeed) {
        .dev = st.st_dev,
        .ino = st.st_ino,
        .mapped = b->size,
        .allocated = (uint64_t)st.st_blocks * 512,
        .left = (uint64_t)fs.f_bavail * fs.f_frsize,
        .name = b->name,
    };
    g_array_append_val(files, need);
}

/* Is it a file whose pages are page cache that can be written back? */
static bool check_is_on_disk(const PrefaultBacking *b)
{
    struct statfs fs;

    return b->fd >= 0 && b->shared && !fstatfs(b->fd, &fs) &&
           fs.f_type != TMPFS_MAGIC && fs.f_type != HUGETLBFS_MAGIC;
}

/* Compare the bytes that are needed with one limit */
static bool check_fits(uint64_t bytes, const PrefaultLimit *limit, Error **errp)
{
    if (bytes <= limit->bytes) {
        return true;
    }
    error_setg(errp, "guest memory takes %" PRIu64 " bytes more, %s", bytes,
               limit->of);
    return false;
}

static bool check_fits_nodes(const char *root, const Need *need, Error **errp)
{
    g_auto(PrefaultLimit) limit = { .bytes = UINT64_MAX };

    if (need->huge_page) {
        prefault_limit_hugetlb_nodes(root, need->huge_page, need->nodes,
                                     need->max_node, &limit);
    } else {
        prefault_limit_nodes(root, need->nodes, need->max_node, &limit);
    }
    return check_fits(need->bytes, &limit, errp);
}

/* The sum over all needs that share a pool, if this is the first of them */
static uint64_t check_sum_of_pool(const GArray *needs, guint first,
                                  bool unreserved)
{
    const Need *of = &g_array_index(needs, Need, first);
    uint64_t sum = 0;

    for (guint i = 0; i < needs->len; i++) {
        const Need *need = &g_array_index(needs, Need, i);

        if (need->huge_page == of->huge_page) {
            if (i < first) {
                return 0;
            }
            sum += unreserved && need->reserved ? 0 : need->bytes;
        }
    }
    return sum;
}

static bool check_fits_pool(const char *root, const GArray *needs, guint i,
                            Error **errp)
{
    size_t huge_page = g_array_index(needs, Need, i).huge_page;
    g_auto(PrefaultLimit) cgroup = {}, host = {};

    prefault_limit_cgroup(root, huge_page, &cgroup);
    if (!check_fits(check_sum_of_pool(needs, i, false), &cgroup, errp)) {
        return false;
    }
    if (huge_page) {
        prefault_limit_hugetlb(root, huge_page, &host);
    } else {
        prefault_limit_host(root, &host);
    }
    return check_fits(check_sum_of_pool(needs, i, huge_page), &host, errp);
}

static bool check_fits_memory(const char *root, const GArray *needs,
                              Error **errp)
{
    for (guint i = 0; i < needs->len; i++) {
        const Need *need = &g_array_index(needs, Need, i);

        if (need->nodes && !check_fits_nodes(root, need, errp)) {
            return false;
        }
        if (!check_fits_pool(root, needs, i, errp)) {
            return false;
        }
    }
    return true;
}

static uint64_t check_file_needs(const FileNeed *file)
{
    return file->mapped - MIN(file->allocated, file->mapped);
}

static bool check_fits_files(const GArray *files, Error **errp)
{
    for (guint i = 0; i < files->len; i++) {
        const FileNeed *file = &g_array_index(files, FileNeed, i);
        uint64_t sum = 0;

        for (guint j = 0; j < files->len; j++) {
            const FileNeed *other = &g_array_index(files, FileNeed, j);

            sum += other->dev == file->dev ? check_file_needs(other) : 0;
        }
        if (sum > file->left) {
            error_setg(errp, "the file of memory '%s' takes %" PRIu64 " bytes "
                       "more, its file system has %" PRIu64 " free",
                       file->name, sum, file->left);
            return false;
        }
    }
    return true;
}

/* @exact: count the pages that are present; false: assume that none is */
static bool check_needs(const PrefaultBacking *backings, size_t nr_backings,
                        const char *root, bool exact, Error **errp)
{
    g_autoptr(GArray) needs = g_array_new(false, false, sizeof(Need));
    g_autoptr(GArray) files = g_array_new(false, false, sizeof(FileNeed));

    for (size_t i = 0; i < nr_backings; i++) {
        const PrefaultBacking *b = &backings[i];

        if (!check_is_on_disk(b)) {
            check_add_memory(needs, b, exact);
        }
        if (b->fd >= 0 && b->shared && b->page_size ==
            qemu_real_host_page_size()) {
            check_add_file(files, b);
        }
    }
    return check_fits_memory(root, needs, errp) &&
           check_fits_files(files, errp);
}

bool prefault_host_check(const PrefaultBacking *backings, size_t nr_backings,
                         const char *root, Error **errp)
{
    /*
     * Most hosts have enough for all pages, so try that first: it takes no look
     * at each page.  Its error is dropped, for the exact check decides.
     */
    return check_needs(backings, nr_backings, root, false, NULL) ||
           check_needs(backings, nr_backings, root, true, errp);
}
