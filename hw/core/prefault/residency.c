/*
 * Which memory of QEMU the host has
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "residency.h"
#include <sys/ioctl.h>
#include <linux/fs.h>

/*
 * Linux 6.7, Documentation/admin-guide/mm/pagemap.rst: every kernel that can
 * map in advance has it, the headers that QEMU is built with may not.
 */
#ifndef PAGEMAP_SCAN
#define PAGE_IS_FILE (1 << 2)
#define PAGE_IS_PRESENT (1 << 3)
#define PAGE_IS_SWAPPED (1 << 4)
#define PAGE_IS_PFNZERO (1 << 5)

struct page_region {
    uint64_t start;
    uint64_t end;
    uint64_t categories;
};

struct pm_scan_arg {
    uint64_t size;
    uint64_t flags;
    uint64_t start;
    uint64_t end;
    uint64_t walk_end;
    uint64_t vec;
    uint64_t vec_len;
    uint64_t max_pages;
    uint64_t category_inverted;
    uint64_t category_mask;
    uint64_t category_anyof_mask;
    uint64_t return_mask;
};

#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
#endif

/* /proc/self/pagemap, or -1 */
static int residency_pagemap = -1;

bool prefault_residency_set_up(void)
{
    assert(bql_locked());
    residency_pagemap = qemu_open_old("/proc/self/pagemap", O_RDONLY);
    return residency_pagemap >= 0;
}

/* Returns 1 and the first region that @scan's categories select, 0 or -1 */
static int residency_scan(int fd, void *host, uint64_t size,
                          struct pm_scan_arg scan, struct page_region *found)
{
    scan.size = sizeof(scan);
    scan.start = (uintptr_t)host;
    scan.end = (uintptr_t)host + size;
    scan.vec = (uintptr_t)found;
    scan.vec_len = 1;
    return ioctl(fd, PAGEMAP_SCAN, &scan);
}

bool prefault_residency_extent(void *host, uint64_t size, bool *present,
                               uint64_t *same, bool *anonymous)
{
    struct page_region found = {};
    struct pm_scan_arg scan = {
        .category_mask = PAGE_IS_PRESENT | PAGE_IS_PFNZERO,
        .category_inverted = PAGE_IS_PFNZERO,
        .return_mask = PAGE_IS_PRESENT | PAGE_IS_FILE,
    };
    uint64_t start = (uintptr_t)host;
    int regions = residency_scan(residency_pagemap, host, size, scan, &found);

    if (regions < 0) {
        return false;
    }
    *present = regions && found.start == start;
    *same = *present ? found.end - start : regions ? found.start - start : size;
    *anonymous = !(found.categories & PAGE_IS_FILE);
    return true;
}

uint64_t prefault_residency_hole(void *host, uint64_t size)
{
    struct page_region found = {};
    struct pm_scan_arg scan = {
        .max_pages = 1,
        .category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
        .return_mask = PAGE_IS_PRESENT,
    };
    /* Memory is counted before prefault_residency_set_up(), too */
    int fd = qemu_open_old("/proc/self/pagemap", O_RDONLY);
    int regions = residency_scan(fd, host, size, scan, &found);

    if (fd >= 0) {
        close(fd);
    }
    return regions < 0 ? 0 : regions ? found.start - (uintptr_t)host : size;
}
