# SPDX-License-Identifier: GPL-2.0-or-later
"""A reset that makes a new VM: all that KVM was told before is gone.

QEMU 11.0 and later do that for a guest whose vCPUs cannot be reset, and for any
with -machine x-change-vmfd-on-reset=on.
"""
import unittest

from common import MIB, RUN_SECONDS, takes_qemu
from private import PrivateTest

BED = {'private': True}

MIB_OF_RAM = 512
RESETS = 20
NEW_VM = 'x-change-vmfd-on-reset=on'
SLOW = 'madvise:MADV_POPULATE_WRITE:delay-ms=60'
# Of a new VM: KVM_CAP_DISABLE_QUIRKS2 worked for the first one
NO_CHOICE = 'ioctl:KVM_ENABLE_CAP/213:from=2:errno=EINVAL'


@takes_qemu('11.0')
class NewVM(PrivateTest):

    def booted(self, **options):
        """A guest that firmware has started, and that halts."""
        return self.running(machine=f'q35,{NEW_VM}', kernel=True,
                            mem=f'{MIB_OF_RAM}M', **options)

    def reset(self, qemu):
        """Returns the event of the run, once the guest has started again."""
        started = qemu.debugcon.count('READY')
        since = qemu.qmp('system_reset').sent_ns
        done = self.completed(qemu, since)
        self.assertEqual(done.data['status'], 'completed')
        self.until(lambda: qemu.debugcon.count('READY') > started, 'started')
        return done

    def descriptors(self, qemu):
        return len(self.machine.run('/bin/ls', f'/proc/{qemu.pid}/fd')[1].split())

    def test_resets(self):
        """The same is mapped after each, and nothing is left over."""
        qemu = self.booted()
        first = self.assert_all_mapped(qemu, MIB_OF_RAM, 'the first VM')
        mapped, seen = self.query(qemu)['mapped-now'], set()
        descriptors = self.descriptors(qemu)
        for _ in range(RESETS):
            seen.add(self.reset(qemu).data['mapped'])
            figures = self.assert_all_mapped(qemu, MIB_OF_RAM, 'a new VM')
            self.assertFalse(figures['slot-zap-all'])
        now = self.query(qemu)['mapped-now']
        print(f'# note: {RESETS} resets: {seen} bytes mapped in each, '
              f'{now - mapped} more than at first, '
              f'{self.descriptors(qemu) - descriptors} descriptors more')
        self.assertEqual(len(seen), 1)
        self.assertLess(abs(now - mapped), MIB)
        self.assertLessEqual(self.descriptors(qemu), descriptors)
        self.assertEqual(first['slot-zap-all'], figures['slot-zap-all'])

    def test_quirk_that_cannot_be_disabled_again(self):
        qemu = self.booted(inject=NO_CHOICE)
        self.reset(qemu)
        self.assertTrue(self.refilled(qemu)['slot-zap-all'])
        self.assertIn('KVM_X86_QUIRK_SLOT_ZAP_ALL cannot be disabled for the '
                      'VM that this reset has made', qemu.stderr)
        self.assert_all_mapped(qemu, MIB_OF_RAM, 'a new VM, its quirk in force')
        self.assert_injected(qemu)

    def test_while_the_start_is_held(self):
        """Workers use the old vCPUs' descriptors until then."""
        qemu = self.guest(machine=f'q35,{NEW_VM}', kernel=True, wait=True,
                          mem=f'{MIB_OF_RAM}M', inject=SLOW)
        qemu.qmp('cont')
        self.until(lambda: self.query(qemu).get('mapped', 0), 'begun')
        since = qemu.qmp('system_reset').sent_ns
        self.assertEqual(self.completed(qemu, since).data['status'],
                         'completed')
        self.resumed(qemu)
        qemu.wait_text('READY', RUN_SECONDS)
        self.assert_all_mapped(qemu, MIB_OF_RAM, 'reset while held')

    def test_behind_a_guest_that_runs(self):
        qemu = self.guest('background', machine=f'q35,{NEW_VM}', kernel=True,
                          wait=True, mem=f'{MIB_OF_RAM}M', inject=SLOW)
        self.let_run(qemu)
        self.assertEqual(self.query(qemu)['status'], 'active')
        self.reset(qemu)
        self.until(lambda: not self.query(qemu)['owed'], 'mapped')
        self.assert_all_mapped(qemu, MIB_OF_RAM, 'reset while mapped behind')

    def test_private_memory(self):
        """Its guest_memfd is a new one, too."""
        for state in 'shared', 'private':
            with self.subTest(state=state):
                qemu = self.private_running(state, machine=f'microvm,{NEW_VM}')
                mapped = self.query(qemu).get('private-mapped')
                for _ in range(3):
                    self.reset(qemu)
                    self.assertEqual(self.query(qemu).get('private-mapped'),
                                     mapped)
                before = self.rss(qemu)
                qemu.sweep()
                # What is private takes none of the process's own memory
                more = self.rss(qemu) - before
                print(f'# note: {state}, a new VM: {more} MiB more resident')
                if state == 'private':
                    self.assertLess(more, 8)
                self.assertEqual(qemu.quit()[0], 0)


if __name__ == '__main__':
    unittest.main()
