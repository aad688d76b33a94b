# SPDX-License-Identifier: GPL-2.0-or-later
"""Huge pages that KVM cuts up where the guest runs code, and makes huge again."""
import unittest

from common import NX_HUGE_PAGES
from resources import ResourceTest
from bed import linuxfiles

BED = {'linux': True}


class Recovery(ResourceTest):

    def test_recovery_thread(self):
        """It drops the pieces: to cut them up again is not left to the guest."""
        self.knob(NX_HUGE_PAGES, 'force')
        qemu = self.linux_guest(linuxfiles.RETURNS, mib=512)
        self.until(lambda: linuxfiles.FREED in qemu.debugcon, 'freed')

        def recover():
            self.knob(f'{NX_HUGE_PAGES}_recovery_ratio', 1)
            self.knob(f'{NX_HUGE_PAGES}_recovery_period_ms', 5000)
        self.assert_mapped_again(qemu, "nx_huge_pages' recovery", recover)


if __name__ == '__main__':
    unittest.main()
