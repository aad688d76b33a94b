/*
 * Prefault: the interface to accelerators, in both directions
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_BACKEND_H
#define HW_CORE_PREFAULT_BACKEND_H

#include "exec/hwaddr.h"
#include "qapi/qapi-types-common.h"
#include "qapi/qapi-types-prefault.h"
#include "qom/object.h"

/* The usual @rest_ms of prefault_owe() */
#define PREFAULT_REST_MS 20

/**
 * PrefaultVia: the way to the page tables
 * @PREFAULT_VIA_DESCRIPTOR: a vCPU's file descriptor, from any thread: the
 *                           guest is held
 * @PREFAULT_VIA_VCPU_THREAD: the thread of a vCPU, which leaves the guest for
 *                            it, for about 0.1 ms a call
 * @PREFAULT_VIA_THIS_THREAD: the calling thread, which is a vCPU's and out of
 *                            the guest
 */
typedef enum PrefaultVia {
    PREFAULT_VIA_DESCRIPTOR,
    PREFAULT_VIA_VCPU_THREAD,
    PREFAULT_VIA_THIS_THREAD,
} PrefaultVia;

/**
 * PrefaultBackend: how an accelerator maps guest memory
 *
 * @in_use: whether this accelerator runs the guest.  Context: BQL, once the
 *          machine is complete.
 * @can_map: whether memory can be mapped at all; if not, @errp names the
 *           missing feature, in words that can go on a sentence.  Context: BQL,
 *           once the machine is complete, only if @in_use.
 * @set_up: get ready so that mappings last; if the user's options make that
 *          impossible, @errp says why, in a whole sentence.  Context: BQL, once
 *          the machine is complete, only if memory can be mapped.
 * @begin: choose the vCPUs that @map is to use; not called for
 *         PREFAULT_VIA_THIS_THREAD.  Returns them for g_ptr_array_unref(), with
 *         the BQL; perhaps there is none.  Context: BQL.
 * @map: one bounded attempt to map on one of @vcpus (NULL for
 *       PREFAULT_VIA_THIS_THREAD), for worker number @worker, inside the gate
 *       for @generation; sets *@mapped to the bytes done, also if it fails.
 *       Returns as @map of PrefaultOps (work.h).  Context: worker thread,
 *       without BQL.
 * @exits: what the guest still exits for at the first touch of mapped memory;
 *         NULL if for nothing.  Context: BQL.
 * @retention: fill in the figures of memslots that were kept, without those of
 *             owed memory.  Context: BQL.
 * @conversions: the figures of conversions between private and shared memory,
 *               without those of owed memory; NULL if the guest has no private
 *               memory.  Context: BQL.
 */
typedef struct PrefaultBackend {
    bool (*in_use)(void);
    bool (*can_map)(Error **errp);
    bool (*set_up)(Error **errp);
    GPtrArray *(*begin)(PrefaultVia via);
    int (*map)(const GPtrArray *vcpus, PrefaultVia via, unsigned worker,
               unsigned generation, hwaddr gpa, uint64_t size,
               uint64_t *mapped);
    PrefaultExitList *(*exits)(void);
    void (*retention)(PrefaultRetention *figures);
    PrefaultConversions *(*conversions)(void);
} PrefaultBackend;

/**
 * prefault_accel_class_init: give an accelerator its prefault properties
 * @oc: class of the accelerator
 * @backend: how it maps; static storage
 *
 * Context: class initialisation.
 */
void prefault_accel_class_init(ObjectClass *oc, const PrefaultBackend *backend);

/**
 * prefault_errno_is_of_vcpu: is an error that of one vCPU only?
 * @err: a positive errno of @map, or 0
 *
 * Context: any thread.
 *
 * Returns: true if another vCPU may map the memory.
 */
bool prefault_errno_is_of_vcpu(int err);

/**
 * prefault_slot_zap_all: may all mappings go when one memslot is deleted?
 *
 * Context: BQL, after the options were read.
 *
 * Returns: the value of slot-zap-all, auto if none was given.
 */
OnOffAuto prefault_slot_zap_all(void);

/**
 * prefault_is_wanted: was a mode other than off chosen?
 *
 * Context: BQL, after the options were read.
 */
bool prefault_is_wanted(void);

/**
 * prefault_gate_enter: a call into the accelerator begins
 * @generation: as @map got it
 *
 * Context: any thread, without BQL; until prefault_gate_leave() the caller
 * waits neither for the BQL nor for a thread that has it.
 *
 * Returns: false if the memory map has changed since: the call must not be
 * made.
 */
bool prefault_gate_enter(unsigned generation);

/**
 * prefault_gate_leave: the call is over
 *
 * Context: as prefault_gate_enter(), which returned true.
 */
void prefault_gate_leave(void);

/**
 * prefault_gate_close: the memory map is about to change
 *
 * Begins a generation, and waits until no thread is inside.  That takes some
 * milliseconds, for calls inside are bounded (see kvm_pre_fault_map()).  Twice
 * for one change does no harm.
 *
 * Context: BQL, so that one closes at a time; not inside.
 */
void prefault_gate_close(void);

/**
 * prefault_gate_is_open: has the memory map stayed as it was?
 * @generation: as @map got it
 *
 * Context: any thread.
 *
 * Returns: false once it has changed, or is about to.
 */
bool prefault_gate_is_open(unsigned generation);

/**
 * prefault_owe: some memory is to be mapped while the guest runs
 * @reason: why
 * @start: guest address
 * @size: bytes; a part of a host page at either end is left alone
 * @rest_ms: how long the memory map has to be at rest before it is mapped:
 *           firmware changes the map many times in a row
 *
 * Does nothing before the first run, or while a run is under way that maps all
 * memory.  Memory that cannot be mapped when its turn comes (it is read-only,
 * logs dirty pages, or is not there any more) is left alone.
 *
 * Context: BQL.
 */
void prefault_owe(PrefaultOwedReason reason, hwaddr start, uint64_t size,
                  unsigned rest_ms);

/**
 * prefault_owe_all: all memory is to be mapped while the guest runs
 * @reason: why
 * @rest_ms: as above
 *
 * Context: BQL.
 */
void prefault_owe_all(PrefaultOwedReason reason, unsigned rest_ms);

/**
 * prefault_withdrawing: memory is about to be converted, or was plugged in or
 * unplugged
 * @start: guest address
 * @size: bytes
 *
 * Afterwards no worker populates or maps any of it by its former state, or
 * takes it for done.
 *
 * Context: BQL.
 *
 * Returns: true if some of it was owed, or in a plan: a worker may have been at
 * it.
 */
bool prefault_withdrawing(hwaddr start, uint64_t size);

/**
 * prefault_converted: memory has changed between private and shared
 * @start: guest address
 * @size: bytes
 * @budget_ns: how long this vCPU may take for it; the rest is owed
 *
 * Populates the memory, if it is shared now, and maps it, on this vCPU first.
 *
 * Context: a vCPU's thread that is out of the guest, without BQL.
 */
void prefault_converted(hwaddr start, uint64_t size, int64_t budget_ns);

#endif /* HW_CORE_PREFAULT_BACKEND_H */
