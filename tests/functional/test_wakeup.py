# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that sleeps in S3: its memory is as it was when it wakes up."""
import unittest

from common import BedTest

SLOW = 'madvise:MADV_POPULATE_WRITE:delay-ms=60'

# A guest without ACPI of its own: where the chipset has its power management,
# and what switches that on, in its PCI configuration space (address, value)
PM_BASE = 0x600
CHIPSETS = {
    'pc': ((0x80000b40, PM_BASE | 1), (0x80000b80, 1)),
    'q35': ((0x8000f840, PM_BASE | 1), (0x8000f844, 0x80)),
}
PM1A_CNT = PM_BASE + 4
SLEEP_S3 = 1 << 13 | 1 << 10    # SLP_EN, and the SLP_TYP of S3


class Wakeup(BedTest):

    def fall_asleep(self, qemu, machine):
        """As the guest would, by the chipset's registers."""
        for address, value in CHIPSETS[machine]:
            qemu.hmp(f'o /w 0xcf8 {address:#x}')
            qemu.hmp(f'o /w 0xcfc {value:#x}')
        since = self.machine.now_ns()
        qemu.hmp(f'o /h {PM1A_CNT:#x} {SLEEP_S3:#x}')
        qemu.wait_event('SUSPEND', since_ns=since)
        self.assertEqual(self.run_state(qemu), 'suspended')

    def awake(self, qemu, starts):
        """The guest came to its reset vector once more, and runs."""
        self.until(lambda: qemu.debugcon.count('READY') == starts, 'awake')
        self.assertEqual(self.run_state(qemu), 'running')

    def ends(self, qemu):
        """How many runs ended so far."""
        return [event.name for event in qemu.events].count(
            'PREFAULT_COMPLETED')

    def test_no_run_begins(self):
        """The guest goes on at once, with all that was mapped."""
        for machine in CHIPSETS:
            with self.subTest(machine=machine):
                qemu = self.running(machine=machine, inject=SLOW)
                self.assertEqual(qemu.sweep()[1], 0)
                self.fall_asleep(qemu, machine)
                since = qemu.qmp('system_wakeup').sent_ns
                qemu.wait_event('WAKEUP', since_ns=since)
                self.assertEqual(self.query(qemu)['trigger'], 'start')
                self.awake(qemu, 2)
                self.assertEqual(self.query(qemu)['trigger'], 'start')
                self.assertEqual(self.ends(qemu), 1)
                self.refilled(qemu)
                self.assertEqual(qemu.sweep()[1], 0)

    def test_reset_while_asleep(self):
        """That is a reset as any other: cont waits."""
        qemu = self.running(machine='q35', inject=SLOW)
        self.fall_asleep(qemu, 'q35')
        since = qemu.qmp('system_reset').sent_ns
        qemu.wait_event('RESET', since_ns=since)
        qemu.qmp('cont')
        self.assertEqual(self.query(qemu)['trigger'], 'reset')
        done = self.completed(qemu, since)
        self.assertEqual(done.data['mapped'], done.data['total'])
        self.awake(qemu, 2)

    def test_snapshot_of_a_sleeping_guest(self):
        """Loaded into one that runs it wakes up, as it does without prefault."""
        path = self.machine.scratch('disk')
        self.machine.write(path, 'x' * 512)
        for prefault in 'off', 'on':
            with self.subTest(prefault=prefault):
                qemu = self.running(
                    prefault, '-drive', 'if=none,format=raw,snapshot=on,'
                    f'file={path}', env={'TMPDIR': '/dev/shm'}, machine='q35')
                self.fall_asleep(qemu, 'q35')
                self.assertEqual(qemu.hmp('savevm one'), '')
                qemu.qmp('system_wakeup')
                self.awake(qemu, 2)
                since = self.machine.now_ns()
                self.assertEqual(qemu.hmp('loadvm one'), '')
                qemu.wait_event('WAKEUP', since_ns=since)
                self.awake(qemu, 3)
                qemu.sweep()


if __name__ == '__main__':
    unittest.main()
