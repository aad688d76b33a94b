# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that loses all mappings at once, and how long it takes to map them again.

Machine pc with slot-zap-all=on: each change of the memory map costs all mappings.
"""
import re
import time

from .tracelog import events

MIB = 1 << 20
# Less than is dropped: firmware's memory below 1 MiB, what firmware keeps
NOT_OURS = 8 * MIB

TIMER = re.compile(r'owed (\d+) active 1$')
# What each vCPU maps on its own thread
MAPPED = re.compile(r'CPU (\d+): .* mapped (0x\w+)')
FINISH = re.compile('.* owed 0$')


class Owing:
    """The guest.  It halts after firmware, and writes its memory when asked to."""

    def __init__(self, machine, mib, threads, vcpus=2):
        self.least = mib * MIB - NOT_OURS
        self.log = machine.scratch(f'trace-of-{threads}')
        self.machine = machine
        self.qemu = machine.guest(
            '-msg', 'timestamp=on', '-D', self.log, '-trace',
            'prefault_background_*', '-trace', 'kvm_own_thread_map',
            machine='pc', kernel=True, wait=True, mem=f'{mib}M', smp=vcpus,
            paused=True,
            accel=f'kvm,prefault=on,slot-zap-all=on,prefault-threads={threads}')
        self.qemu.qmp('cont')
        self.qemu.wait_text('READY', 120)
        self.wait()

    def query(self):
        """query-prefault's answer."""
        return self.qemu.qmp('query-prefault').value

    def wait(self):
        """Until nothing is owed; returns the query."""
        for _ in range(6000):
            query = self.query()
            if not query['owed']:
                return query
            time.sleep(0.02)
        raise TimeoutError(f'still owed: {query}')

    def drop(self):
        """All mappings are gone, and not yet back; returns the query."""
        self.qemu.flip_pam()
        return self.query()

    def shares(self):
        """What each vCPU has mapped since QEMU began [bytes]: {index: bytes}."""
        shares = {}
        for _, mapped in self.found('kvm_own_thread_map', MAPPED):
            cpu = int(mapped[1])
            shares[cpu] = shares.get(cpu, 0) + int(mapped[2], 0)
        return shares

    def found(self, event, pattern):
        """[(seconds, match)] of the events of the name that say it."""
        return [(at, match) for at, name, said in
                events(self.machine.read(self.log)) if name == event
                for match in [pattern.match(said)] if match]

    def seconds(self):
        """How long it takes to map all memory again, by QEMU's clock."""
        self.drop()
        self.wait()
        begun = [at for at, owed in self.found('prefault_background_timer', TIMER)
                 if int(owed[1]) > self.least]
        ended = [at for at, _ in self.found('prefault_background_finish', FINISH)]
        if not begun or not ended:
            raise ValueError('no run in the trace: '
                             f'{self.machine.read(self.log)[-500:]}')
        return ended[-1] - begun[-1]
