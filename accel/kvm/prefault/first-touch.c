/*
 * What the first touch of memory that is mapped in advance still costs
 *
 * Neither can be helped from here.  Without accessed bits KVM makes in advance
 * what cannot be used before the first access has marked it (Linux,
 * arch/x86/kvm/mmu/spte.c, make_spte() with prefetch).  A second call of
 * KVM_PRE_FAULT_MEMORY would mark it for reads and execution, but never for
 * writes, which each page of a guest sees sooner or later.  And no call maps a
 * page as one that is executed, so with nx_huge_pages none makes it small.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "first-touch.h"

static const struct {
    const char *path;
    char value;                 /* the first character that it has then */
} first_touch_parameters[PREFAULT_EXIT__MAX] = {
    [PREFAULT_EXIT_EXECUTION] = {
        "/sys/module/kvm/parameters/nx_huge_pages", 'Y'
    },
    [PREFAULT_EXIT_ACCESS_TRACKING] = {
        "/sys/module/kvm_intel/parameters/eptad", 'N'
    },
};

PrefaultExitList *kvm_first_touch_exits(void)
{
    PrefaultExitList *list = NULL, **tail = &list;

    assert(bql_locked());
    for (int i = 0; i < PREFAULT_EXIT__MAX; i++) {
        g_autofree char *text = NULL;

        if (g_file_get_contents(first_touch_parameters[i].path, &text, NULL,
                                NULL) &&
            text[0] == first_touch_parameters[i].value) {
            QAPI_LIST_APPEND(tail, i);
        }
    }
    return list;
}
