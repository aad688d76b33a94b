/*
 * The cgroups that QEMU is in, for those who look for a limit
 *
 * Every function reads /proc and /sys and changes nothing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_CGROUP_H
#define HW_CORE_PREFAULT_CGROUP_H

/**
 * prefault_cgroup_read: the text of a file
 * @format: of its path, as printf() takes it
 *
 * Returns: the text, for g_free(), or NULL.
 */
char *prefault_cgroup_read(const char *format, ...) G_GNUC_PRINTF(1, 2);

/**
 * prefault_cgroup_number: parse a text that is one number
 * @text: white space around the number is cut off; NULL is no number
 * @value: set if there is one
 *
 * Returns: false for "max", garbage or no text.
 */
bool prefault_cgroup_number(char *text, uint64_t *value);

/**
 * prefault_cgroup_climb: visit our cgroup and all above it
 * @root: prefix of /proc and /sys, "" but in tests
 * @controller: the controller whose hierarchy of v1 is climbed; NULL: v2's
 * @visit: called for each, ours first: @dir is its folder, with @root in front,
 *         @name its name as the mount shows it, "" for the mount's top
 * @opaque: handed to @visit
 *
 * Ends at the top of the mount: in a container that is not the hierarchy's.
 * Visits none if there is no such hierarchy, or none that can be seen.
 */
void prefault_cgroup_climb(const char *root, const char *controller,
                           void (*visit)(const char *dir, const char *name,
                                         void *opaque),
                           void *opaque);

#endif /* HW_CORE_PREFAULT_CGROUP_H */
