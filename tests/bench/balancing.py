# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of NUMA balancing: what a host with two nodes leaves of mappings.

Needs a machine with two nodes whose kernel balances, as any such host does.
"""
import collections
import time

import memory
import start
from prefaultlib import say

MIB = 256
SECONDS = 40
SWITCH = '/proc/sys/kernel/numa_balancing'
HEAD = ('way', 'sweeps', 'stage-2 faults', 'bytes lost, as QEMU has noticed')

KEEP_OFF = start.Way('prefault=on,prefault-keep=off',
                     'kvm,prefault=on,prefault-keep=off', '', None)
AUTO = start.Way('prefault=on, vCPU on any node', 'kvm,prefault=on', '', None)
KEEP_ON = start.Way('prefault=on,prefault-keep=on',
                    'kvm,prefault=on,prefault-keep=on', '', None)
WAYS = (start.OFF, start.PREALLOC, KEEP_OFF, AUTO, KEEP_ON)

# points: (seconds since the first sweep, faults since then) after each sweep
Row = collections.namedtuple('Row', 'way sweeps faults lost points')


def measure(machine):
    """A guest that writes its memory again and again, in each way; the rows."""
    rows = []
    with memory.knob(machine, SWITCH, 1):
        for number, way in enumerate(WAYS, 1):
            say.step(f'NUMA balancing, {number} of {len(WAYS)}: {way.name}')
            rows.append(swept(machine, way))
    return rows


def swept(machine, way):
    """The Row of one guest, from its second sweep on."""
    backend = 'memory-backend-ram' + way.backend.format(1)
    with machine.guest(
            '-object', f'{backend},id=ram,size={MIB}M', paused=True, wait=True,
            machine='microvm,memory-backend=ram', mem=f'{MIB}M',
            accel=way.accel) as qemu:
        qemu.qmp('cont')
        qemu.wait_text('READY', start.LONG)
        begun = qemu.sweep(start.LONG)[0].ns
        end = time.monotonic() + SECONDS
        points, faults = [(0, 0)], 0
        while time.monotonic() < end:
            sweep, more = qemu.sweep(start.LONG)
            faults += more
            points.append(((sweep.ns - begun) / 1e9, faults))
        info = qemu.qmp('query-prefault').value
        row = Row(way.name, len(points) - 1, faults,
                  info.get('retention', {}).get('lost', '-'), points)
        start.finish(qemu, way)
    return row


def cells(row):
    """A row as the table shows it."""
    return row[:len(HEAD)]
