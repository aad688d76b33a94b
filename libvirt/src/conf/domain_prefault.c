/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain_prefault.c: <features><kvm><prefault state='on|off|auto|background'/>
 */

#include <config.h>

#include "domain_prefault.h"
#include "virxml.h"

#define VIR_FROM_THIS VIR_FROM_DOMAIN

VIR_ENUM_IMPL(virDomainPrefault,
              VIR_DOMAIN_PREFAULT_LAST,
              "default",
              "on",
              "off",
              "auto",
              "background",
);

VIR_ENUM_IMPL(virDomainPrefaultSlotZapAll,
              VIR_DOMAIN_PREFAULT_SLOT_ZAP_ALL_LAST,
              "default",
              "on",
              "off",
              "auto",
);

VIR_ENUM_IMPL(virDomainPrefaultKeep,
              VIR_DOMAIN_PREFAULT_KEEP_LAST,
              "default",
              "on",
              "off",
              "auto",
              "lock",
);

VIR_ENUM_IMPL(virDomainPrefaultRestore,
              VIR_DOMAIN_PREFAULT_RESTORE_LAST,
              "default",
              "hold",
              "background",
              "none",
              "auto",
);


int
virDomainPrefaultParse(xmlNodePtr node,
                       int *state,
                       virDomainPrefaultDef *def)
{
    unsigned int value;

    /* NONZERO: "default" stands for the absent element or attribute */
    if (virXMLPropEnum(node, "state", virDomainPrefaultTypeFromString,
                       VIR_XML_PROP_REQUIRED | VIR_XML_PROP_NONZERO,
                       &value) < 0 ||
        virXMLPropUInt(node, "threads", 10, VIR_XML_PROP_NONZERO,
                       &def->threads) < 0 ||
        virXMLPropEnum(node, "slotZapAll",
                       virDomainPrefaultSlotZapAllTypeFromString,
                       VIR_XML_PROP_NONZERO, &def->slotZapAll) < 0 ||
        virXMLPropEnum(node, "keep", virDomainPrefaultKeepTypeFromString,
                       VIR_XML_PROP_NONZERO, &def->keep) < 0 ||
        virXMLPropEnum(node, "restore", virDomainPrefaultRestoreTypeFromString,
                       VIR_XML_PROP_NONZERO, &def->restore) < 0)
        return -1;

    *state = value;
    return 0;
}


static void
virDomainPrefaultFormatWord(virBuffer *buf,
                            const char *name,
                            unsigned int value,
                            const char *word)
{
    if (value != 0)
        virBufferAsprintf(buf, " %s='%s'", name, word);
}


void
virDomainPrefaultFormat(virBuffer *buf,
                        virDomainPrefault state,
                        const virDomainPrefaultDef *def)
{
    g_auto(virBuffer) attrs = VIR_BUFFER_INITIALIZER;

    if (state == VIR_DOMAIN_PREFAULT_ABSENT)
        return;

    virBufferAsprintf(&attrs, " state='%s'", virDomainPrefaultTypeToString(state));
    if (def->threads != 0)
        virBufferAsprintf(&attrs, " threads='%u'", def->threads);
    virDomainPrefaultFormatWord(&attrs, "slotZapAll", def->slotZapAll,
                                virDomainPrefaultSlotZapAllTypeToString(def->slotZapAll));
    virDomainPrefaultFormatWord(&attrs, "keep", def->keep,
                                virDomainPrefaultKeepTypeToString(def->keep));
    virDomainPrefaultFormatWord(&attrs, "restore", def->restore,
                                virDomainPrefaultRestoreTypeToString(def->restore));

    virXMLFormatElement(buf, "prefault", &attrs, NULL);
}
