# SPDX-License-Identifier: GPL-2.0-or-later
"""EPT without accessed bits: what is mapped in advance still faults, once.

What KVM makes in advance there looks as if it was never used, and the first access
has to mark it: a fault that takes no memory and is soon over.
"""
import unittest

from common import BedTest, bed

BED = {'eptad': False}

MIB_OF_RAM = 128
HUGE = MIB_OF_RAM // 2 - 1


class NoAccessedBits(BedTest):

    kind = bed.IntelMachine

    def test_marking_faults(self):
        """All is mapped, and all faults: but only to be marked."""
        cycles = {}
        for prefault, mapped in (('on', HUGE), ('off', 0)):
            qemu = self.running(prefault, mem=f'{MIB_OF_RAM}M')
            self.assertEqual(qemu.vm_stats()['pages_2m'], mapped)
            sweep, faults = qemu.sweep()
            cycles[prefault] = sweep.total
            print(f'# note: EPT without accessed bits, prefault={prefault}: '
                  f'{faults} faults in {sweep.pages} pages, '
                  f'{sweep.total} cycles')
            self.assertGreater(faults, HUGE)
            qemu.quit()
        self.assertLess(cycles['on'], cycles['off'] / 4)

    def test_is_told(self):
        """Before the start, and in the query."""
        for mode in 'on', 'auto':
            with self.subTest(mode=mode):
                qemu = self.guest(mode)
                self.assertIn("this host's EPT has no accessed bits",
                              qemu.stderr)
                qemu.qmp('cont')
                self.completed(qemu)
                self.assertEqual(self.query(qemu)['exits'],
                                 ['access-tracking'])
                qemu.quit()


if __name__ == '__main__':
    unittest.main()
