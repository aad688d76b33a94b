# SPDX-License-Identifier: GPL-2.0-or-later
"""What is owed is mapped behind a running guest: how fast, and at what cost."""
import statistics
import unittest

from bed.owed import Owing
from common import BedTest, MIB, THP

MIB_OF_RAM = 128
PAIRS = 3
# Of what is mapped again; each takes the next part when it is done with one
SHARE = 0.2
MOST = 0.75                     # of one alone
# By the guest's clock: a vCPU that maps leaves it for 0.1 ms at a time
MUCH_SLOWER = 20


class Background(BedTest):

    def owing(self, threads=2):
        """A guest with 4 KiB pages."""
        self.knob(f'{THP}/enabled', 'never')
        guest = Owing(self.machine, MIB_OF_RAM, threads)
        self.addCleanup(guest.qemu.kill)
        return guest

    def test_owed_is_told(self):
        """All of it at once, with the reason, and then nothing."""
        guest = self.owing()
        query = guest.drop()
        self.assertGreater(query['owed'], guest.least)
        self.assertEqual(query['owed-for'],
                         [{'reason': 'dropped', 'bytes': query['owed']}])
        self.assertEqual(query['retention']['refill-pending'], query['owed'])
        self.assertEqual(guest.wait()['owed-for'], [])
        _, faults = guest.qemu.sweep()
        self.assertLessEqual(faults, 2)

    def test_two_vcpus_side_by_side(self):
        """Each of two vCPUs maps its share of what was dropped.

        How much faster that is has its bar in tests/bench/run: here other
        tests, and on some hosts other machines, share the CPUs.
        """
        one, two = self.owing(threads=1), self.owing(threads=2)
        pairs = [(one.seconds(), two.seconds()) for _ in range(PAIRS)]
        faster = statistics.median(a / b for a, b in pairs)
        print(f'# note: {MIB_OF_RAM} MiB of 4 KiB pages, mapped again by one '
              f'vCPU and by two: '
              f'{", ".join(f"{a:.2f} s and {b:.2f} s" for a, b in pairs)}: '
              f'{faster:.2f} times as fast')
        shares = one.shares()
        # Where the host keeps a vCPU from its CPU another one takes its place
        self.assertGreater(shares.get(0, 0), MOST * sum(shares.values()), shares)
        shares = two.shares()
        for vcpu in 0, 1:
            self.assertGreater(shares.get(vcpu, 0),
                               SHARE * sum(shares.values()), shares)

    def test_the_guest_hardly_feels_it(self):
        """It writes its memory meanwhile; by its own clock."""
        guest = self.owing()
        guest.qemu.sweep()
        idle, _ = guest.qemu.sweep()
        guest.drop()
        busy, faults = guest.qemu.sweep()
        mapped = guest.wait()['retention']['refilled']
        for what, sweep in (('idle', idle), ('mapping again', busy)):
            print(f'# note: {what}: write of a page, cycles: median '
                  f'{sweep.median}, p99 {sweep.p99}, max {sweep.max}')
        print(f'# note: {faults} faults meanwhile, {mapped // MIB} MiB mapped '
              'again since the start')
        self.assertLess(busy.median, idle.median * MUCH_SLOWER)


if __name__ == '__main__':
    unittest.main()
