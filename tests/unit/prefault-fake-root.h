/*
 * A folder that stands for /proc and /sys in tests of what is read there
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_PREFAULT_FAKE_ROOT_H
#define TESTS_UNIT_PREFAULT_FAKE_ROOT_H

#include <glib/gstdio.h>

static char *root;

/* A file below the root; also the folders that it is in */
static inline void root_put(const char *name, const char *text)
{
    g_autofree char *path = g_strconcat(root, name, NULL);
    g_autofree char *dir = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static inline void root_remove(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        root_remove(child);
    }
    g_clear_pointer(&dir, g_dir_close);
    g_remove(path);
}

static inline void root_new(void)
{
    root = g_dir_make_tmp("prefault-root-XXXXXX", NULL);
    g_assert_nonnull(root);
}

static inline void root_free(void)
{
    root_remove(root);
    g_clear_pointer(&root, g_free);
}

#endif /* TESTS_UNIT_PREFAULT_FAKE_ROOT_H */
