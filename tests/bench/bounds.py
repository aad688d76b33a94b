# SPDX-License-Identifier: GPL-2.0-or-later
"""What bounds a real host with a guest of 64 TiB, as text.

Facts with their sources; what follows from them is computed here, from constants
of ours that are read from the code.
"""
import re
import textwrap

import report
from prefaultlib import paths

KIB, MIB, GIB, TIB = (1 << shift for shift in (10, 20, 30, 40))
RAM = 64 * TIB
VCPUS = 1024
ENTRY = 8                       # bytes of a page table entry
TABLE = 512                     # entries of a page table
NODE_GBPS = (5, 20, 50)         # bytes that one node zeroes, GB/s
NODES = (1, 4, 8, 16)

TEXT = '''## What bounds a real host

Arithmetic for {ram} TiB and {vcpus} vCPUs; nothing below was measured on such a host.

**Page tables.**  An entry has {entry} bytes, a table {table} entries.  The host's own and
those of the guest (EPT, NPT) take as much each:

{tables}
With 4 KiB pages the room that prefault asks for contains the host's part.

**Zeroing.**  Minutes until {ram} TiB have been written once.  The figures of a node are
assumptions: the `rate` of `query-prefault` tells what yours does.  Workers run near
their memory, so nodes add up as long as memory has a place (`host-nodes=`, or vCPUs that
are pinned):

{zeroing}
**Mapping.**  `KVM_PRE_FAULT_MEMORY` is a vCPU's ioctl and holds that vCPU's mutex (Linux,
`virt/kvm/kvm_main.c`, `kvm_vcpu_ioctl()`), so that as many workers map side by side as
there are vCPUs.  Page faults of the TDP MMU take `mmu_lock` for read
(`Documentation/virt/kvm/locking.rst`).  {ram} TiB are {maps_2m} million mappings of 2 MiB, or
{maps_1g} of 1 GiB.

**Memslots.**  A memslot has less than {slot} TiB (`KVM_MEM_MAX_NR_PAGES`, 2^31 - 1 pages):
without prefault a backend of more fails with "Invalid argument", so memory has to be in
several; with it, retention's cuts are smaller.  x86 has 32,764 memslots
(`KVM_USER_MEM_SLOTS`, `KVM_CAP_NR_MEMSLOTS`).  A memslot that is created or deleted waits for
all vCPUs that are in KVM (SRCU, `kvm_swap_active_memslots()`): what retention keeps need not.

**vCPUs.**  `KVM_CAP_MAX_VCPUS` is 1,024 unless the kernel was built for more
(`CONFIG_KVM_MAX_NR_VCPUS`, up to 4,096); q35 has up to 4,096, with `x2apic` in the CPU.

**Addresses.**  Memory goes on above the PCI hole, so that {ram} TiB take 47 bits of guest
addresses (`phys-bits=`) and {ram} of the {user} TiB that a process has with page tables of
four levels.

**Limits of the process and the host.**

{limits}
'''

LIMITS = (
    '`RLIMIT_NOFILE`: {vcpu_files:,}, two for each vCPU: itself and its statistics.  '
    '`prefault-keep=lock` takes {rings:,} more, one for each {ring} GiB: a ring of '
    'io_uring has {slots:,} buffers of a chunk ({chunk} MiB).  The kernel would take 16,384 '
    '(`IORING_MAX_REG_BUFFERS`), and looks at all of them for each huge page.  QEMU '
    'refuses at the start if its limit is less.  Workers that pin one backend side by side '
    'have a ring each, which need not get full.',
    '`RLIMIT_MEMLOCK`: {ram} TiB for `prefault-keep=lock`, unless QEMU has `CAP_IPC_LOCK`.',
    '`RLIMIT_SIGPENDING`: {timers:,}, a timer for each worker and, while the guest runs, each '
    'vCPU (`timer_create(2)`: EAGAIN).  All processes of a user share it.',
    '`pids.max`, `RLIMIT_NPROC`: {threads:,}, a thread for each vCPU and each worker.  A run '
    'that gets fewer workers says so.  `prefault-threads` is {most:,} at most.',
    '`vm.max_map_count`: {maps:,} for stacks and their guards, and one for each backend, or '
    'more where policies differ.',
    'Huge pages: {pages_2m:,} of 2 MiB or {pages_1g:,} of 1 GiB.  With hugetlb only what was '
    'set aside at boot is sure; transparent ones are what the kernel finds.',
    "The watch for losses reads KVM's statistics of the VM, ten times a second: three figures, "
    'for any number of vCPUs.',
)


def constant(path, name):
    """A number that our code defines."""
    text = (paths.ROOT / path).read_text(encoding='utf-8')
    found = re.search(rf'#define {name} \(?(\d+)(?: \* (KiB|MiB|GiB))?', text)
    return int(found[1]) * {None: 1, 'KiB': KIB, 'MiB': MIB, 'GiB': GIB}[found[2]]


def size(count):
    """Bytes as text, in the largest unit of which there is a whole one."""
    for unit, name in ((TIB, 'TiB'), (GIB, 'GiB'), (MIB, 'MiB'), (KIB, 'KiB')):
        if count >= unit:
            return f'{count / unit:.3g} {name}'
    return f'{count} bytes'


def tables_of(page):
    """Bytes of page tables that map all memory with pages of a size."""
    total, entries = 0, RAM // page
    while entries > 1:
        total += entries * ENTRY
        entries //= TABLE
    return total


def tables():
    """The table of page tables."""
    return report.table(('pages', 'page tables, each of the two'), [
        (size(page), size(tables_of(page))) for page in (4 * KIB, 2 * MIB, GIB)], left=1)


def zeroing():
    """The table of minutes."""
    return report.table(
        ('GB/s a node', *(f'{n} node{"s" * (n > 1)}' for n in NODES)),
        [(gbps, *(f'{RAM / (gbps * 1e9 * n) / 60:.1f}' for n in NODES))
         for gbps in NODE_GBPS], left=0)


def text():
    """The whole part."""
    chunk = constant('hw/core/prefault/plan.h', 'PREFAULT_CHUNK_SIZE')
    slots = constant('hw/core/prefault/ring.c', 'SLOTS_MAX')
    figures = {
        'ram': RAM // TIB, 'vcpus': f'{VCPUS:,}', 'entry': ENTRY, 'table': TABLE,
        'maps_2m': f'{RAM // (2 * MIB) / 1e6:.0f}', 'maps_1g': f'{RAM // GIB:,}',
        'slot': (1 << 31) * 4 * KIB // TIB, 'user': (1 << 47) // TIB,
        'vcpu_files': 2 * VCPUS, 'ring': chunk * slots // GIB, 'slots': slots,
        'rings': RAM // (chunk * slots), 'chunk': chunk // MIB, 'timers': 2 * VCPUS,
        'threads': 2 * VCPUS, 'maps': 2 * 2 * VCPUS,
        'most': constant('hw/core/prefault/options.c', 'THREADS_MAX'),
        'pages_2m': RAM // (2 * MIB), 'pages_1g': RAM // GIB,
    }
    limits = '\n'.join(textwrap.fill(f'* {limit.format(**figures)}', 88,
                                       subsequent_indent='  ',
                                       break_on_hyphens=False) for limit in LIMITS)
    return TEXT.format(tables=tables(), zeroing=zeroing(), limits=limits, **figures)
