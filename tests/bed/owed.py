# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that loses all mappings at once, and how long it takes to map them again.

Machine pc with slot-zap-all=on: each change of the memory map costs all mappings.
"""
import re
import time
from datetime import datetime

MIB = 1 << 20
# Less than is dropped: firmware's memory below 1 MiB, what firmware keeps
NOT_OURS = 8 * MIB

TIMER = re.compile(r'^(\S+)Z prefault_background_timer owed (\d+) active 1$', re.M)
# What each vCPU maps on its own thread
MAPPED = re.compile(r'^\S+Z kvm_own_thread_map CPU (\d+): .* mapped (0x\w+)',
                    re.M)
FINISH = re.compile(r'^(\S+)Z prefault_background_finish .* owed 0$', re.M)


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
        for cpu, mapped in MAPPED.findall(self.machine.read(self.log)):
            shares[int(cpu)] = shares.get(int(cpu), 0) + int(mapped, 0)
        return shares

    def seconds(self):
        """How long it takes to map all memory again, by QEMU's clock."""
        self.drop()
        self.wait()
        said = self.machine.read(self.log)
        begun = [when for when, owed in TIMER.findall(said)
                 if int(owed) > self.least]
        ended = FINISH.findall(said)
        if not begun or not ended:
            raise ValueError(f'no run in the trace: {said[-500:]}')
        return (datetime.fromisoformat(ended[-1])
                - datetime.fromisoformat(begun[-1])).total_seconds()
