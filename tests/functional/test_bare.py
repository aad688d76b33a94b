# SPDX-License-Identifier: GPL-2.0-or-later
"""From cont to RESUME, against a bare C program that does the same work.

On the deterministic machine: one CPU, time is the number of emulated
instructions.  The bare program populates all memory with one madvise and maps
it with a loop over the ioctl, in one thread.
"""
import unittest

from common import BedTest

BED = {'icount': True}

MIB_OF_RAM = 256
RATIO_MAX = 1.05


class AgainstBareC(BedTest):

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


if __name__ == '__main__':
    unittest.main()
