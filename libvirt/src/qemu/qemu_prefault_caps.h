/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qemu_prefault_caps.h: whether a QEMU, and this host, can prefault
 */

#pragma once

#include "qemu_capabilities.h"
#include "qemu_monitor.h"

/**
 * qemuPrefaultProbe:
 * @qemuCaps: of a QEMU that runs without a machine to be asked; its commands
 *            are known
 * @mon: its monitor
 *
 * Sets QEMU_CAPS_PREFAULT_MAP if QEMU has prefault and the host's KVM maps
 * memory in advance (KVM_CAP_PRE_FAULT_MEMORY).  libvirt asks again once the
 * kernel is another one.  No answer is no error.
 */
void qemuPrefaultProbe(virQEMUCaps *qemuCaps,
                       qemuMonitor *mon);

/**
 * qemuPrefaultFillDomainCaps:
 * @qemuCaps: of the QEMU that @domCaps are about
 * @domCaps: gets <prefault> with the states that this host can do; nothing, if
 *           QEMU has no prefault
 */
void qemuPrefaultFillDomainCaps(virQEMUCaps *qemuCaps,
                                virDomainCaps *domCaps);
