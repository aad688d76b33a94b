# SPDX-License-Identifier: GPL-2.0-or-later
"""What a guest still exits for when it first touches memory that is mapped.

kvm.nx_huge_pages makes each huge page one that nobody may execute code in.  On
Intel's nested paging see tests/intel.
"""
import unittest

from common import BedTest, NX_HUGE_PAGES

MIB_OF_RAM = 64
HUGE = MIB_OF_RAM // 2 - 1
SENTENCE = 'kvm.nx_huge_pages is in force'


class FirstTouch(BedTest):

    def executes(self, nx_huge_pages, prefault='on'):
        """A guest that is about to execute code in each of its pages."""
        self.knob(NX_HUGE_PAGES, nx_huge_pages)
        return self.running(prefault, '-fw_cfg',
                            'name=opt/prefault/execute,string=1',
                            mem=f'{MIB_OF_RAM}M')

    def faults(self, qemu, what):
        sweep, faults = qemu.sweep()
        print(f'# note: {what}: {faults} faults while code is executed in '
              f'{sweep.pages} pages')
        return faults

    def test_execution(self):
        """Nothing of it where the host lets guests execute in huge pages."""
        for value, faults, exits in (('N', 0, None),
                                     ('force', HUGE, ['execution'])):
            with self.subTest(nx_huge_pages=value):
                qemu = self.executes(value)
                self.assertEqual(SENTENCE in qemu.stderr, bool(exits))
                self.assertEqual(self.query(qemu).get('exits'), exits)
                self.assertEqual(self.faults(qemu, f'nx_huge_pages={value}'),
                                 faults)
                self.assertEqual('execution' in qemu.hmp('info prefault'),
                                 bool(exits))
                qemu.quit()

    def test_without_prefault(self):
        """It is not told where nothing was promised."""
        qemu = self.executes('force', 'off')
        self.assertNotIn(SENTENCE, qemu.stderr)
        self.assertNotIn('exits', self.query(qemu))


if __name__ == '__main__':
    unittest.main()
