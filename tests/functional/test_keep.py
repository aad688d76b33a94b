# SPDX-License-Identifier: GPL-2.0-or-later
"""Mappings that the host would take: it is kept from that, or it is noticed.

L1 has two nodes with a CPU each, and NUMA balancing is on, as on any such host.
"""
import os
import time
import unittest

from common import MIB
from resources import ResourceTest

BED = {'nodes': 2}

SIZE = 256                      # MiB
LITTLE = 64
SECONDS = 40 if os.environ.get('PREFAULT_LONG') else 12
FEW = 20                        # faults in all that time

BALANCING = '/proc/sys/kernel/numa_balancing'
THP = '/sys/kernel/mm/transparent_hugepage'
KSM = '/sys/kernel/mm/ksm'
WARNING = "prefault: the host's NUMA balancing takes mappings of"


class KeepTest(ResourceTest):

    def setUp(self):
        super().setUp()
        self.knob(BALANCING, 1)

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

    def retention(self, qemu):
        return self.query(qemu)['retention']


class Balancing(KeepTest):

    def test_off(self):
        """What the host does if nobody keeps it from that."""
        qemu = self.vm('off')
        faults = self.sweeps(qemu, 'keep=off')
        self.assertGreater(faults, FEW)
        self.assertEqual(self.retention(qemu)['lost'], 0)

    def test_on(self):
        qemu = self.vm('on')
        self.assertLessEqual(self.sweeps(qemu, 'keep=on'), FEW)
        self.assertNotIn('balanced', self.query(qemu))
        self.assertNotIn(WARNING, qemu.stderr)

    def test_auto_pinned(self):
        qemu = self.vm(cpus=[1])
        self.assertLessEqual(self.sweeps(qemu, 'auto, pinned'), FEW)
        self.assertNotIn('balanced', self.query(qemu))
        self.assertNotIn(WARNING, qemu.stderr)

    def test_auto_floating(self):
        """The sentence, and what is lost is mapped again."""
        qemu = self.vm()
        self.assertIn(WARNING, qemu.stderr)
        self.assertGreaterEqual(self.query(qemu)['balanced'], SIZE * MIB)
        faults = self.sweeps(qemu, 'auto, floating')
        info = self.retention(qemu)
        print(f'# note: floating: {info}, {faults} faults')
        self.assertGreater(info['lost'], 0)


class Noticed(KeepTest):
    """What the host takes all the same is mapped again; the guest is idle."""

    def setUp(self):
        super().setUp()
        self.knob(BALANCING, 0)

    def assert_mapped_again(self, qemu, what, take, taken_all):
        """take() takes mappings; then the guest writes all without a fault.

        taken_all() says when the host has come to the end.
        """
        lost = self.retention(qemu)['lost']
        start = self.machine.now_ns()
        take()
        taken = self.machine.now_ns()
        self.until(lambda: self.retention(qemu)['lost'] > lost and taken_all(),
                   what)
        self.until(lambda: not self.retention(qemu)['refill-pending'], what)
        noticed = self.machine.now_ns()
        info = self.retention(qemu)
        print(f'# note: {what}: {(taken - start) / 1e6:.0f} ms, '
              f'{info["lost"] - lost} bytes lost, {info["remapped"]} mapped '
              f'again after {(noticed - taken) / 1e6:.0f} ms')
        faults = qemu.sweep()[1]
        print(f'# note: {what}: {faults} faults in a sweep')
        return faults

    def test_moved_to_another_node(self):
        """By a cpuset that changes."""
        path = self.cgroup('mems')
        self.sh('echo +cpuset > /sys/fs/cgroup/cgroup.subtree_control; '
                f'echo 0 > {path}/cpuset.mems')
        qemu = self.vm('on', prefix=self.entering(path))
        since = self.machine.now_ns()
        for node in 1, 0:
            faults = self.assert_mapped_again(
                qemu, f'memory moves to node {node}',
                lambda n=node: self.machine.write(f'{path}/cpuset.mems',
                                                  str(n)),
                lambda n=node: set(self.on_nodes(qemu, SIZE)) == {n})
            self.assertLessEqual(faults, 8)
        event = qemu.wait_event('PREFAULT_LOST', since_ns=since)
        self.assertGreater(event.data['lost'], 0)


class Known(KeepTest):
    """A reset does not walk what is known to be mapped."""

    def test_what_was_lost_is_walked(self):
        """A file loses its pages behind QEMU's back, right before a reset."""
        self.knob(BALANCING, 0)
        folder = self.tmpfs(SIZE + 1)
        qemu = self.vm('on', f'file,mem-path={folder}/f,share=on')
        self.sh(f'truncate -s 16M {folder}/f; truncate -s {SIZE}M {folder}/f')
        since = qemu.qmp('system_reset').sent_ns
        done = self.completed(qemu, since).data
        self.assertEqual(done['status'], 'completed')
        self.assertIn(f'{SIZE}', self.sh(f'du -m {folder}/f'))
        self.until(lambda: qemu.debugcon.count('READY') > 1, 'reset')
        self.assertEqual(qemu.sweep()[1], 0)


class Merging(KeepTest):
    """KSM; the guest's pages are all alike."""

    def merged(self, keep):
        """(pages that KSM has merged, faults of a sweep after that)."""
        self.knob(BALANCING, 0)
        self.knob(f'{THP}/enabled', 'never')
        qemu = self.vm(keep, mib=LITTLE)
        qemu.sweep()
        self.knob(f'{KSM}/pages_to_scan', 100000)
        self.knob(f'{KSM}/sleep_millisecs', 1)
        self.undo(f'echo 2 > {KSM}/run')
        self.machine.write(f'{KSM}/run', '1')
        scans = int(self.machine.read(f'{KSM}/full_scans'))
        self.until(lambda: int(self.machine.read(f'{KSM}/full_scans')) >
                   scans + 2, 'KSM has looked at all of it')
        merged = int(self.machine.read(
            f'/proc/{qemu.pid}/ksm_merging_pages'))
        faults = qemu.sweep()[1]
        print(f'# note: keep={keep}: KSM has merged {merged} pages, {faults} '
              'faults in a sweep')
        return merged, faults

    def test_on(self):
        merged, faults = self.merged('on')
        self.assertLess(merged, 1024)           # of QEMU's own
        self.assertEqual(faults, 0)

    def test_off(self):
        merged, faults = self.merged('off')
        self.assertGreater(merged, 10 * LITTLE)
        self.assertGreater(faults, 10 * LITTLE)


if __name__ == '__main__':
    unittest.main()
