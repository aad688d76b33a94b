# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux guest comes up on Intel's nested paging, and uses its memory without
faults.  Bochs takes minutes for it."""
import os
import re
import unittest

from bed import linuxfiles
from common import BedTest, bed

BED = {'linux': True}

MIB_OF_RAM = 256
BELOW_1_MIB = 2                 # faults


@unittest.skipUnless(os.environ.get('PREFAULT_LONG'), 'long: it takes minutes')
class LinuxGuest(BedTest):

    kind = bed.IntelMachine

    def test_comes_up(self):
        qemu = self.linux_guest('oops=panic', '-no-reboot', '-no-shutdown',
                                mib=MIB_OF_RAM)
        self.completed(qemu)
        self.until(lambda: linuxfiles.UP in qemu.debugcon or
                   'SHUTDOWN' in [event.name for event in qemu.events], 'up')
        before = qemu.faults()
        end = qemu.wait_event('SHUTDOWN', 600)
        self.assertEqual(end.data['reason'], 'guest-shutdown', qemu.debugcon)
        found = re.search(f'{linuxfiles.SAID}cpus=(.*) mib=(.*)', qemu.debugcon)
        self.assertTrue(found, qemu.debugcon)
        self.assertEqual(int(found[2]), linuxfiles.MIB_EACH)
        print(f'# note: EPT, a Linux guest: {(end.ns - qemu.start_ns) / 1e9:.0f} '
              f's of L1, {before} faults until init ran, '
              f'{qemu.faults() - before} after that, '
              f'{qemu.vm_stats()["pages_2m"]} huge mappings')
        self.assertLessEqual(qemu.faults() - before, BELOW_1_MIB)


if __name__ == '__main__':
    unittest.main()
