/*
 * A guest that cannot go on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "hw/core/prefault-compat.h"
#include "qemu/error-report.h"
#include "system/runstate.h"
#include "system/kvm-prefault.h"
#include "stop.h"

void kvm_stop_report(const char *what, hwaddr gpa, uint64_t size,
                     uint64_t flags, const char *problem)
{
    MemoryRegionSection found = memory_region_find(get_system_memory(), gpa, 1);

    assert(bql_locked());
    error_report("%s: guest address 0x%" HWADDR_PRIx ", size 0x%" PRIx64
                 ", flags 0x%" PRIx64 ", memory region '%s': %s", what, gpa,
                 size, flags,
                 found.mr ? memory_region_name(found.mr) : "none", problem);
    if (found.mr) {
        memory_region_unref(found.mr);
    }
}

static void stop_request(void)
{
    qemu_system_vmstop_request_prepare();
    qemu_system_vmstop_request(RUN_STATE_INTERNAL_ERROR);
}

/* Acts once: after this stop and a reset the guest may run */
static void stop_started(void *opaque, bool running, RunState state)
{
    VMChangeStateEntry **handler = opaque;

    if (running) {
        stop_request();
        qemu_del_vm_change_state_handler(*handler);
        *handler = NULL;
    }
}

/* vm_stop() does nothing to a guest that does not run: stop it once it does */
static void stop_when_started(void)
{
    static VMChangeStateEntry *handler;

    if (!handler) {
        handler = qemu_add_vm_change_state_handler(stop_started, &handler);
    }
}

void kvm_prefault_stop_guest(void)
{
    assert(bql_locked());
    if (!phase_check(PHASE_MACHINE_READY)) {
        exit(EXIT_FAILURE);
    }
    if (runstate_is_running()) {
        stop_request();
    } else {
        stop_when_started();
    }
}
