# SPDX-License-Identifier: GPL-2.0-or-later
"""An assigned device: KVM's quirk stays in force, or there is a warning; what it
pins was populated by several threads.
"""
import re
import unittest

from common import MIB, THP
from resources import ResourceTest
from test_limits import SENTENCES

BED = {'vfio': True, 'nodes': 2}

HUGE = 31                       # of 64 MiB, less the first one
KNOWN = 'some guest was seen unstable with an assigned Nvidia GPU'
LARGE = 768                     # MiB
PAIRS = 2
NODE = 128                      # MiB


class VfioTest(ResourceTest):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.device = cls.machine.assignable()

    def setUp(self):
        super().setUp()
        self.knob('/proc/sys/kernel/numa_balancing', 0)


class Vfio(VfioTest):

    def booted(self, prefault, *extra):
        """A guest that SeaBIOS has started, with all mapped again."""
        qemu = self.running(prefault, *extra, machine='pc', kernel=True,
                            mem='64M')
        figures = self.refilled(qemu)
        self.assertEqual(qemu.vm_stats()['pages_2m'], HUGE)
        return qemu, figures

    def test_device_from_the_start(self):
        """auto leaves the quirk alone; refill covers."""
        device = ('-device', f'vfio-pci,host={self.device}')
        qemu, figures = self.booted('on', *device)
        self.assertTrue(figures['slot-zap-all'])
        self.assertLessEqual(qemu.sweep()[1], 2)
        self.assertNotIn(KNOWN, qemu.stderr)
        qemu.quit()
        qemu, figures = self.booted('on,slot-zap-all=off', *device)
        self.assertFalse(figures['slot-zap-all'])
        self.assertLessEqual(qemu.sweep()[1], 2)
        self.assertEqual(qemu.stderr.count(KNOWN), 1, qemu.stderr)
        self.assertIn('slot-zap-all=off with a VFIO device', qemu.stderr)
        qemu.quit()

    def test_device_plugged_later(self):
        """It is too late for the quirk, so a warning says what is known."""
        qemu, figures = self.booted('on')
        self.assertFalse(figures['slot-zap-all'])
        qemu.qmp('device_add', driver='vfio-pci', host=self.device, id='late')
        self.until(lambda: KNOWN in qemu.stderr, 'warned')
        self.assertEqual(qemu.stderr.count(KNOWN), 1, qemu.stderr)
        self.assertIn('start QEMU with slot-zap-all=on', qemu.stderr)
        self.assertLessEqual(qemu.sweep()[1], 2)
        qemu.quit()


class Pinned(VfioTest):
    """VFIO pins all memory when the device is made, before QMP is there."""

    def pinned(self, prefault, *extra, mib=LARGE, **options):
        """A guest with the device, its start held back."""
        return self.guest(prefault, '-device', f'vfio-pci,host={self.device}',
                          *extra, machine='q35', mem=f'{mib}M', kernel=True,
                          **options)

    def test_populated_by_several_threads(self):
        """How long QMP is not there, with and without."""
        self.knob(f'{THP}/enabled', 'never')
        self.until_qmp('on')                # L1's own memory is there then
        took = [(self.until_qmp('off')[0], *self.until_qmp('on'))
                for _ in range(PAIRS)]
        for off, on, said in took:
            print(f'# note: {LARGE} MiB of 4 KiB pages: QMP after {off:.0f} ms '
                  f'without prefault, {on:.0f} ms with it: {said.strip()}')
            found = re.search(r'(\d+) bytes by (\d+) threads', said)
            self.assertGreater(int(found[1]), (LARGE - 1) * MIB)
            self.assertEqual(int(found[2]), 2)

    def until_qmp(self, prefault):
        """Milliseconds until QMP is there, and the trace."""
        log = self.new_path('trace')
        qemu = self.pinned(prefault, '-D', log, '-trace',
                           'prefault_before_pinning')
        took = (self.machine.now_ns() - qemu.start_ns) / 1e6
        qemu.quit()
        return took, self.machine.read(log)

    def test_each_near_its_memory(self):
        """As the backends' policies say."""
        words = []
        for node in 0, 1:
            words += ['-object', f'memory-backend-ram,id=m{node},policy=bind,'
                      f'size={NODE + node * 16}M,host-nodes={1 - node}',
                      '-numa', f'node,memdev=m{node}']
        qemu = self.pinned('on', *words, mib=2 * NODE + 16, smp=2)
        for node in 0, 1:
            nodes = self.on_nodes(qemu, NODE + node * 16)
            print(f'# note: bound to host node {1 - node}: KiB by node {nodes}')
            self.assertEqual(set(nodes), {1 - node})
        qemu.quit()

    def test_too_little_memory(self):
        """QEMU ends with the sentence, and nothing is killed."""
        path = self.cgroup('little', memory_max=LARGE // 2 * MIB)
        qemu = self.pinned('on', connect=False, prefix=self.entering(path))
        self.assertEqual(qemu.wait_exit(), 1)
        print(f'# note: {qemu.stderr.strip()}')
        self.assertRegex(qemu.stderr, 'prefault=on: ' +
                         SENTENCES['cgroup'].format('/little'))
        self.assertIn('oom_kill 0', self.machine.read(f'{path}/memory.events'))


if __name__ == '__main__':
    unittest.main()
