/*
 * Prefault where the host is not Linux: there is none
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-prefault.h"
#include "hw/core/prefault.h"

void prefault_machine_class_init(ObjectClass *oc)
{
}

bool prefault_hold_start(bool step_pending)
{
    return false;
}

bool prefault_hold_resume(void)
{
    return false;
}

bool prefault_is_holding(void)
{
    return false;
}

void prefault_cancel_start(void)
{
}

bool prefault_give_start_up(void)
{
    return false;
}

void prefault_wake_when_started(void)
{
}

void prefault_returned(RAMBlock *rb, uint64_t offset, uint64_t size)
{
}

bool prefault_refuse_dump(Error **errp)
{
    return false;
}

bool prefault_refuse_plug(MemoryRegion *mr, Error **errp)
{
    return false;
}

void prefault_plugged(MemoryRegion *mr, uint64_t addr)
{
}

bool prefault_before_pinning(const AddressSpace *as, Error **errp)
{
    return true;
}

void prefault_restoring(QIOChannel *channel)
{
}

PrefaultInfo *qmp_query_prefault(Error **errp)
{
    PrefaultInfo *info = g_new0(PrefaultInfo, 1);

    info->mode = PREFAULT_MODE_OFF;
    info->status = PREFAULT_STATUS_NONE;
    return info;
}

void qmp_prefault_start(Error **errp)
{
    error_setg(errp, "Prefault takes a Linux host");
}

void qmp_prefault_cancel(Error **errp)
{
    error_setg(errp, "No prefault run is under way");
}

void qmp_prefault_unlock(Error **errp)
{
    error_setg(errp, "Nothing is locked: prefault takes a Linux host");
}
