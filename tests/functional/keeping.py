# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests whose mappings the host would take, and what the host does it with."""
import os
import time

from common import THP
from resources import ResourceTest

SIZE = 256                      # MiB
LITTLE = 64
LAYOUTS = 1200, 700, 0          # MiB in use before the guest's
# At the kernel's own pace, of a second at least between two looks, or at a faster one
# that has as many in less time
LONG = bool(os.environ.get('PREFAULT_LONG'))
SECONDS = 40 if LONG else 4
SCANS = {} if LONG else {'scan_delay_ms': 200, 'scan_period_min_ms': 200,
                         'scan_period_max_ms': 2000}
FEW = 20                        # faults in all that time

BALANCING = '/proc/sys/kernel/numa_balancing'
PACE = '/sys/kernel/debug/sched/numa_balancing'
KSM = '/sys/kernel/mm/ksm'
SPLIT = '/sys/kernel/debug/split_huge_pages'


class KeepTest(ResourceTest):

    def setUp(self):
        super().setUp()
        self.knob(BALANCING, 1)
        for name, ms in SCANS.items():
            self.knob(f'{PACE}/{name}', ms)

    def vm(self, keep=None, backend='ram', *extra, cpus=None, mib=SIZE,
           **options):
        """A microvm after its run, that writes its memory when told to."""
        prefault = 'on' + (f',prefault-keep={keep}' if keep else '')
        qemu = self.guest(
            prefault, '-object', f'memory-backend-{backend},id=ram,'
            f'size={mib}M', *extra, mem=f'{mib}M', wait=True,
            machine='microvm,memory-backend=ram', **options)
        if cpus is not None:
            self.pin(qemu, cpus)
        qemu.qmp('cont')
        self.assertEqual(self.completed(qemu).data['status'], 'completed')
        qemu.wait_text('READY')
        return qemu

    def sweeps(self, qemu, what, seconds=SECONDS):
        """The guest writes all of it again and again; faults, and sweeps."""
        end = time.monotonic() + seconds
        faults = number = 0
        while time.monotonic() < end:
            faults += qemu.sweep()[1]
            number += 1
        print(f'# note: {what}: {faults} faults in {number} sweeps of '
              f'{SIZE} MiB, {seconds} s')
        return faults

    def sweeps_until(self, qemu, condition, what):
        """The guest writes all of it until the condition holds."""
        def holds():
            if condition():
                return True
            qemu.sweep()
            return False
        self.until(holds, what)

    def merge_all(self, qemu):
        """KSM looks at all of it; returns the pages that it has merged."""
        self.knob(f'{KSM}/pages_to_scan', 100000)
        self.knob(f'{KSM}/sleep_millisecs', 1)
        self.undo(f'echo 2 > {KSM}/run')
        self.machine.write(f'{KSM}/run', '1')
        scans = int(self.machine.read(f'{KSM}/full_scans'))
        self.until(lambda: int(self.machine.read(f'{KSM}/full_scans')) >
                   scans + 2, 'KSM has looked at all of it')
        return int(self.machine.read(f'/proc/{qemu.pid}/ksm_merging_pages'))

    def retention(self, qemu):
        return self.query(qemu)['retention']

    def reclaim(self, path, mib):
        """The host takes so much from a cgroup, as far as it can."""
        self.machine.run('/bin/sh', '-c', 'timeout 5 sh -c "echo '
                         f'{mib}M > {path}/memory.reclaim"')

    def compacted(self, keep):
        """Guests of small pages after compaction, which moves those of some: it
        depends on what else there was.
        """
        self.knob(f'{THP}/enabled', 'never')
        folder = self.tmpfs(2048)
        for mib in LAYOUTS:
            self.sh(f'dd if=/dev/zero of={folder}/low bs=1M count={mib} '
                    '2>/dev/null')
            qemu = self.vm(keep)
            qemu.sweep()
            self.sh(f'rm {folder}/low')
            self.machine.write('/proc/sys/vm/compact_memory', '1')
            self.sh('sleep 1')
            yield qemu
            qemu.quit()
