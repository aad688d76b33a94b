# SPDX-License-Identifier: GPL-2.0-or-later
"""The test bed: our QEMU on a real KVM with nested paging, anywhere.

    import bed

    machine = bed.shared()                  # boots once, 5 to 10 s
    with machine.guest(mem='256M', accel='kvm,prefault=on') as qemu:
        event = qemu.wait_event('PREFAULT_COMPLETED', 30)
        result = qemu.wait_sweep()          # the guest wrote all its RAM
        print(result.median, qemu.vcpu_stats()['pf_fixed'])

A *machine* is where QEMU under test runs: BedMachine boots a stock Debian
kernel with kvm-amd and nested paging under emulation, with two NUMA nodes if
asked (nodes=2); IntelMachine the same kernel with kvm-intel and EPT, slower;
HostMachine is this host's own KVM.  All offer the same methods
(machine.Machine), and all times come from the machine's own CLOCK_MONOTONIC,
taken by tests/agent beside QEMU.
What cannot be had is a unittest.SkipTest that names it.  Nothing started here
outlives the Python process: the agent kills its children when its channel
closes, and L1 then switches itself off.

Nested paging is emulated, AMD's by TCG and Intel's by Bochs: cycle and time
figures are those of an emulator, counts of faults and mappings are KVM's own.
"""
from .machine import (BedMachine, Machine, OVMF_MACHINE, convert, release,
                      shared)
from .host import HostMachine, cannot_prefault
from .intel import IntelMachine
from .domain import Domain
from .libvirt import HostLibvirt, Libvirt, LockingLibvirt, VirshError
from .qemu import Qemu, QmpError, Sweep
from .link import BedError, BedTimeout

__all__ = ['BedMachine', 'IntelMachine', 'HostMachine', 'cannot_prefault',
           'Machine', 'OVMF_MACHINE', 'convert', 'release', 'shared', 'Qemu',
           'QmpError', 'Sweep', 'Domain', 'Libvirt', 'LockingLibvirt',
           'HostLibvirt',
           'VirshError', 'BedError', 'BedTimeout']
