/*
 * What the first touch of memory that is mapped in advance still costs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef ACCEL_KVM_PREFAULT_FIRST_TOUCH_H
#define ACCEL_KVM_PREFAULT_FIRST_TOUCH_H

#include "qapi/qapi-types-prefault.h"

/**
 * kvm_first_touch_exits: what a guest on this host still exits for
 *
 * KVM tells by the parameters of its modules, of which nx_huge_pages can be
 * turned at any time.
 *
 * Context: BQL.
 *
 * Returns: a list for qapi_free_PrefaultExitList(); NULL if there is nothing,
 * or the parameters cannot be read.
 */
PrefaultExitList *kvm_first_touch_exits(void);

#endif /* ACCEL_KVM_PREFAULT_FIRST_TOUCH_H */
