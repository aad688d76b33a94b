/*
 * Which guest memory is known to be populated and mapped
 *
 * A run that completed has done all of its plan.  The next one need not walk
 * the page tables again where nothing has happened since: the guest is held
 * meanwhile.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_KNOWN_H
#define HW_CORE_PREFAULT_KNOWN_H

#include "plan.h"

typedef struct PrefaultKnown PrefaultKnown;

/**
 * prefault_known_new: what a plan has, all of it in doubt
 * @plan: not used afterwards
 *
 * Private memory and memory that may become private is not known: it can change
 * at any time.
 *
 * Context: any thread.
 *
 * Returns: for prefault_known_free().
 */
PrefaultKnown *prefault_known_new(const PrefaultPlan *plan);

/**
 * prefault_known_free: forget it
 * @known: nobody uses it any more; NULL does nothing
 */
void prefault_known_free(PrefaultKnown *known);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PrefaultKnown, prefault_known_free)

/**
 * prefault_known_after: the same, some of it in doubt
 * @known: not changed; what is in doubt there does not count
 * @doubts: what may not be mapped any more, sorted (ledger.h); NULL: all.  Its
 *          ownership passes on.
 *
 * Context: any thread.
 *
 * Returns: for prefault_known_free().
 */
PrefaultKnown *prefault_known_after(const PrefaultKnown *known,
                                    GArray *doubts);

/**
 * prefault_known_covers: was all of a chunk done by then?
 * @known: it does not change meanwhile
 * @chunk: as for prefault_known_has()
 *
 * Context: any thread.
 *
 * Returns: true if so, whether it is in doubt or not.
 */
bool prefault_known_covers(const PrefaultKnown *known,
                           const PrefaultChunk *chunk);

/**
 * prefault_known_size: how much of a chunk is known?
 * @known: it does not change meanwhile
 * @chunk: as for prefault_known_has(), and of any size
 *
 * Context: any thread.
 *
 * Returns: bytes from its beginning on; 0 if its first page is not known.
 */
uint64_t prefault_known_size(const PrefaultKnown *known,
                             const PrefaultChunk *chunk);

/**
 * prefault_known_has: is all of a chunk known?
 * @known: it does not change meanwhile
 * @chunk: of any plan: memory that has moved since is not known
 *
 * Context: any thread.
 *
 * Returns: true if so.
 */
bool prefault_known_has(const PrefaultKnown *known, const PrefaultChunk *chunk);

#endif /* HW_CORE_PREFAULT_KNOWN_H */
