/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qemu_sw_protected.h: QEMU's object for launch security 'sw-protected'
 */

#pragma once

#include "domain_sw_protected.h"
#include "virjson.h"

/**
 * qemuSwProtectedObject:
 * @def: the launch security
 *
 * Returns: the properties of QEMU's object 'sw-protected-vm' with the id of all
 * launch security, or NULL with an error reported.
 */
virJSONValue *qemuSwProtectedObject(const virDomainSwProtectedDef *def);
