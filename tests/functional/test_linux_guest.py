# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux guest with two vCPUs comes up, and uses its memory without faults.

Once it came up in 3 of 6 tries only, because of a race of the emulator below
(patches/bed/0002-ignne.patch).  With `scripts/check --long` it has to come up
20 times of 20.
"""
import os
import re
import unittest

from common import BedTest, RUN_SECONDS
from bed import linuxfiles

BED = {'linux': True}

CPUS = 2
MIB_OF_RAM = 512
HUGE = MIB_OF_RAM // 2 - 1      # firmware cuts up the first one
BELOW_1_MIB = 2                 # faults
BOOTS = 20 if os.environ.get('PREFAULT_LONG') else 1

# A guest that fails is reset, and -no-reboot makes an end of that.
# QEMU can still be asked when the guest has ended
STAY = ['-no-reboot', '-no-shutdown']


class LinuxGuest(BedTest):

    def started(self):
        """A new guest; its console is QEMU's output."""
        return self.linux_guest('oops=panic', '-smp', str(CPUS), *STAY,
                                mib=MIB_OF_RAM)

    def boot(self, qemu):
        """Let a guest come up, work and end; returns its seconds."""
        done = self.completed(qemu)
        self.assertEqual(done.data['status'], 'completed')
        self.assertGreaterEqual(self.resumed(qemu).ns, done.ns)
        self.until(lambda: linuxfiles.UP in qemu.debugcon or
                   'SHUTDOWN' in [event.name for event in qemu.events], 'up')
        before = qemu.faults()
        end = qemu.wait_event('SHUTDOWN', RUN_SECONDS)
        self.assertEqual(end.data['reason'], 'guest-shutdown', qemu.debugcon)
        self.assert_worked(qemu.debugcon)
        seconds = (end.ns - qemu.start_ns) / 1e9
        faults, huge = qemu.faults(), qemu.vm_stats()['pages_2m']
        print(f'# note: {seconds:.1f} s, {before} faults until init ran, '
              f'{faults - before} after that, {huge} huge mappings')
        self.assertLessEqual(faults - before, BELOW_1_MIB)
        self.assertEqual(huge, HUGE)
        self.assertEqual(qemu.quit()[0], 0)
        return seconds

    def assert_worked(self, console):
        """The guest had all its CPUs, and each wrote its share of memory."""
        found = re.search(f'{linuxfiles.SAID}cpus=(.*) mib=(.*)', console)
        self.assertTrue(found, console)
        self.assertEqual(int(found[1]), CPUS)
        self.assertEqual(int(found[2]), CPUS * linuxfiles.MIB_EACH)

    def test_comes_up(self):
        """Each boot is tried, whatever became of the one before."""
        seconds = []
        for number in range(1, BOOTS + 1):
            with self.subTest(boot=number):
                with self.started() as qemu:
                    seconds.append(self.boot(qemu))
        print(f'# note: {len(seconds)} of {BOOTS} came up, in '
              f"{' '.join(f'{one:.0f}' for one in seconds)} s")


if __name__ == '__main__':
    unittest.main()
