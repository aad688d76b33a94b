/*
 * A made-up host for tests of what memory the host has
 *
 * The host's figures are files of a directory that stands for / in paths below
 * /proc and /sys.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_PREFAULT_FAKE_HOST_H
#define TESTS_UNIT_PREFAULT_FAKE_HOST_H

#include <glib/gstdio.h>

/* The directory: between new_host() and free_host() */
static char *root;

/* Write a file of the host's, and make the folders that it is in */
static inline void put(const char *name, const char *text)
{
    g_autofree char *path = g_strconcat(root, name, NULL);
    g_autofree char *dir = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static inline void remove_tree(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    g_clear_pointer(&dir, g_dir_close);
    g_remove(path);
}

static inline void new_host(void)
{
    root = g_dir_make_tmp("prefault-host-XXXXXX", NULL);
    g_assert_nonnull(root);
}

static inline void free_host(void)
{
    remove_tree(root);
    g_clear_pointer(&root, g_free);
}

/* What the whole host has */
static inline void put_available(uint64_t bytes)
{
    g_autofree char *text = g_strdup_printf(
        "MemTotal: 5 kB\nMemAvailable:  %" PRIu64 " kB\n", bytes / 1024);

    put("/proc/meminfo", text);
}

#define V2 "31 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
#define V1 "40 31 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"

/* A file of a cgroup v2 */
static inline void put_cgroup_file(const char *path, const char *file,
                                   const char *text)
{
    g_autofree char *name = g_strdup_printf("/sys/fs/cgroup%s/%s", path, file);

    put(name, text);
}

/* A cgroup v2 with its limit and use */
static inline void put_cgroup(const char *path, const char *max,
                              const char *current, const char *stat)
{
    put("/proc/self/mountinfo", V2);
    put_cgroup_file(path, "memory.max", max);
    put_cgroup_file(path, "memory.current", current);
    put_cgroup_file(path, "memory.stat", stat);
}

/* QEMU is in a cgroup with nothing left */
static inline void put_full_cgroup(void)
{
    put("/proc/self/cgroup", "0::/vm\n");
    put_cgroup("/vm", "0\n", "0\n", "");
}

#endif /* TESTS_UNIT_PREFAULT_FAKE_HOST_H */
