/*
 * Have file systems space for the files behind guest memory?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_SPACE_H
#define HW_CORE_PREFAULT_SPACE_H

/* Files that are guest memory */
typedef struct PrefaultSpace PrefaultSpace;

/**
 * prefault_space_new: no file yet
 *
 * Context: any thread.
 *
 * Returns: for prefault_space_free().
 */
PrefaultSpace *prefault_space_new(void);

/**
 * prefault_space_free: forget the files
 * @space: nobody uses it any more; NULL does nothing
 */
void prefault_space_free(PrefaultSpace *space);

/**
 * prefault_space_add: a part of a file is guest memory
 * @space: the files
 * @fd: the file; not closed as long as @space lives
 * @size: bytes of that part
 * @name: of the RAM block, for a message; lives as long
 *
 * A file that cannot be asked is no limit: populating then fails cleanly.
 *
 * Context: any thread, before anybody asks prefault_space_suffices().
 */
void prefault_space_add(PrefaultSpace *space, int fd, uint64_t size,
                        const char *name);

/**
 * prefault_space_suffices: can all files be allocated in full?
 * @space: the files
 * @errp: set if not: a sentence without full stop, with the bytes needed and
 *        those that are free
 *
 * A file system without a limit, as memfd's, says that it has no block.
 *
 * Context: any thread.
 *
 * Returns: false if some file system has not enough space.
 */
bool prefault_space_suffices(const PrefaultSpace *space, Error **errp);

#endif /* HW_CORE_PREFAULT_SPACE_H */
