# SPDX-License-Identifier: GPL-2.0-or-later
"""An assigned device: KVM's quirk stays in force, or there is a warning."""
import unittest

from common import BedTest

BED = {'vfio': True}

HUGE = 31                       # of 64 MiB, less the first one
KNOWN = 'some guest was seen unstable with an assigned Nvidia GPU'


class Vfio(BedTest):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.device = cls.machine.assignable()

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


if __name__ == '__main__':
    unittest.main()
