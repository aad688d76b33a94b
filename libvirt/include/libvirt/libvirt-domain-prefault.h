/*
 * SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * libvirt-domain-prefault.h
 * Summary: statistics of prefault
 * Description: names of the statistics of the group VIR_DOMAIN_STATS_PREFAULT
 *
 * Figures other than mode, status, left_out, bytes.owed and those of slots,
 * refill, lost and conversions are of the last run, and are there once a run was
 * started.  Upstream's libvirt has none of them: where a comment says since
 * which version, it is the first one that prefault 0.1 was built on.
 */

#ifndef LIBVIRT_DOMAIN_PREFAULT_H
# define LIBVIRT_DOMAIN_PREFAULT_H

# ifndef __VIR_LIBVIRT_H_INCLUDES__
#  error "Don't include this file directly, only use libvirt/libvirt.h"
# endif

/**
 * VIR_DOMAIN_STATS_PREFAULT_MODE:
 *
 * What QEMU was told on its command line as string: 'off', 'on',
 * 'auto' or 'background'.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_MODE "prefault.mode"

/**
 * VIR_DOMAIN_STATS_PREFAULT_STATUS:
 *
 * The status of the last run as string: 'none', 'active', 'completed',
 * 'cancelled' or 'failed'.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_STATUS "prefault.status"

/**
 * VIR_DOMAIN_STATS_PREFAULT_TRIGGER:
 *
 * What the last run was started for as string: 'start', 'request', 'reset',
 * 'snapshot-load', 'restore' or 'plug'.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_TRIGGER "prefault.trigger"

/**
 * VIR_DOMAIN_STATS_PREFAULT_HOLDING:
 *
 * Whether the guest waits for the run, and goes on once it has ended, as
 * boolean.  Only while the status is active.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_HOLDING "prefault.holding"

/**
 * VIR_DOMAIN_STATS_PREFAULT_ERROR:
 *
 * Why the last run failed or was cancelled, as string.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_ERROR "prefault.error"

/**
 * VIR_DOMAIN_STATS_PREFAULT_LEFT_OUT:
 *
 * What is not done for this guest and why, as string.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_LEFT_OUT "prefault.left_out"

/**
 * VIR_DOMAIN_STATS_PREFAULT_BYTES_TOTAL:
 *
 * Guest memory to prefault in bytes as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_BYTES_TOTAL "prefault.bytes.total"

/**
 * VIR_DOMAIN_STATS_PREFAULT_BYTES_POPULATED:
 *
 * How much of bytes.total is present in host memory, as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_BYTES_POPULATED "prefault.bytes.populated"

/**
 * VIR_DOMAIN_STATS_PREFAULT_BYTES_MAPPED:
 *
 * How much of bytes.total was mapped in the stage-2 page tables, as unsigned
 * long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_BYTES_MAPPED "prefault.bytes.mapped"

/**
 * VIR_DOMAIN_STATS_PREFAULT_BYTES_MAPPED_NOW:
 *
 * What the stage-2 page tables of the whole guest map at this moment in bytes,
 * as unsigned long long.  It includes what is not part of bytes.total.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_BYTES_MAPPED_NOW "prefault.bytes.mapped_now"

/**
 * VIR_DOMAIN_STATS_PREFAULT_BYTES_PRIVATE:
 *
 * How much of bytes.total is private memory of a confidential guest, as
 * unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_BYTES_PRIVATE "prefault.bytes.private"

/**
 * VIR_DOMAIN_STATS_PREFAULT_BYTES_PRIVATE_MAPPED:
 *
 * How much of bytes.mapped is private memory, as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_BYTES_PRIVATE_MAPPED "prefault.bytes.private_mapped"

/**
 * VIR_DOMAIN_STATS_PREFAULT_BYTES_SKIPPED:
 *
 * Guest memory that is not prefaulted in bytes, as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_BYTES_SKIPPED "prefault.bytes.skipped"

/**
 * VIR_DOMAIN_STATS_PREFAULT_BYTES_FAILED:
 *
 * How much of bytes.total was left out because a host page is poisoned or could
 * not be mapped, as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_BYTES_FAILED "prefault.bytes.failed"

/**
 * VIR_DOMAIN_STATS_PREFAULT_THREADS:
 *
 * The number of threads that the last run uses or used as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_THREADS "prefault.threads"

/**
 * VIR_DOMAIN_STATS_PREFAULT_ELAPSED:
 *
 * The time that the last run has taken in milliseconds as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_ELAPSED "prefault.elapsed_ms"

/**
 * VIR_DOMAIN_STATS_PREFAULT_REMAINING:
 *
 * The time that the rest of the run takes at its average rate in milliseconds
 * as unsigned long long.  Only while the status is active.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_REMAINING "prefault.remaining_ms"

/**
 * VIR_DOMAIN_STATS_PREFAULT_RATE:
 *
 * The average rate of the last run in bytes per second as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_RATE "prefault.bytes_per_second"

/**
 * VIR_DOMAIN_STATS_PREFAULT_SLOTS_KEPT:
 *
 * Memslots of KVM that a change of the memory map left alone, as unsigned long
 * long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_SLOTS_KEPT "prefault.slots.kept"

/**
 * VIR_DOMAIN_STATS_PREFAULT_SLOTS_DROPPED:
 *
 * Memslots of KVM that were deleted, and their mappings with them, as unsigned
 * long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_SLOTS_DROPPED "prefault.slots.dropped"

/**
 * VIR_DOMAIN_STATS_PREFAULT_REFILL_BYTES:
 *
 * What was mapped again while the guest ran in bytes, as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_REFILL_BYTES "prefault.refill.bytes"

/**
 * VIR_DOMAIN_STATS_PREFAULT_REFILL_PENDING:
 *
 * What is to be mapped again in bytes, as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_REFILL_PENDING "prefault.refill.pending"

/**
 * VIR_DOMAIN_STATS_PREFAULT_LOST_BYTES:
 *
 * Mappings that the host took away in bytes, as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_LOST_BYTES "prefault.lost.bytes"

/**
 * VIR_DOMAIN_STATS_PREFAULT_LOST_REMAPPED:
 *
 * How much of that was mapped again in bytes, as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_LOST_REMAPPED "prefault.lost.remapped"

/**
 * VIR_DOMAIN_STATS_PREFAULT_BYTES_BALANCED:
 *
 * Guest memory that the host's NUMA balancing works on in bytes, as unsigned
 * long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_BYTES_BALANCED "prefault.bytes.balanced"

/**
 * VIR_DOMAIN_STATS_PREFAULT_BYTES_SWAPPED:
 *
 * How much of QEMU's memory was in swap when the last run had completed, in
 * bytes as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_BYTES_SWAPPED "prefault.bytes.swapped"

/**
 * VIR_DOMAIN_STATS_PREFAULT_BYTES_OWED:
 *
 * Guest memory that is not mapped now and is going to be while the guest runs,
 * in bytes as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_BYTES_OWED "prefault.bytes.owed"

/**
 * VIR_DOMAIN_STATS_PREFAULT_BYTES_RETURNED:
 *
 * Memory that is not mapped because the guest has given it back (balloon, free
 * page reporting), in bytes as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_BYTES_RETURNED "prefault.bytes.returned"

/**
 * VIR_DOMAIN_STATS_PREFAULT_BYTES_LOCKED:
 *
 * Memory that is pinned (keep='lock'), in bytes as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_BYTES_LOCKED "prefault.bytes.locked"

/**
 * VIR_DOMAIN_STATS_PREFAULT_CONVERSIONS_TO_PRIVATE_COUNT:
 *
 * Conversions of guest memory to private as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_CONVERSIONS_TO_PRIVATE_COUNT "prefault.conversions.to_private.count"

/**
 * VIR_DOMAIN_STATS_PREFAULT_CONVERSIONS_TO_PRIVATE_BYTES:
 *
 * What conversions to private changed in bytes, as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_CONVERSIONS_TO_PRIVATE_BYTES "prefault.conversions.to_private.bytes"

/**
 * VIR_DOMAIN_STATS_PREFAULT_CONVERSIONS_TO_SHARED_COUNT:
 *
 * Conversions of guest memory to shared as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_CONVERSIONS_TO_SHARED_COUNT "prefault.conversions.to_shared.count"

/**
 * VIR_DOMAIN_STATS_PREFAULT_CONVERSIONS_TO_SHARED_BYTES:
 *
 * What conversions to shared changed in bytes, as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_CONVERSIONS_TO_SHARED_BYTES "prefault.conversions.to_shared.bytes"

/**
 * VIR_DOMAIN_STATS_PREFAULT_CONVERSIONS_FAILED:
 *
 * Conversions that could not be made as unsigned long long.
 *
 * Since: 11.3.0
 */
# define VIR_DOMAIN_STATS_PREFAULT_CONVERSIONS_FAILED "prefault.conversions.failed"

#endif /* LIBVIRT_DOMAIN_PREFAULT_H */
