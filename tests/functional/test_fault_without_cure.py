# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory faults that no conversion cures: a few tries, one message, a stop.

Linux 7.4 and later report ordinary memory whose page cannot be had as a memory
fault.  The exits are made up where QEMU calls KVM_RUN (tests/inject).
"""
import time
import unittest

from common import MIB
from private import MADE_UP, PRIVATE, PrivateTest

BED = {'private': True}

ORDINARY = None                 # a guest without private memory

RAM = 16 * MIB
HOLE = 1 << 31
FIRMWARE = 0xf0000
APIC = 0xfee00000

TRIES = 8                       # TRIES_MAX of convert.c
TRIES_APART_SECONDS = 10
FOR_EVER = 'count=0'

HOST = 'the host could not supply the page'
SAME = f'converting it changes nothing; {HOST}'
NO_MEMORY = 'there is no such memory: QEMU and KVM do not agree'

# Emulated, and perhaps on a busy machine: a real one takes a few ms
ANSWER_MS = 2000


class FaultsTest(PrivateTest):

    def running_as(self, state, rules, **options):
        """A guest of that initial state, or an ordinary one."""
        options |= {'inject': ';'.join(rules), 'mem': '64M'}
        if state is ORDINARY:
            return self.running(options.pop('prefault', 'on'), **options)
        return self.private_running(state, **options)


class NoCure(FaultsTest):

    def begin(self, qemu, now):
        """The vCPU enters the guest, and the rules apply; when that was.

        `info registers` as in fire() would itself wait for the vCPU.
        """
        qemu.qmp('stop')
        self.machine.write(now, '')
        return qemu.qmp('cont').sent_ns

    def longest_answer(self, qemu):
        """[ms] of each answer of QMP until the guest is stopped."""
        took = []
        self.until(lambda: self.timed_status(qemu, took) == 'internal-error',
                   'stopped')
        return took

    @staticmethod
    def timed_status(qemu, took):
        """The run state; appends how long QMP took, in ms."""
        reply = qemu.qmp('query-status')
        took.append((reply.received_ns - reply.sent_ns) / 1e6)
        return reply.value['status']

    def assert_no_cure(self, state, gpa, flags, region, cause, tries=TRIES,
                       times=FOR_EVER, **options):
        """The guest stops with one message, QMP answers, a reset mends it."""
        now = self.trigger()
        qemu = self.running_as(
            state, [self.fault(now, flags, gpa, 4096, times=times)], **options)
        began = self.begin(qemu, now)
        took = self.longest_answer(qemu)
        self.assert_stopped(
            qemu, f'KVM_EXIT_MEMORY_FAULT: guest address {gpa:#x}, size '
            f"0x1000, flags {flags:#x}, memory region '{region}': {cause}",
            began)
        ms = max(took)
        print(f'# note: {state or "ordinary"}, {region}: '
              f'{qemu.stderr.count(MADE_UP)} tries; the longest of {len(took)} '
              f'answers of QMP took {ms:.1f} ms')
        self.assertLess(ms, ANSWER_MS)
        self.assertEqual(qemu.stderr.count(MADE_UP), tries)
        self.assertEqual(qemu.stderr.count('KVM_EXIT_MEMORY_FAULT'), 1)
        figures = self.query(qemu).get('conversions', {'failures': 1})
        self.assertEqual(figures['failures'], 1)
        self.put_away(now)
        self.assert_reset_mends(qemu)
        self.assert_ended_well(qemu)
        return took

    def test_private_already(self):
        """With prefault=off conversions are ours, too."""
        for prefault in 'on', 'off':
            with self.subTest(prefault=prefault):
                self.assert_no_cure('private', RAM, PRIVATE, 'microvm.ram',
                                    SAME, prefault=prefault)

    def test_shared_already(self):
        self.assert_no_cure('shared', RAM, 0, 'microvm.ram', SAME)

    def test_no_private_side(self):
        """ROM has shared memory only; a hole and MMIO have none."""
        for gpa, region, cause in ((FIRMWARE, 'pc.bios', HOST),
                                   (HOLE, 'none', NO_MEMORY),
                                   (APIC, 'kvm-apic-msi', NO_MEMORY)):
            with self.subTest(region=region):
                self.assert_no_cure('private', gpa, 0, region, cause)

    def test_ordinary_guest(self):
        for prefault in 'on', 'auto':
            for gpa, region, cause in ((RAM, 'microvm.ram', HOST),
                                       (FIRMWARE, 'pc.bios', HOST),
                                       (HOLE, 'none', NO_MEMORY)):
                with self.subTest(prefault=prefault, region=region):
                    self.assert_no_cure(ORDINARY, gpa, 0, region, cause,
                                        prefault=prefault)

    def test_ordinary_guest_with_prefault_off(self):
        """QEMU stops at the first try, but for a hole, where it never does."""
        for gpa, region, cause in ((RAM, 'microvm.ram', HOST),
                                   (FIRMWARE, 'pc.bios', HOST),
                                   (HOLE, 'none', NO_MEMORY)):
            with self.subTest(region=region):
                self.assert_no_cure(ORDINARY, gpa, 0, region, cause, tries=1,
                                    prefault='off')

    def test_private_access_in_an_ordinary_guest(self):
        now = self.trigger()
        qemu = self.running_as(ORDINARY, [self.fault(now, PRIVATE)])
        self.fire(qemu, now)
        self.assert_stopped(qemu, "memory region 'microvm.ram': there is no "
                            'memory that can be private')
        self.assert_reset_mends(qemu)
        self.assert_ended_well(qemu)

    def test_slow_tries(self):
        """The host looks for memory each time: QMP answers meanwhile."""
        for state in ORDINARY, 'shared':
            with self.subTest(state=state):
                took = self.assert_no_cure(
                    state, RAM, 0, 'microvm.ram', HOST if state is ORDINARY
                    else SAME, times=f'{FOR_EVER}:delay-ms=300')
                self.assertGreaterEqual(len(took), TRIES)


class Passing(FaultsTest):
    """What is over after a few tries: the guest goes on."""

    def assert_goes_on(self, qemu, faults):
        """The guest writes all its memory after so many faults."""
        qemu.sweep()
        self.assertEqual(self.run_state(qemu), 'running')
        self.assertEqual(qemu.stderr.count(MADE_UP), faults)
        self.assertNotIn('KVM_EXIT_MEMORY_FAULT', qemu.stderr)
        self.assert_ended_well(qemu)

    def row(self, now, number, flags=0, gpa=RAM, tries=TRIES - 1):
        """The rule of a row of faults; the first row is number 0."""
        first = 1 + number * (TRIES - 1)
        return self.fault(now, flags, gpa, 4096,
                          times=f'from={first}:count={tries}')

    def test_one_try_less(self):
        for state in ORDINARY, 'shared':
            with self.subTest(state=state):
                now = self.trigger()
                qemu = self.running_as(state, [self.row(now, 0)])
                self.fire(qemu, now)
                self.assert_goes_on(qemu, TRIES - 1)

    def test_another_address(self):
        """It begins another row, and so does the first address again."""
        now = self.trigger()
        qemu = self.running_as(ORDINARY, [
            self.row(now, 0), self.row(now, 1, gpa=RAM + 4096),
            self.row(now, 2)])
        self.fire(qemu, now)
        self.assert_goes_on(qemu, 3 * (TRIES - 1))

    def test_a_conversion_that_changes_something(self):
        """It begins another row at the same address."""
        now = self.trigger()
        qemu = self.running_as('private', [
            self.row(now, 0, PRIVATE), self.row(now, 1),
            self.row(now, 2, tries=1)])
        self.fire(qemu, now)
        self.assert_goes_on(qemu, 2 * (TRIES - 1) + 1)

    def test_much_later(self):
        """The guest has run in between."""
        nows = [self.trigger() for _ in range(2)]
        qemu = self.running_as(ORDINARY,
                               [self.row(now, 0) for now in nows])
        self.fire(qemu, nows[0])
        time.sleep(TRIES_APART_SECONDS + 1)
        self.fire(qemu, nows[1])
        self.assert_goes_on(qemu, 2 * (TRIES - 1))


if __name__ == '__main__':
    unittest.main()
