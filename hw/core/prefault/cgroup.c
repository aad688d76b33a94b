/*
 * The cgroups that QEMU is in, for those who look for a limit
 *
 * Formats are those of Linux, Documentation/admin-guide/cgroup-v2.rst,
 * cgroup-v1/cgroups.rst and filesystems/proc.rst.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "cgroup.h"

char *prefault_cgroup_read(const char *format, ...)
{
    g_autofree char *path = NULL;
    char *text = NULL;
    va_list args;

    va_start(args, format);
    path = g_strdup_vprintf(format, args);
    va_end(args);
    return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

bool prefault_cgroup_number(char *text, uint64_t *value)
{
    uint64_t number;

    /* It takes "-1" for the largest number, and sets 12 for "12 cows" */
    if (!text || *g_strstrip(text) == '-' ||
        qemu_strtou64(text, NULL, 10, &number)) {
        return false;
    }
    *value = number;
    return true;
}

/* Is @word one of a list of words with commas between? */
static bool cgroup_list_has(const char *list, const char *word)
{
    g_auto(GStrv) words = g_strsplit(list, ",", -1);

    return g_strv_contains((const char *const *)words, word);
}

/*
 * Our path in the hierarchy of a controller, or in that of v2 if @controller is
 * NULL: /proc/self/cgroup has lines "ID:CONTROLLERS:PATH".
 */
static char *cgroup_path(const char *root, const char *controller)
{
    g_autofree char *text = prefault_cgroup_read("%s/proc/self/cgroup", root);
    g_auto(GStrv) lines = g_strsplit(text ?: "", "\n", -1);

    for (char **line = lines; *line; line++) {
        g_auto(GStrv) field = g_strsplit(*line, ":", 3);

        if (g_strv_length(field) == 3 &&
            (controller ? cgroup_list_has(field[1], controller)
                        : g_str_equal(field[0], "0") && !*field[1])) {
            return g_strdup(field[2]);
        }
    }
    return NULL;
}

/* The part of @path below @top, "" if they are equal; NULL if it is outside */
static const char *cgroup_path_below(const char *path, const char *top)
{
    size_t len = g_str_equal(top, "/") ? 0 : strlen(top);

    return strncmp(path, top, len) == 0 && (path[len] == '/' || !path[len])
           ? path + len : NULL;
}

/*
 * The mount point of that hierarchy under which @path can be seen, and in @name
 * the name of @path below it: /proc/self/mountinfo has lines
 * "ID PARENT DEV TOP POINT ... - TYPE SRC OPTS".
 */
static char *cgroup_mount(const char *root, const char *controller,
                          const char *path, char **name)
{
    g_autofree char *text =
        prefault_cgroup_read("%s/proc/self/mountinfo", root);
    g_auto(GStrv) lines = g_strsplit(text ?: "", "\n", -1);

    for (char **line = lines; *line; line++) {
        g_auto(GStrv) halves = g_strsplit(*line, " - ", 2);
        g_auto(GStrv) where = NULL, what = NULL;

        if (g_strv_length(halves) != 2) {
            continue;
        }
        where = g_strsplit(halves[0], " ", -1);
        what = g_strsplit(halves[1], " ", -1);
        if (g_strv_length(where) > 4 && g_strv_length(what) > 2 &&
            (controller ? g_str_equal(what[0], "cgroup") &&
                              cgroup_list_has(what[2], controller)
                        : g_str_equal(what[0], "cgroup2")) &&
            cgroup_path_below(path, where[3])) {
            *name = g_strdup(cgroup_path_below(path, where[3]));
            return g_strdup(where[4]);
        }
    }
    return NULL;
}

void prefault_cgroup_climb(const char *root, const char *controller,
                           void (*visit)(const char *dir, const char *name,
                                         void *opaque),
                           void *opaque)
{
    g_autofree char *path = cgroup_path(root, controller);
    g_autofree char *mount = NULL, *name = NULL;
    char *slash;

    if (!path || strstr(path, "..")) {
        return;
    }
    mount = cgroup_mount(root, controller, path, &name);
    while (mount) {
        g_autofree char *dir = g_strconcat(root, mount, name, NULL);

        visit(dir, name, opaque);
        slash = strrchr(name, '/');
        if (!slash) {
            return;
        }
        *slash = 0;
    }
}
