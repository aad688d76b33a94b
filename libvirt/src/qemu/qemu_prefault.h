/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qemu_prefault.h: QEMU's prefault: command line, validation, statistics
 */

#pragma once

#include "qemu_domain.h"
#include "virjson.h"
#include "virtypedparam.h"

/**
 * qemuPrefaultValidate:
 * @def: the domain
 * @qemuCaps: of the QEMU binary that is to run it
 *
 * Context: when a domain is defined and again when it is started.
 *
 * What is worth a warning and no error goes to the log.
 *
 * Returns: 0, or -1 with VIR_ERR_CONFIG_UNSUPPORTED reported if prefault is to
 * be done, and the domain is not of type 'kvm', or QEMU does not know prefault.
 */
int qemuPrefaultValidate(const virDomainDef *def,
                         virQEMUCaps *qemuCaps);

/**
 * qemuPrefaultAccelOptions:
 * @buf: the value of QEMU's -accel; options are appended
 * @def: a domain that qemuPrefaultValidate() accepted
 *
 * Nothing is appended for the state off, which is QEMU's own.
 */
void qemuPrefaultAccelOptions(virBuffer *buf,
                              const virDomainDef *def);

/**
 * qemuPrefaultLocksMemory:
 * @def: a domain
 *
 * Returns: whether QEMU pins all guest memory (keep='lock'), which counts
 * towards RLIMIT_MEMLOCK.
 */
bool qemuPrefaultLocksMemory(const virDomainDef *def);

/**
 * qemuPrefaultLeavesOut:
 * @def: a domain that runs
 * @flag: something that its QEMU can do
 *
 * An unpatched libvirt drops a running domain whose status names a flag that it
 * does not know.
 *
 * Returns: whether the status can do without the flag: it is one of ours, and the
 * domain does not use it.
 */
bool qemuPrefaultLeavesOut(const virDomainDef *def,
                           virQEMUCapsFlags flag);

/**
 * qemuPrefaultAsk:
 * @mon: monitor of a QEMU that has QEMU_CAPS_PREFAULT
 *
 * Context: the monitor is entered.
 *
 * Returns: what query-prefault answers, or NULL if there is no answer; no error
 * is reported, and the last one is left alone.
 */
virJSONValue *qemuPrefaultAsk(qemuMonitor *mon);

/**
 * qemuPrefaultQuery:
 * @vm: a running domain whose QEMU has QEMU_CAPS_PREFAULT
 * @asyncJob: the job that it has
 * @running: whether the guest runs, as QEMU says it, or NULL
 *
 * Context: @vm is locked and has the job; the lock is dropped while QEMU
 * answers.
 *
 * Returns: as qemuPrefaultAsk(); NULL with an error reported if the job is over,
 * or QEMU does not say whether the guest runs.
 */
virJSONValue *qemuPrefaultQuery(virDomainObj *vm,
                                virDomainAsyncJob asyncJob,
                                bool *running);

/**
 * qemuPrefaultGetStats:
 * @vm: a running domain whose QEMU has QEMU_CAPS_PREFAULT
 * @params: where what query-prefault answers is added, as
 *          libvirt-domain-prefault.h describes it
 *
 * A QEMU that does not answer adds nothing; that is no error.
 *
 * Context: @vm is locked and has a job that lets it enter the monitor; the lock
 * is dropped while QEMU answers.
 */
void qemuPrefaultGetStats(virDomainObj *vm,
                          virTypedParamList *params);
