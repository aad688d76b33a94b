# SPDX-License-Identifier: GPL-2.0-or-later
"""What a Linux guest gives back is counted, told once, and not populated again."""
import unittest

from common import BedTest, MIB
from bed import linuxfiles

BED = {'linux': True}

RAM = 512                       # MiB
LEAST = 200                     # MiB: the guest frees more
MORE = 60                       # MiB: given back when no longer locked
OTHER = 2                       # MiB: memory that KVM counts and is not RAM
WARNING = 'prefault: the guest gives memory back to the host'
SKIPPED = 'left alone: the guest has given it back'


class Returned(BedTest):

    def started(self, options='', keep='auto'):
        """A Linux guest that has freed what it had written."""
        qemu = self.linux_guest(
            linuxfiles.RETURNS, '-device', f'virtio-balloon-pci{options}',
            mib=RAM, keep=keep)
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
        self.assert_hmp_says(qemu, r'\d+ KiB given back by the guest')
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
        self.assert_request_takes_nothing(qemu)
        self.assert_reset_takes_nothing(qemu)

    def assert_request_takes_nothing(self, qemu):
        """Nor does a run behind the guest."""
        self.completed(qemu, qemu.qmp('prefault-start').sent_ns)
        info = self.query(qemu)
        print(f'# note: after prefault-start: {info}')
        self.assertLess(info['mapped-now'], (RAM - LEAST) * MIB)

    def test_locked(self):
        """What is pinned is not given back, until it is unlocked."""
        qemu = self.started(keep='lock')
        value = (RAM - LEAST - 50) * MIB
        qemu.qmp('balloon', value=value)
        self.until(lambda: qemu.qmp('query-balloon').value['actual'] == value,
                   'inflated')
        info = self.query(qemu)
        self.assertEqual(info['retention']['returned'], 0)
        self.assertGreaterEqual(info['mapped-now'], RAM * MIB)
        self.completed(qemu, qemu.qmp('system_reset').sent_ns)
        self.assertGreaterEqual(self.query(qemu)['mapped'], (RAM - 1) * MIB)
        self.until(lambda: qemu.debugcon.count(linuxfiles.FREED) == 2, 'freed')
        qemu.qmp('prefault-unlock')
        qemu.qmp('balloon', value=value - MORE * MIB)
        # A page takes the mapping of a huge page with it, which comes back
        self.until(lambda: qemu.qmp('query-balloon').value['actual'] ==
                   value - MORE * MIB and self.query(qemu)['retention'][
                       'returned'] in range(MORE // 2 * MIB, 2 * MORE * MIB),
                   'returned')
        qemu.qmp('stop')
        self.completed(qemu, qemu.qmp('prefault-start').sent_ns)
        locked = self.query(qemu)['retention']['locked']
        print(f'# note: {locked} bytes locked after {MORE} MiB of {RAM} were '
              'given back')
        self.assertIn(locked, range(RAM // 2 * MIB, (RAM - MORE // 2) * MIB))


if __name__ == '__main__':
    unittest.main()
