# SPDX-License-Identifier: GPL-2.0-or-later
"""Poisoned memory under a guest with private memory: real pages, poisoned by
L1's kernel as after a machine check."""
import unittest

from common import MIB
from private import PrivateTest
import bed

BED = {'private': True}

ADDRESS = 64 * MIB
NO_VALUE = (1 << 64) - 1        # what the guest prints for a page it cannot read


class Poison(PrivateTest):

    def touching(self, state, **options):
        """A guest that is going to touch one page, and the page's frame."""
        qemu = self.private(
            state, *bed.convert(touch=ADDRESS), machine='pc', mem='128M',
            bios='convert.bin', wait=True, **options)
        self.let_run(qemu)
        pid = qemu.process.pid
        if state == 'private':
            return qemu, self.machine.private_pfn(pid, ADDRESS)
        where = qemu.hmp(f'gpa2hva {ADDRESS:#x}').split()[-1]
        return qemu, self.machine.pfn(pid, int(where, 16))

    def assert_touched(self, qemu, machine_checks):
        """The guest touches the page, and reads it if it is whole."""
        qemu.go()
        seen = qemu.conversions('touch')[-1]
        self.assertEqual(seen['machine_checks'], machine_checks)
        self.assertEqual(seen['value'] == seen['wanted'], not machine_checks)
        self.assertEqual(seen['value'] == NO_VALUE, bool(machine_checks))

    def test_guest_is_told(self):
        """A machine check with the address; the guest and QEMU go on."""
        for state in 'private', 'shared':
            with self.subTest(state=state):
                qemu, pfn = self.touching(state)
                self.assert_touched(qemu, 0)
                self.machine.poison(pfn)
                self.assert_touched(qemu, 1)
                event = qemu.wait_event('MEMORY_FAILURE')
                self.assertEqual(event.data['recipient'], 'guest')
                self.assertEqual(event.data['action'], 'inject')
                bank, = qemu.conversions('bank')
                self.assertEqual(bank['address'] & ~0xfff, ADDRESS)
                self.assertEqual(self.run_state(qemu), 'running')
                print(f'# note: {state}: {event.data}, {bank}')

    def test_reset_replaces_the_page(self):
        for state in 'private', 'shared':
            with self.subTest(state=state):
                qemu, pfn = self.touching(state)
                self.machine.poison(pfn)
                self.assert_touched(qemu, 1)
                self.assert_reset_mends(qemu)
                self.assert_touched(qemu, 0)

    def test_guest_that_cannot_be_told(self):
        for state, what in (('private', 'KVM_EXIT_MEMORY_FAULT'),
                            ('shared', 'SIGBUS')):
            with self.subTest(state=state):
                qemu, pfn = self.touching(state, cpu='host,-mca')
                self.machine.poison(pfn)
                qemu.qmp('inject-nmi')
                self.assert_stopped(
                    qemu, f'{what}: guest address {ADDRESS:#x}, size 0x1000')
                # Shared memory: QEMU heard of it before the guest touched it
                self.assertIn(
                    ('hypervisor', 'fatal'),
                    [(event.data['recipient'], event.data['action'])
                     for event in qemu.events if event.name == 'MEMORY_FAILURE'])
                self.assert_said(qemu, "the host's memory is poisoned, and the "
                                 'guest cannot be told: it is stopped')


if __name__ == '__main__':
    unittest.main()
