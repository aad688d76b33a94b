# SPDX-License-Identifier: GPL-2.0-or-later
"""How long it takes, on the deterministic machine: one CPU, time is the number of
emulated instructions, and a busy host does not count.

From cont to RESUME, against a bare C program that populates all memory with one
madvise and maps it with a loop over the ioctl, in one thread; and a second pass.
"""
import unittest

from common import BedTest

BED = {'icount': True}

MIB_OF_RAM = 256
RATIO_MAX = 1.05


class Instructions(BedTest):

    def test_cont_to_resume(self):
        bare = self.machine.barefault(MIB_OF_RAM)
        qemu = self.guest(mem=f'{MIB_OF_RAM}M')
        sent = qemu.qmp('cont').sent_ns
        ours = self.resumed(qemu).ns - sent
        print(f'# note: {MIB_OF_RAM} MiB: ours {ours / 1e6:.1f} ms, bare C '
              f'{bare["total_ns"] / 1e6:.1f} ms of emulated instructions: '
              f'{ours / bare["total_ns"]:.3f}')
        self.assertEqual(self.query(qemu)['threads'], 1)
        self.assertLessEqual(ours / bare['total_ns'], RATIO_MAX)

    def test_second_pass_is_short(self):
        """Under 1 % of the first, as nothing was dropped."""
        qemu = self.running(mem='2G')
        first = self.query(qemu)['elapsed-ms']
        since = qemu.qmp('system_reset').sent_ns
        second = self.completed(qemu, since).data['elapsed-ms']
        print(f'# note: first run of 2 GiB {first} ms, after a reset {second} '
              'ms of emulated instructions')
        self.assertLess(second, first / 100)

    def test_second_pass_of_small_pages(self):
        """The same: what was done is known, and not walked page by page."""
        thp = '/sys/kernel/mm/transparent_hugepage/enabled'
        now = self.machine.read(thp).partition('[')[2].partition(']')[0]
        self.addCleanup(self.machine.write, thp, now)
        self.machine.write(thp, 'never')
        self.test_second_pass_is_short()


if __name__ == '__main__':
    unittest.main()
