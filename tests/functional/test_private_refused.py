# SPDX-License-Identifier: GPL-2.0-or-later
"""What cannot work with sw-protected-vm is refused, with a sentence."""
import unittest

from common import RUN_SECONDS
from private import PrivateTest
import bed

BED = {'private': True}

OBJECT = ('-object', 'sw-protected-vm,id=cgs0')
ONE = 'confidential-guest-support=cgs0'


class Refused(PrivateTest):

    def assert_refused(self, message, *extra, **options):
        """QEMU ends with 1 and the message."""
        qemu = self.machine.guest(*extra, mem='64M', paused=True,
                                  connect=False, **options)
        self.addCleanup(qemu.kill)
        self.assertEqual(qemu.wait_exit(RUN_SECONDS), 1)
        self.assertIn(message, qemu.stderr)

    def test_smm(self):
        for machine in 'q35', 'pc', 'microvm':
            with self.subTest(machine=machine):
                self.assert_refused(
                    'sw-protected-vm: SMM is not possible, because SMRAM is an '
                    'alias of RAM and KVM binds private memory to one guest '
                    'address: use -machine smm=off', *OBJECT,
                    machine=f'{machine},smm=on,{ONE}')

    def test_without_kvm(self):
        self.assert_refused('KVM required', *OBJECT, accel='tcg', cpu='max',
                            machine=f'microvm,{ONE}')

    def test_read_only_memory(self):
        path = self.machine.scratch('image')
        self.machine.run('/bin/truncate', '-s', '64M', path)
        self.addCleanup(self.machine.run, '/bin/rm', path)
        self.assert_refused(
            'sw-protected-vm: memory that can be private cannot be read-only: '
            'use readonly=off, with a copy of the file if need be', *OBJECT,
            '-object', f'memory-backend-file,id=m,size=64M,mem-path={path},'
            'readonly=on', machine=f'microvm,memory-backend=m,{ONE}')

    def test_more_than_the_host_has(self):
        """Before a page of it is touched."""
        qemu = self.machine.guest(
            *OBJECT, '-object', 'memory-backend-ram,id=m,size=16G,reserve=off',
            accel='kvm,prefault=on', machine=f'microvm,memory-backend=m,{ONE}',
            mem='16G', paused=True, connect=False)
        self.addCleanup(qemu.kill)
        self.assertEqual(qemu.wait_exit(RUN_SECONDS), 1)
        # 16 GiB, and page tables
        self.assertRegex(qemu.stderr, r'prefault=on: guest memory takes '
                         r'172\d{8} bytes more, the host has')

    def test_only_migratable(self):
        self.assert_refused(
            'sw-protected-vm: private memory cannot be read, so this guest '
            'cannot be migrated or saved', *OBJECT, '-only-migratable',
            machine=f'microvm,{ONE}')

    def test_state_that_does_not_exist(self):
        self.assert_refused(
            "Parameter 'initial-state' does not accept value 'secret'",
            '-object', 'sw-protected-vm,id=cgs0,initial-state=secret',
            machine=f'microvm,{ONE}')


class Refusing(PrivateTest):
    """A guest that runs refuses some commands."""

    def test_migration(self):
        qemu = self.private_running('private')
        with self.assertRaisesRegex(bed.QmpError, 'private memory cannot be '
                                    'read, so this guest cannot be migrated'):
            qemu.qmp('migrate', uri='exec:cat > /dev/null')
        self.assertIn('private memory cannot be read', qemu.hmp('savevm x'))
        qemu.sweep()

    def test_state_after_the_start(self):
        qemu = self.private_running('private')
        with self.assertRaisesRegex(bed.QmpError, 'initial-state cannot be '
                                    'changed any more'):
            qemu.qmp('qom-set', path='/objects/cgs0', property='initial-state',
                     value='shared')

    def test_smm_is_off_by_default(self):
        for machine in 'q35', 'pc', 'microvm':
            with self.subTest(machine=machine):
                qemu = self.private('shared', machine=machine)
                self.assertEqual(qemu.qmp('qom-get', path='/machine',
                                          property='smm').value, 'off')
                qemu.quit()


if __name__ == '__main__':
    unittest.main()
