# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel without private memory, as distributions have it."""
import unittest

from common import BedTest, takes_qemu
import bed


class OrdinaryKernel(BedTest):

    @takes_qemu('10.1')
    def test_vm_type_is_refused(self):
        """What is missing is named."""
        with self.assertRaisesRegex(
                bed.BedError, r'vm-type sw-protected-vm \(takes Linux 6.8 or '
                r'later with CONFIG_KVM_SW_PROTECTED_VM, and nested paging\) '
                'not supported by KVM'):
            self.machine.guest(
                '-object', 'sw-protected-vm,id=cgs0', paused=True,
                machine='microvm,confidential-guest-support=cgs0')


if __name__ == '__main__':
    unittest.main()
