/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_sw_protected.h: <launchSecurity type='sw-protected' initialState=''/>
 *
 * A guest with private memory (guest_memfd) on a host without confidential
 * hardware: for development and testing, nothing is protected.
 */

#pragma once

#include <libxml/tree.h>

#include "internal.h"
#include "virbuffer.h"
#include "virenum.h"

typedef enum {
    VIR_DOMAIN_SW_PROTECTED_STATE_DEFAULT = 0,
    VIR_DOMAIN_SW_PROTECTED_STATE_PRIVATE,
    VIR_DOMAIN_SW_PROTECTED_STATE_SHARED,

    VIR_DOMAIN_SW_PROTECTED_STATE_LAST
} virDomainSwProtectedState;

VIR_ENUM_DECL(virDomainSwProtectedState);

typedef struct _virDomainSwProtectedDef virDomainSwProtectedDef;
struct _virDomainSwProtectedDef {
    virDomainSwProtectedState initial_state;
};

/**
 * virDomainSwProtectedParse:
 * @node: the <launchSecurity> element
 * @def: what is read into
 *
 * Returns: 0, or -1 with an error reported if the attribute 'initialState' has
 * another value than private and shared.
 */
int virDomainSwProtectedParse(xmlNodePtr node,
                              virDomainSwProtectedDef *def);

/**
 * virDomainSwProtectedFormat:
 * @attributes: of the <launchSecurity> element; appended to
 * @def: what is written
 */
void virDomainSwProtectedFormat(virBuffer *attributes,
                                const virDomainSwProtectedDef *def);
