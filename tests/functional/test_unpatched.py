# SPDX-License-Identifier: GPL-2.0-or-later
"""Without prefault, QEMU asks KVM for what the unpatched QEMU asks for."""
import re
import unittest

from common import bed

MACHINES = ('pc', 'q35')
CALL = re.compile(r'kvm_set_user_memory (.*)')
# Where memory lies in QEMU differs from one run to the next
ADDRESS = re.compile(r' ua=0x[0-9a-f]+')


class Unpatched(unittest.TestCase):
    """On this host's KVM: memslots do not depend on nested paging."""

    @classmethod
    def setUpClass(cls):
        cls.pristine = str(bed.artifacts.pristine_qemu())
        cls.machine = bed.HostMachine()
        cls.addClassCleanup(cls.machine.close)

    def calls(self, machine, accel, binary=None):
        """What KVM_SET_USER_MEMORY_REGION was asked for until the guest runs."""
        log = self.machine.scratch('trace')
        with self.machine.guest('-D', log, '-trace', 'kvm_set_user_memory',
                                machine=machine, accel=accel, wait=True,
                                kernel=True, mem='160M',
                                binary=binary) as qemu:
            qemu.wait_text('READY')
            qemu.qmp('stop')        # else what follows is a matter of time
        return [ADDRESS.sub('', call)
                for call in CALL.findall(self.machine.read(log))]

    def test_memslots(self):
        """Call for call the same; with prefault, where it can map, others."""
        for machine in MACHINES:
            with self.subTest(machine=machine):
                pristine = self.calls(machine, 'kvm', self.pristine)
                print(f'# note: {machine}: {len(pristine)} calls of '
                      'KVM_SET_USER_MEMORY_REGION without prefault')
                self.assertEqual(self.calls(machine, 'kvm'), pristine)
                # Off is the default: to say so once is enough
                if machine == 'q35':
                    self.assertEqual(self.calls(machine, 'kvm,prefault=off'),
                                     pristine)
                    self.assertEqual(
                        self.calls(machine, 'kvm,prefault=auto') == pristine,
                        bool(bed.cannot_prefault()))


if __name__ == '__main__':
    unittest.main()
