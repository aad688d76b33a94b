/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * qemu_prefault.h: QEMU's prefault: command line, validation, statistics
 */

#pragma once

#include "qemu_domain.h"
#include "virtypedparam.h"

/**
 * qemuPrefaultValidate:
 * @def: the domain
 * @qemuCaps: of the QEMU binary that is to run it
 *
 * Context: when a domain is defined and again when it is started.
 *
 * Returns: 0, or -1 with VIR_ERR_CONFIG_UNSUPPORTED reported if the domain has
 * the element and is not of type 'kvm', or QEMU does not know prefault.
 */
int qemuPrefaultValidate(const virDomainDef *def,
                         virQEMUCaps *qemuCaps);

/**
 * qemuPrefaultAccelOptions:
 * @buf: the value of QEMU's -accel; options are appended
 * @def: a domain that qemuPrefaultValidate() accepted
 */
void qemuPrefaultAccelOptions(virBuffer *buf,
                              const virDomainDef *def);

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

/**
 * qemuPrefaultHoldsStart:
 * @vm: a domain
 *
 * QEMU answers 'cont' at once and sends the event RESUME once memory is mapped.
 * In between the domain is paused as libvirt sees it, but starts to run by
 * itself.
 *
 * Context: @vm is locked.
 *
 * Returns: whether that is so now.  Also true after QEMU gave such a start up
 * because it failed: the domain was to run, and has not been told otherwise.
 */
bool qemuPrefaultHoldsStart(virDomainObj *vm);

/**
 * qemuPrefaultStopBeforeSave:
 * @vm: a domain that is about to be saved
 * @wasRunning: set to true if its start was held; otherwise left alone
 *
 * Gives up a start that is held, so that the guest does not start to run
 * meanwhile.  The saved domain counts as running: it is to run once restored.
 *
 * Context: @vm is locked and has the job VIR_ASYNC_JOB_SAVE; the lock is dropped
 * while QEMU answers.
 *
 * Returns: 0, or -1 with an error reported if QEMU could not be told to stop.
 */
int qemuPrefaultStopBeforeSave(virDomainObj *vm,
                               bool *wasRunning);

/**
 * qemuPrefaultGiveUpStart:
 * @vm: a domain whose QEMU has just been told to stop
 *
 * A start that was held does not happen any more; the domain is paused for the
 * reason that the stop was for.
 *
 * Context: @vm is locked.
 */
void qemuPrefaultGiveUpStart(virDomainObj *vm);

/**
 * qemuPrefaultReconnect:
 * @vm: a domain that libvirt finds again after its own restart
 *
 * libvirt kills a domain that is still starting up, because it did not get to
 * start it.  One whose start is held was started: its reason to be paused
 * becomes VIR_DOMAIN_PAUSED_UNKNOWN, and it lives.  Whether a start is held is
 * known again.
 *
 * Context: @vm is locked, has a job and an open monitor; the lock is dropped
 * while QEMU answers.
 */
void qemuPrefaultReconnect(virDomainObj *vm);
