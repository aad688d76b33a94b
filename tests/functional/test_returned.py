# SPDX-License-Identifier: GPL-2.0-or-later
"""What a Linux guest gives back is counted, told once, and not populated again."""
import unittest

from common import BedTest, MIB, machine_of
from bed import linuxfiles

BED = {'linux': True}

RAM = 512                       # MiB
LEAST = 200                     # MiB: the guest frees more
OTHER = 2                       # MiB: memory that KVM counts and is not RAM
WARNING = 'prefault: the guest gives memory back to the host'
SKIPPED = 'left alone: the guest has given it back'


class Returned(BedTest):

    def started(self, options=''):
        """A Linux guest that has freed what it had written."""
        self.machine = machine_of(__name__)     # anew if L1 has ended
        qemu = self.machine.qemu(
            '-machine', 'q35', '-accel', 'kvm,prefault=on', '-cpu', 'host',
            '-m', f'{RAM}M', '-nodefaults', '-display', 'none',
            '-device', f'virtio-balloon-pci{options}',
            '-chardev', 'stdio,id=console,signal=off',
            '-serial', 'chardev:console',
            '-kernel', self.machine.path(linuxfiles.KERNEL),
            '-initrd', self.machine.path(linuxfiles.ROOT),
            '-append', f'console=ttyS0 quiet panic=-1 {linuxfiles.RETURNS}')
        self.guests.append(qemu)
        self.addCleanup(qemu.kill)
        self.until(lambda: linuxfiles.FREED in qemu.debugcon, 'freed')
        return qemu

    def adds_up(self, qemu):
        """Much was returned; with what is mapped it is the guest's RAM."""
        info = self.query(qemu)
        returned = info['retention']['returned']
        return (returned > LEAST * MIB and abs(
            info['mapped-now'] + returned - RAM * MIB) < OTHER * MIB)

    def assert_returned(self, qemu, what):
        """Counted and told; no loss, and nothing that is owed."""
        self.until(lambda: self.adds_up(qemu), 'returned')
        info = self.query(qemu)
        print(f'# note: {what}: {info["retention"]}, mapped now '
              f'{info["mapped-now"]}')
        self.assertEqual(info['retention']['lost'], 0)
        self.assertEqual(info['owed'], 0)
        self.assertEqual(qemu.stderr.count(WARNING), 1)
        return info

    def assert_reset_takes_nothing(self, qemu):
        """What was given back stays so; a full walk would bring it."""
        since = qemu.qmp('system_reset').sent_ns
        done = self.completed(qemu, since)
        info = self.query(qemu)
        skips = {skip['reason']: skip['bytes'] for skip in info['skips']}
        print(f'# note: after a reset: {info}, {done.data}')
        self.assertGreater(skips['returned'], (LEAST - 20) * MIB)
        self.assertEqual(info['mapped'], info['total'])
        self.assertIn(SKIPPED, qemu.stderr)

    def test_free_page_reporting(self):
        qemu = self.started(',free-page-reporting=on')
        self.assert_returned(qemu, 'free page reporting')
        self.assert_reset_takes_nothing(qemu)

    def test_balloon(self):
        qemu = self.started()
        qemu.qmp('balloon', value=(RAM - LEAST - 50) * MIB)
        self.assert_returned(qemu, 'balloon')
        self.assert_reset_takes_nothing(qemu)


if __name__ == '__main__':
    unittest.main()
