# SPDX-License-Identifier: GPL-2.0-or-later
"""Poisoned memory under a guest with private memory: real pages, poisoned by
L1's kernel as after a machine check."""
import unittest

from common import BedTest, MIB
from private import PrivateTest
import bed

BED = {'private': True}

ADDRESS = 64 * MIB
DELAY_MS = 3000
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


class Ordinary(BedTest):
    """Without private memory."""

    def poison(self, qemu, address):
        """Poison the page behind a guest address."""
        where = qemu.hmp(f'gpa2hva {address:#x}').split()[-1]
        self.machine.poison(self.machine.pfn(qemu.pid, int(where, 16)))

    def test_between_populating_and_mapping(self):
        """The page is left out, and the run ends soon."""
        for prefault in 'on', 'auto':
            qemu = self.guest(
                f'{prefault},prefault-threads=1', mem='64M', inject='ioctl:'
                f'KVM_PRE_FAULT_MEMORY:count=1:delay-ms={DELAY_MS}')
            qemu.qmp('prefault-start')
            self.until(lambda: self.query(qemu)['populated'], 'populated')
            self.poison(qemu, 0)
            done = self.completed(qemu)
            info = self.query(qemu)
            print(f'# note: {prefault}: {done.data} {info} {qemu.stderr}')
            self.assertEqual(done.data['status'], 'completed')
            self.assertEqual(info['failed'], 4096)
            self.assertEqual(info['mapped'], 64 * MIB - 4096)
            self.assertLess(info['elapsed-ms'], 2 * DELAY_MS)
            self.assertIn('4096 bytes of guest memory left out: poisoned',
                          qemu.stderr)
            qemu.quit()

    def test_after_the_run(self):
        """A reset replaces the page, and maps the new one."""
        qemu = self.guest('on', machine='pc', mem='64M', wait=True, kernel=True)
        self.let_run(qemu)
        self.refilled(qemu)
        self.poison(qemu, ADDRESS // 2)
        since = qemu.qmp('system_reset').sent_ns
        done = self.completed(qemu, since)
        self.assertEqual(done.data['failed'], 0)
        self.until(lambda: qemu.debugcon.count('READY') == 2, 'up')
        info = self.refilled(qemu)
        sweep, faults = qemu.sweep()
        print(f'# note: poisoned and reset: {faults} faults in {sweep.pages} '
              f'pages; {done.data}, {info}')
        self.assertLessEqual(faults, 2)


if __name__ == '__main__':
    unittest.main()
