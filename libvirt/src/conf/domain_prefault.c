/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_prefault.c: <features><kvm><prefault state='on|off|auto'/>
 */

#include <config.h>

#include "domain_prefault.h"
#include "virerror.h"
#include "virxml.h"

#define VIR_FROM_THIS VIR_FROM_DOMAIN

VIR_ENUM_IMPL(virDomainPrefault,
              VIR_DOMAIN_PREFAULT_LAST,
              "default",
              "on",
              "off",
              "auto",
);


int
virDomainPrefaultParse(xmlNodePtr node,
                       int *state)
{
    unsigned int value;

    /* NONZERO: "default" is what the absent element is called in messages */
    if (virXMLPropEnum(node, "state", virDomainPrefaultTypeFromString,
                       VIR_XML_PROP_REQUIRED | VIR_XML_PROP_NONZERO,
                       &value) < 0)
        return -1;

    *state = value;
    return 0;
}


void
virDomainPrefaultFormat(virBuffer *buf,
                        virDomainPrefault state)
{
    if (state != VIR_DOMAIN_PREFAULT_ABSENT)
        virBufferAsprintf(buf, "<prefault state='%s'/>\n",
                          virDomainPrefaultTypeToString(state));
}


bool
virDomainPrefaultCheckABIStability(virDomainPrefault src,
                                   virDomainPrefault dst)
{
    if (src == dst)
        return true;

    virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                   _("State of KVM feature 'prefault' differs: source: '%1$s', destination: '%2$s'"),
                   virDomainPrefaultTypeToString(src),
                   virDomainPrefaultTypeToString(dst));
    return false;
}
