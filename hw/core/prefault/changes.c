/*
 * Changes of QEMU's memory map, as they happen, so that the memory core needs
 * no hook
 *
 * All state is protected by the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "hw/core/prefault-compat.h"
#include "changes.h"
#include "gate.h"

static unsigned changes_gone;       /* RAMBlocks */
static void (*changes_changing)(void);
static void (*changes_logged)(hwaddr start, uint64_t size);

/*
 * Any change counts, wherever it is: deleting one memslot can cost the mappings
 * of all.
 */
static void changes_begin(MemoryListener *listener)
{
    prefault_gate_close();
    changes_changing();
}

/*
 * Logging has split mappings into small pages, and some kernels drop these when
 * it ends: the memory is mapped again
 */
static void changes_log_stop(MemoryListener *listener,
                             MemoryRegionSection *section, int old, int new)
{
    if (old && !new) {
        changes_logged(section->offset_within_address_space,
                       int128_get64(section->size));
    }
}

/* Another one may come to lie at its host address, and at its guest address */
static void changes_removed(RAMBlockNotifier *notifier, void *host, size_t size,
                            size_t max_size)
{
    changes_gone++;
}

unsigned prefault_changes_blocks_gone(void)
{
    assert(bql_locked());
    return changes_gone;
}

void prefault_changes_watch(void (*changing)(void),
                            void (*logged)(hwaddr start, uint64_t size))
{
    static MemoryListener watcher = {
        .name = "prefault-watch",
        .begin = changes_begin,
        .log_stop = changes_log_stop,
    };
    static RAMBlockNotifier gone = { .ram_block_removed = changes_removed };

    assert(bql_locked());
    ram_block_notifier_add(&gone);
    changes_changing = changing;
    changes_logged = logged;
    memory_listener_register(&watcher, &address_space_memory);
}
