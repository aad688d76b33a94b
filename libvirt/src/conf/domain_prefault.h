/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_prefault.h: <features><kvm><prefault state='on|off|auto|background'/>
 *
 * The element asks the hypervisor to map guest memory before the guest runs.
 * Its state is kept in virDomainFeatureKVM.features[VIR_DOMAIN_KVM_PREFAULT],
 * which is an int, and is 0 if the element is absent; its other attributes in
 * virDomainFeatureKVM.prefault.
 *
 * The guest sees nothing of any of it, so nothing of it is guest ABI: who
 * restores or migrates a domain may change it.
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
    VIR_DOMAIN_PREFAULT_BACKGROUND,

    VIR_DOMAIN_PREFAULT_LAST
} virDomainPrefault;

VIR_ENUM_DECL(virDomainPrefault);

typedef enum {
    VIR_DOMAIN_PREFAULT_SLOT_ZAP_ALL_DEFAULT = 0,
    VIR_DOMAIN_PREFAULT_SLOT_ZAP_ALL_ON,
    VIR_DOMAIN_PREFAULT_SLOT_ZAP_ALL_OFF,
    VIR_DOMAIN_PREFAULT_SLOT_ZAP_ALL_AUTO,

    VIR_DOMAIN_PREFAULT_SLOT_ZAP_ALL_LAST
} virDomainPrefaultSlotZapAll;

VIR_ENUM_DECL(virDomainPrefaultSlotZapAll);

typedef enum {
    VIR_DOMAIN_PREFAULT_KEEP_DEFAULT = 0,
    VIR_DOMAIN_PREFAULT_KEEP_ON,
    VIR_DOMAIN_PREFAULT_KEEP_OFF,
    VIR_DOMAIN_PREFAULT_KEEP_AUTO,
    VIR_DOMAIN_PREFAULT_KEEP_LOCK,

    VIR_DOMAIN_PREFAULT_KEEP_LAST
} virDomainPrefaultKeep;

VIR_ENUM_DECL(virDomainPrefaultKeep);

typedef enum {
    VIR_DOMAIN_PREFAULT_RESTORE_DEFAULT = 0,
    VIR_DOMAIN_PREFAULT_RESTORE_HOLD,
    VIR_DOMAIN_PREFAULT_RESTORE_BACKGROUND,
    VIR_DOMAIN_PREFAULT_RESTORE_NONE,
    VIR_DOMAIN_PREFAULT_RESTORE_AUTO,

    VIR_DOMAIN_PREFAULT_RESTORE_LAST
} virDomainPrefaultRestore;

VIR_ENUM_DECL(virDomainPrefaultRestore);

/* The attributes beside 'state'; each is 0 if it is absent */
typedef struct _virDomainPrefaultDef virDomainPrefaultDef;
struct _virDomainPrefaultDef {
    unsigned int threads;
    virDomainPrefaultSlotZapAll slotZapAll;
    virDomainPrefaultKeep keep;
    virDomainPrefaultRestore restore;
};

/**
 * virDomainPrefaultParse:
 * @node: the <prefault> element
 * @state: where its virDomainPrefault goes
 * @def: where its other attributes go
 *
 * Returns: 0, or -1 with an error reported if the attribute 'state' is missing
 * or an attribute has none of its values.
 */
int virDomainPrefaultParse(xmlNodePtr node,
                           int *state,
                           virDomainPrefaultDef *def);

/**
 * virDomainPrefaultFormat:
 * @buf: where the element goes
 * @state: a virDomainPrefault; nothing is written if it is absent
 * @def: the element's other attributes
 */
void virDomainPrefaultFormat(virBuffer *buf,
                             virDomainPrefault state,
                             const virDomainPrefaultDef *def);
