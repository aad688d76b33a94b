/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_prefault.h: <features><kvm><prefault state='on|off|auto'/>
 *
 * The element asks the hypervisor to map guest memory before the guest runs.
 * Its state is kept in virDomainFeatureKVM.features[VIR_DOMAIN_KVM_PREFAULT],
 * which is an int, and is 0 if the element is absent.
 */

#pragma once

#include <libxml/tree.h>

#include "internal.h"
#include "virbuffer.h"
#include "virenum.h"

typedef enum {
    VIR_DOMAIN_PREFAULT_ABSENT = 0,
    VIR_DOMAIN_PREFAULT_ON,
    VIR_DOMAIN_PREFAULT_OFF,
    VIR_DOMAIN_PREFAULT_AUTO,

    VIR_DOMAIN_PREFAULT_LAST
} virDomainPrefault;

VIR_ENUM_DECL(virDomainPrefault);

/**
 * virDomainPrefaultParse:
 * @node: the <prefault> element
 * @state: where its virDomainPrefault goes
 *
 * Returns: 0, or -1 with an error reported if the attribute 'state' is missing
 * or has another value than on, off and auto.
 */
int virDomainPrefaultParse(xmlNodePtr node,
                           int *state);

/**
 * virDomainPrefaultFormat:
 * @buf: where the element goes
 * @state: a virDomainPrefault; nothing is written if it is absent
 */
void virDomainPrefaultFormat(virBuffer *buf,
                             virDomainPrefault state);

/**
 * virDomainPrefaultCheckABIStability:
 * @src: virDomainPrefault of the domain as it runs or was saved
 * @dst: virDomainPrefault of the XML that is to replace it
 *
 * As with the other features of KVM, save, restore and migration keep the
 * state: who starts the domain anew may change it.
 *
 * Returns: true if both are the same, otherwise false with an error reported.
 */
bool virDomainPrefaultCheckABIStability(virDomainPrefault src,
                                        virDomainPrefault dst);
