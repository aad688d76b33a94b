# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of firmware: what it costs, and what of the mappings it leaves.

Needs a machine whose clock counts emulated instructions, with OVMF.
"""
import collections

import bed
import start
from prefaultlib import say

MIB = 512
HEAD = ('firmware', 'way', 'memslots deleted', 'faults until the guest',
        'huge mappings then', 'faults in its sweep',
        'boot, million instructions')

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
OURS = start.Way('prefault=on', 'kvm,prefault=on', '', None)
WAYS = (start.OFF, ONCE, OURS)

Row = collections.namedtuple(
    'Row', 'firmware way deleted before huge sweep boot_ns')


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
    flash = machine.ovmf(machine.variables()) if firmware.uefi else []
    with machine.guest(*flash, '-D', log,
                       '-trace', 'kvm_set_user_memory',
                       machine=firmware.machine, mem=f'{MIB}M',
                       accel=way.accel, inject=way.inject, wait=True,
                       kernel='guest.efi' if firmware.uefi else True,
                       paused=True) as qemu:
        qemu.qmp('cont')
        resumed = qemu.wait_event('RESUME', start.LONG).ns
        boot_ns = qemu.wait_text('READY', start.LONG).ns - resumed
        deleted = machine.read(log).count(' size=0x0 ')
        while qemu.qmp('query-prefault').value.get(
                'retention', {}).get('refill-pending'):
            pass
        before, huge = qemu.faults(), qemu.vm_stats()['pages_2m']
        _, faults = qemu.sweep(start.LONG)
        row = Row(firmware.name, way.name, deleted, before, huge, faults,
                  boot_ns)
        start.finish(qemu, way)
    return row


def cells(row):
    """A row as the table shows it."""
    return (row.firmware, row.way, row.deleted, row.before, row.huge,
            row.sweep, f'{row.boot_ns / 1e6:.0f}')
