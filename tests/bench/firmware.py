# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of firmware: what it costs, and what of the mappings it leaves.

Needs OVMF.  Boots are comparable where the machine's clock counts emulated
instructions.
"""
import collections
import contextlib
import time

import bed
import start
from prefaultlib import say
from prefaultlib.err import Fail

MIB = 512
HEAD = ('firmware', 'way', 'memslots deleted', 'faults until the guest',
        'huge mappings then', 'faults in its sweep', 'boot, ms')
LOOK_SECONDS = 0.02             # between two samples
REST_SECONDS = 1                # before the guest writes its memory, and after
SLOW_SECONDS = 300              # a boot that takes longer hangs

# uefi: OVMF instead of the machine's own
Firmware = collections.namedtuple('Firmware', 'name machine uefi')
FIRMWARE = (Firmware('SeaBIOS, pc', 'pc', False),
            Firmware('SeaBIOS, q35', 'q35', False),
            Firmware('OVMF, q35', bed.OVMF_MACHINE, True))

# Mapped before the guest's start and never after: any deletion of a memslot
# drops all, and refill is told (PAGEMAP_SCAN) that the host has nothing
ONCE = start.Way('prefault=on, mapped once',
                 'kvm,prefault=on,slot-zap-all=on,prefault-keep=off', '',
                 'ioctl:0xc0606610:return=0')
WAYS = (start.OFF, ONCE, start.AS_IT_IS)

Row = collections.namedtuple(
    'Row', 'firmware way deleted before huge sweep boot_ns')

# points: (seconds since RESUME, faults since then); writes: the seconds at which the
# guest began to write all of its memory
Boot = collections.namedtuple('Boot', 'firmware way points writes')


def measure(machine):
    """Boot each firmware in each way; returns the rows."""
    todo = [(firmware, way) for firmware in FIRMWARE for way in WAYS]
    rows = []
    for number, (firmware, way) in enumerate(todo, 1):
        say.step(f'firmware, {number} of {len(todo)}: {firmware.name}, '
                 f'{way.name}')
        rows.append(booted(machine, firmware, way))
    return rows


def booted(machine, firmware, way):
    """One boot, and a sweep by the guest once nothing is pending; a Row."""
    log = machine.scratch('memslots')
    with resumed(machine, firmware, way, '-D', log,
                 '-trace', 'kvm_set_user_memory') as (qemu, begun):
        boot_ns = qemu.wait_text('READY', start.LONG).ns - begun
        deleted = machine.read(log).count(' size=0x0 ')
        until(lambda: not pending(qemu))
        before, huge = qemu.faults(), qemu.vm_stats()['pages_2m']
        _, faults = qemu.sweep(start.LONG)
        row = Row(firmware.name, way.name, deleted, before, huge, faults,
                  boot_ns)
        start.finish(qemu, way)
    return row


@contextlib.contextmanager
def resumed(machine, firmware, way, *extra):
    """A guest that firmware begins to boot: QEMU, and the time of its RESUME."""
    flash = machine.ovmf(machine.variables()) if firmware.uefi else []
    with machine.guest(*flash, *extra, machine=firmware.machine, mem=f'{MIB}M',
                       accel=way.accel, inject=way.inject, wait=True,
                       kernel='guest.efi' if firmware.uefi else True,
                       paused=True) as qemu:
        qemu.qmp('cont')
        yield qemu, qemu.wait_event('RESUME', start.LONG).ns


def pending(qemu):
    """Bytes that are to be mapped again."""
    return qemu.qmp('query-prefault').value.get('retention', {}).get(
        'refill-pending')


def watch(machine):
    """Faults over time while each firmware boots and the guest then writes all of
    its memory; the Boots.  For a machine with a clock as others have."""
    boots = []
    for firmware in FIRMWARE:
        for way in WAYS:
            say.step(f'faults over time: {firmware.name}, {way.name}')
            with resumed(machine, firmware, way) as (qemu, begun):
                boots.append(watched(qemu, begun, firmware, way))
    return boots


def until(over, look=lambda: None):
    """Look again and again until it is over."""
    end = time.monotonic() + SLOW_SECONDS
    while not over():
        if time.monotonic() > end:
            raise Fail(f'a boot was not over after {SLOW_SECONDS} s')
        look()


def watched(qemu, begun, firmware, way):
    """The Boot of one guest."""
    points, before = [], qemu.faults()

    def look():
        points.append(((qemu.machine.now_ns() - begun) / 1e9,
                       qemu.faults() - before))
        time.sleep(LOOK_SECONDS)

    def rest():
        end = time.monotonic() + REST_SECONDS
        until(lambda: time.monotonic() > end, look)

    until(lambda: 'READY' in qemu.debugcon and not pending(qemu), look)
    rest()
    writes = (qemu.qmp('inject-nmi').sent_ns - begun) / 1e9
    until(lambda: qemu.sweeps, look)
    rest()
    start.finish(qemu, way)
    return Boot(firmware.name, way.name, points, writes)


def cells(row):
    """A row as the table shows it."""
    return (row.firmware, row.way, row.deleted, row.before, row.huge,
            row.sweep, f'{row.boot_ns / 1e6:.0f}')
