# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of conversions: what one takes, and the first writes after it.

Needs a machine whose KVM has KVM_X86_SW_PROTECTED_VM.
"""
import collections
import statistics

import bed
import memory
import start
from prefaultlib import say

MIB = 512
GUESTS = 3                      # for each figure
PAGE_KIB = 4
PAGES_PER_MIB = 256
FIRST_MIB = 64                  # where the converted ranges begin in the guest
# Pages of a conversion: one, a few, a huge page, and more of them.  What is done for
# the first time takes long in an emulator: the first is not counted.
SIZES = (1, 1, 8, 64, 512, 4096, 16384)
HEAD = ('conversion', 'way', 'KiB', 'conversion, cycles a page',
        'first writes, cycles a page', 'sum')

# flags: of KVM_HC_MAP_GPA_RANGE; initial: what the guest's RAM begins as
Direction = collections.namedtuple('Direction', 'name flags initial')
DIRECTIONS = (Direction('to shared', 0, 'private'),
              Direction('to private', 16, 'shared'))
WAYS = (start.OFF, start.AS_IT_IS)

# convert, touch: cycles of all pages
Row = collections.namedtuple('Row', 'direction way pages convert touch')


def measure(machine):
    """Convert ranges of each size, in each way; the rows, medians of some guests."""
    with memory.ready(machine, memory.HUGE, MIB):
        return [medians(same) for direction in DIRECTIONS for way in WAYS
                for same in zip(*(converted(machine, direction, way)
                                  for _ in range(GUESTS)))]


def medians(rows):
    """One Row of several of the same size."""
    return rows[0]._replace(convert=statistics.median(row.convert for row in rows),
                            touch=statistics.median(row.touch for row in rows))


def requests():
    """(GPA, pages) of the ranges, each at a huge page of its own."""
    found, mib = [], FIRST_MIB
    for pages in SIZES:
        found.append((mib << 20, pages))
        mib += max(2, pages // PAGES_PER_MIB)
    return found


def converted(machine, direction, way):
    """The Rows of one guest, which writes to each page after its conversion."""
    say.step(f'conversions {direction.name}, {way.name}')
    wanted = ';'.join(f'{gpa},{pages},{direction.flags},1'
                      for gpa, pages in requests())
    with machine.guest(
            '-object', f'sw-protected-vm,id=cgs0,initial-state={direction.initial}',
            *bed.convert(one=wanted), bios='convert.bin', mem=f'{MIB}M',
            machine='microvm,confidential-guest-support=cgs0', accel=way.accel,
            paused=True) as qemu:
        qemu.qmp('cont')
        qemu.wait_text('DONE', start.LONG)
        rows = [Row(direction.name, way.name, one['pages'], one['cycles'],
                    touched['cycles'])
                for one, touched in zip(qemu.conversions('request')[1:],
                                        qemu.conversions('touched')[1:])]
        start.finish(qemu, way)
    return rows


def cells(row):
    """A row as the table shows it."""
    return (row.direction, row.way, row.pages * PAGE_KIB,
            *(f'{cycles / row.pages:.0f}' for cycles in
              (row.convert, row.touch, row.convert + row.touch)))
