/*
 * Memory devices that are plugged into a guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "hw/core/prefault.h"
#include "hw/core/prefault-backend.h"
#include "hw/core/prefault-compat.h"
#include "background.h"
#include "due.h"
#include "memory-keep.h"
#include "memory.h"
#include "options.h"
#include "pins.h"

/* Not while the machine is made: setup.c looks at all of its memory at once */
static bool plug_is_late(void)
{
    return prefault_is_wanted() && phase_check(PHASE_MACHINE_READY) &&
           !prefault_due_is_exempt();
}

/*
 * The memory of an NVDIMM is a window into its backend's.  Returns NULL if it
 * is plugged in parts later, or is no RAM.
 */
static MemoryRegion *plug_ram(MemoryRegion *mr)
{
    while (mr->alias) {
        mr = mr->alias;
    }
    return memory_region_is_ram(mr) &&
           (!memory_region_has_ram_discard_manager(mr) ||
            memory_region_has_guest_memfd(mr)) ? mr : NULL;
}

static bool plug_has_room(MemoryRegion *mr, Error **errp)
{
    g_auto(PrefaultMemory) memory = {};
    g_autoptr(PrefaultRoom) room = NULL;
    g_autoptr(GArray) debts = NULL;

    if (!prefault_options_check()) {
        return true;
    }
    /* Room is needed for what is not taken yet, too: for all before a run */
    if (prefault_due_is_ready() && prefault_background_ledger()) {
        debts = prefault_ledger_debts(prefault_background_ledger());
    }
    prefault_memory_read_with(&memory, debts, mr);
    room = prefault_memory_room(&memory, true, 0);
    return prefault_room_suffices(room, errp);
}

static bool plug_can_be_pinned(MemoryRegion *mr, Error **errp)
{
    return prefault_options_keep() != PREFAULT_KEEP_LOCK || mr->readonly ||
           prefault_pins_may_add(memory_region_size(mr), errp);
}

bool prefault_refuse_plug(MemoryRegion *mr, Error **errp)
{
    assert(bql_locked());
    mr = plug_ram(mr);
    if (!mr || !plug_is_late() ||
        prefault_options_mode(NULL) != PREFAULT_MODE_ON ||
        (plug_has_room(mr, errp) && plug_can_be_pinned(mr, errp))) {
        return false;
    }
    error_prepend(errp, "prefault=on: ");
    return true;
}

/* A vCPU's memory is what it uses: all is looked at, and not only @mr */
static void plug_keep(void)
{
    g_auto(PrefaultMemory) memory = {};
    uint64_t balanced;

    prefault_memory_read(&memory, NULL);
    prefault_memory_keep(&memory, prefault_options_keep(), &balanced, NULL);
}

void prefault_plugged(MemoryRegion *mr, uint64_t addr)
{
    assert(bql_locked());
    if (!plug_is_late()) {
        return;
    }
    plug_keep();
    prefault_owe(PREFAULT_OWED_REASON_PLUGGED, addr, memory_region_size(mr),
                 PREFAULT_REST_MS);
    prefault_due_plugged();
}
