/*
 * Changes of QEMU's memory map
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_CHANGES_H
#define HW_CORE_PREFAULT_CHANGES_H

#include "exec/hwaddr.h"

/**
 * prefault_changes_blocks_gone: how many RAMBlocks have gone away
 *
 * Host addresses of an older plan may be those of other memory since.
 *
 * Context: BQL.
 *
 * Returns: the number, since prefault_changes_watch().
 */
unsigned prefault_changes_blocks_gone(void);

/**
 * prefault_changes_watch: learn of changes of the memory map from now on
 * @changing: a change of some address space, or of dirty page logging, begins;
 *            called before an accelerator acts on it, with the gate closed
 * @logged: writes to some memory are no longer tracked
 *
 * Context: BQL; so are the callbacks.
 */
void prefault_changes_watch(void (*changing)(void),
                            void (*logged)(hwaddr start, uint64_t size));

#endif /* HW_CORE_PREFAULT_CHANGES_H */
