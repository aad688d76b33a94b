/*
 * Have file systems space for the files behind guest memory?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/statvfs.h>
#include "qapi/error.h"
#include "space.h"

/* A file, which takes space from its file system */
typedef struct File {
    struct stat st;
    int fd;
    uint64_t mapped;            /* bytes of it that are guest memory */
    const char *name;           /* of a RAM block, for a message */
} File;

struct PrefaultSpace {
    GArray *files;              /* of File */
};

PrefaultSpace *prefault_space_new(void)
{
    PrefaultSpace *space = g_new0(PrefaultSpace, 1);

    space->files = g_array_new(false, false, sizeof(File));
    return space;
}

void prefault_space_free(PrefaultSpace *space)
{
    if (space) {
        g_array_unref(space->files);
        g_free(space);
    }
}

void prefault_space_add(PrefaultSpace *space, int fd, uint64_t size,
                        const char *name)
{
    File file = { .fd = fd, .mapped = size, .name = name };

    if (fstat(fd, &file.st)) {
        return;
    }
    for (guint i = 0; i < space->files->len; i++) {
        File *other = &g_array_index(space->files, File, i);

        if (other->st.st_dev == file.st.st_dev &&
            other->st.st_ino == file.st.st_ino) {
            other->mapped += size;
            return;
        }
    }
    g_array_append_val(space->files, file);
}

/* Bytes that the file is still to take from its file system */
static uint64_t space_wanted(const File *file)
{
    struct stat st;
    uint64_t has = fstat(file->fd, &st) ? file->mapped
                                        : (uint64_t)st.st_blocks * 512;

    return file->mapped - MIN(has, file->mapped);
}

/* What all files of one file system want */
static uint64_t space_sum(const PrefaultSpace *space, dev_t dev)
{
    uint64_t sum = 0;

    for (guint i = 0; i < space->files->len; i++) {
        const File *file = &g_array_index(space->files, File, i);

        sum += file->st.st_dev == dev ? space_wanted(file) : 0;
    }
    return sum;
}

bool prefault_space_suffices(const PrefaultSpace *space, Error **errp)
{
    for (guint i = 0; i < space->files->len; i++) {
        const File *file = &g_array_index(space->files, File, i);
        uint64_t sum = space_sum(space, file->st.st_dev), free;
        struct statvfs fs;

        if (fstatvfs(file->fd, &fs) || !fs.f_blocks) {
            continue;
        }
        free = (uint64_t)fs.f_bavail * fs.f_frsize;
        if (sum > free) {
            error_setg(errp, "the file of memory '%s' takes %" PRIu64 " bytes "
                       "more, its file system has %" PRIu64 " free",
                       file->name, sum, free);
            return false;
        }
    }
    return true;
}
