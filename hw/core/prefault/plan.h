/*
 * Prefault plan: which guest memory is prefaulted, in which pieces
 *
 * Turns a description of guest memory into ranges to prefault and the bytes
 * skipped for each reason, and hands the ranges out as chunks.  Pure logic: no
 * lock, no system call, no KVM.  A plan never changes once made, so that
 * threads can share it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_CORE_PREFAULT_PLAN_H
#define HW_CORE_PREFAULT_PLAN_H

#include "exec/hwaddr.h"
#include "qapi/qapi-types-prefault.h"
#include "qemu/units.h"

/*
 * A worker looks for a cancel between chunks.  A chunk is two huge pages:
 * populating it takes a millisecond or so, mapping it even as 4 KiB pages about
 * one more, and a memslot change waits no longer than that.
 */
#define PREFAULT_CHUNK_SIZE (4 * MiB)

/* A guest's memory has few places: host NUMA nodes, or sets of them */
#define PREFAULT_PLACES_MAX 64

/**
 * PrefaultSection: a piece of guest memory as the memory map has it
 * @gpa: guest physical address, bytes
 * @size: bytes
 * @host: its host address; NULL only if a bit of @traits is set
 * @ram_addr: identity of the memory behind it, in QEMU's RAM address space;
 *            two sections that share it are aliases of each other
 * @page_size: bytes of a host page behind it (hugetlb pages are larger)
 * @traits: bit N is set if reason N of PrefaultSkipReason applies; the lowest
 *          one counts
 * @place: the place whose workers are best for it: a number that the caller
 *         chooses, less than PREFAULT_PLACES_MAX
 * @is_private: private memory of a confidential guest: the host cannot touch
 *              it, and @host is its address if it were shared
 * @present_only: pages that the host does not have are not populated
 * @map_later: populated, and not mapped yet: writes to it are tracked
 * @is_managed: a RamDiscardManager has it: it may become private (guest_memfd),
 *              or go away (virtio-mem), and no other section is an alias of it.
 *              The plan looks for none, for a confidential guest can make very
 *              many sections
 */
typedef struct PrefaultSection {
    hwaddr gpa;
    uint64_t size;
    uint8_t *host;
    uint64_t ram_addr;
    size_t page_size;
    uint32_t traits;
    unsigned place;
    bool is_private;
    bool present_only;
    bool map_later;
    bool is_managed;
} PrefaultSection;

/**
 * PrefaultChunk: the piece that one worker handles at a time
 * @gpa: guest physical address, a multiple of the host's base page size
 * @host: host address of the same memory
 * @size: bytes, a multiple of the host's base page size, never 0
 * @page_size: bytes of a host page behind it
 * @place: the place of its section
 * @alias: another chunk has the same memory at another guest address, and only
 *         that one counts
 * @is_private: private memory: nothing to populate, mapping allocates it
 * @present_only: as in its section
 * @map_later: as in its section
 * @is_managed: as in its section: that may happen while it is worked on
 */
typedef struct PrefaultChunk {
    hwaddr gpa;
    uint8_t *host;
    uint64_t size;
    size_t page_size;
    unsigned place;
    bool alias;
    bool is_private;
    bool present_only;
    bool map_later;
    bool is_managed;
} PrefaultChunk;

/**
 * prefault_is_pinnable: can some memory be pinned?
 * @chunk: a chunk, or a range
 *
 * What a RamDiscardManager has, has to stay discardable.
 *
 * Returns: true if so.
 */
static inline bool prefault_is_pinnable(const PrefaultChunk *chunk)
{
    return !chunk->is_private && !chunk->is_managed;
}

/**
 * PrefaultCursor: a position in one place of a plan
 * @place: number of the place; the other fields are 0 at the beginning
 *
 * Chunks are computed, not stored: a guest with terabytes of RAM costs no
 * more than one with megabytes.
 */
typedef struct PrefaultCursor {
    unsigned place;
    unsigned range;
    uint64_t offset;
} PrefaultCursor;

typedef struct PrefaultPlan PrefaultPlan;

/**
 * prefault_plan_new: decide which memory is prefaulted
 * @sections: guest memory, in any order; guest addresses do not overlap.
 *            NULL if @nr_sections is 0
 * @nr_sections: number of elements of @sections
 * @base_page_size: the host's base page size in bytes, a power of two
 *
 * Memory that several sections alias is prefaulted at each of its guest
 * addresses, and counts once: as prefaulted, unless all of them are skipped.
 * If a section does not begin or end on a host page, the part of a page there
 * is skipped as unaligned.
 *
 * Context: any thread.
 *
 * Returns: a plan for prefault_plan_free(); never NULL.
 */
PrefaultPlan *prefault_plan_new(const PrefaultSection *sections,
                                size_t nr_sections, size_t base_page_size);

/**
 * prefault_plan_free: free a plan
 * @plan: the plan; NULL does nothing
 *
 * Context: any thread, once nobody uses @plan any more.
 */
void prefault_plan_free(PrefaultPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PrefaultPlan, prefault_plan_free)

/**
 * prefault_plan_total: bytes that all chunks but the aliases add up to
 * @plan: the plan
 *
 * Context: any thread.
 *
 * Returns: bytes.
 */
uint64_t prefault_plan_total(const PrefaultPlan *plan);

/**
 * prefault_plan_private: bytes of the total that are private memory
 * @plan: the plan
 *
 * Context: any thread.
 *
 * Returns: bytes.
 */
uint64_t prefault_plan_private(const PrefaultPlan *plan);

/**
 * prefault_plan_skipped: bytes that are left out for one reason
 * @plan: the plan
 * @reason: the reason
 *
 * The total and the bytes skipped for every reason add up to the size of all
 * sections, aliases counted once.
 *
 * Context: any thread.
 *
 * Returns: bytes.
 */
uint64_t prefault_plan_skipped(const PrefaultPlan *plan,
                               PrefaultSkipReason reason);

/**
 * prefault_plan_places: how many places there are
 * @plan: the plan
 *
 * Context: any thread.
 *
 * Returns: one more than the largest place of a chunk, 1 at least.
 */
unsigned prefault_plan_places(const PrefaultPlan *plan);

/**
 * prefault_plan_range: look at the memory to prefault, in the largest pieces
 * @plan: the plan
 * @index: number of the piece, from 0 on
 * @range: filled in
 *
 * Context: any thread.
 *
 * Returns: false if there are not so many; @range is not touched then.
 */
bool prefault_plan_range(const PrefaultPlan *plan, unsigned index,
                         PrefaultChunk *range);

/**
 * prefault_plan_rest: look at what follows, in the largest piece
 * @plan: the plan
 * @cursor: where to go on; advanced to the beginning of that piece
 * @rest: filled in
 *
 * Context: any thread; the caller keeps @cursor to itself.
 *
 * Returns: false at the end of the place; @rest is not touched then.
 */
bool prefault_plan_rest(const PrefaultPlan *plan, PrefaultCursor *cursor,
                        PrefaultChunk *rest);

/**
 * prefault_plan_skip: go past chunks
 * @plan: the plan
 * @cursor: as prefault_plan_rest() left it; advanced
 * @size: bytes, at most those of that piece; the part of a chunk at their end
 *        is not skipped
 *
 * Context: any thread; the caller keeps @cursor to itself.
 *
 * Returns: the bytes that were skipped.
 */
uint64_t prefault_plan_skip(const PrefaultPlan *plan, PrefaultCursor *cursor,
                            uint64_t size);

/**
 * prefault_plan_next: take the next chunk of a place
 * @plan: the plan
 * @cursor: where to go on; advanced past the chunk
 * @chunk: filled in
 *
 * Chunks end at multiples of the chunk size in guest addresses, so that none
 * cuts a huge page in two.
 *
 * Context: any thread; the caller keeps @cursor to itself.
 *
 * Returns: false at the end of the place; @chunk is not touched then.
 */
bool prefault_plan_next(const PrefaultPlan *plan, PrefaultCursor *cursor,
                        PrefaultChunk *chunk);

#endif /* HW_CORE_PREFAULT_PLAN_H */
