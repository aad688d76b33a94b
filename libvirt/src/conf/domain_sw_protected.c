/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_sw_protected.c: <launchSecurity type='sw-protected' initialState=''/>
 */

#include <config.h>

#include "domain_sw_protected.h"
#include "virxml.h"

VIR_ENUM_IMPL(virDomainSwProtectedState,
              VIR_DOMAIN_SW_PROTECTED_STATE_LAST,
              "default",
              "private",
              "shared",
);


int
virDomainSwProtectedParse(xmlNodePtr node,
                          virDomainSwProtectedDef *def)
{
    unsigned int state = VIR_DOMAIN_SW_PROTECTED_STATE_DEFAULT;

    if (virXMLPropEnum(node, "initialState",
                       virDomainSwProtectedStateTypeFromString,
                       VIR_XML_PROP_NONZERO, &state) < 0)
        return -1;

    def->initial_state = state;
    return 0;
}


void
virDomainSwProtectedFormat(virBuffer *attributes,
                           const virDomainSwProtectedDef *def)
{
    if (def->initial_state != VIR_DOMAIN_SW_PROTECTED_STATE_DEFAULT)
        virBufferAsprintf(attributes, " initialState='%s'",
                          virDomainSwProtectedStateTypeToString(def->initial_state));
}
