/*
 * KVM's side of prefault
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef SYSTEM_KVM_PREFAULT_H
#define SYSTEM_KVM_PREFAULT_H

#include "qom/object.h"

/**
 * kvm_prefault_class_init: give the KVM accelerator its prefault property
 * @oc: class of the KVM accelerator
 *
 * Context: class initialisation.
 */
void kvm_prefault_class_init(ObjectClass *oc);

#endif /* SYSTEM_KVM_PREFAULT_H */
