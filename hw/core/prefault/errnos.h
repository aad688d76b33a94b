/*
 * Prefault errnos: what an answer of KVM_PRE_FAULT_MEMORY leads to
 *
 * The one table, for all architectures and kernels.  How often populating is
 * tried is in it as well; what it leads to then is told by work.h, @populate.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_ERRNOS_H
#define HW_CORE_PREFAULT_ERRNOS_H

/**
 * PrefaultFate: what becomes of memory of which nothing could be mapped
 * @PREFAULT_FATE_FAIL: its first page is a failure
 * @PREFAULT_FATE_FAIL_ALL: all of it is: each page would take as long
 * @PREFAULT_FATE_LEAVE_OUT: its first page is left out, which is no failure
 * @PREFAULT_FATE_LATER: it is left for later
 * @PREFAULT_FATE_STALE: the plan is stale, and the run over
 */
typedef enum PrefaultFate {
    PREFAULT_FATE_FAIL,
    PREFAULT_FATE_FAIL_ALL,
    PREFAULT_FATE_LEAVE_OUT,
    PREFAULT_FATE_LATER,
    PREFAULT_FATE_STALE,
} PrefaultFate;

/**
 * PrefaultErrno: what an errno means
 * @err: the errno
 * @tries: in a row, before it is taken for the answer; 0: as 1.  Also of
 *         populating, where it is one of that's errnos
 * @pause_us: between these, in microseconds
 * @fate: what it leads to then
 * @patient: likewise, where memory may be left for later (PrefaultOps)
 * @of_vcpu: only this vCPU has it, and another may map the memory
 * @hides_poison: it may be one poisoned page that keeps KVM from all
 */
typedef struct PrefaultErrno {
    int err;
    unsigned tries;
    unsigned pause_us;
    PrefaultFate fate;
    PrefaultFate patient;
    bool of_vcpu;
    bool hides_poison;
} PrefaultErrno;

/**
 * prefault_errno: look up what an errno means
 * @err: a positive errno, or 0: success without any progress
 *
 * Context: any thread.
 *
 * Returns: its entry; that of a failure, if it has none of its own.
 */
const PrefaultErrno *prefault_errno(int err);

#endif /* HW_CORE_PREFAULT_ERRNOS_H */
