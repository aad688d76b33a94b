# SPDX-License-Identifier: GPL-2.0-or-later
"""Exits for memory faults: what is wrong stops the guest, not QEMU.

The exits are made up where QEMU calls KVM_RUN (tests/inject); all the rest, the
conversions too, is real.
"""
import unittest

from common import MIB
from private import PRIVATE, PrivateTest

BED = {'private': True}

TOP = 1 << 64
RAM = 16 * MIB
HOLE = 1 << 31
FIRMWARE = 0xf0000
APIC = 0xfee00000

PAGES = 'the range is not made of whole pages of the host'
NOTHING = 'there is no memory that can be private'

# Guest address, size, flags; the region named, the problem
WRONG = (
    (RAM, 4096, 0x10, 'microvm.ram', 'unknown flags'),
    (RAM, 4096, 1 << 63 | PRIVATE, 'microvm.ram', 'unknown flags'),
    (RAM + 1, 4096, PRIVATE, 'microvm.ram', PAGES),
    (RAM, 4097, 0, 'microvm.ram', PAGES),
    (RAM, 0, PRIVATE, 'microvm.ram', 'the range is empty'),
    (RAM, TOP - 4096, 0, 'microvm.ram', 'the range wraps around'),
    (TOP - 4096, 8192, PRIVATE, 'none', 'the range wraps around'),
    (HOLE, 4096, PRIVATE, 'none', NOTHING),
    (FIRMWARE, 4096, PRIVATE, 'pc.bios', NOTHING),
    (APIC, 4096, PRIVATE, 'kvm-apic-msi', NOTHING),
)

# KVM_RUN's result that is none of a memory fault; what QEMU says
FOREIGN = (
    ('errno=EFAULT', 'kvm run failed Bad address'),
    ('errno=EHWPOISON', 'kvm run failed Memory page has hardware error'),
)


class BadExits(PrivateTest):

    def test_bad_request(self):
        """The message has all of it, QMP answers, quit works."""
        for gpa, size, flags, region, problem in WRONG:
            with self.subTest(gpa=hex(gpa), size=hex(size), flags=hex(flags)):
                now = self.trigger()
                qemu = self.private_running(
                    'private', inject=self.fault(now, flags, gpa, size))
                self.fire(qemu, now)
                self.assert_stopped(
                    qemu, f'KVM_EXIT_MEMORY_FAULT: guest address {gpa:#x}, '
                    f'size {size:#x}, flags {flags:#x}, memory region '
                    f"'{region}': {problem}")
                figures = self.conversions(qemu)
                self.assertEqual(figures['failures'], 1)
                self.assertEqual(figures['implicit'], 0)
                self.assert_reset_mends(qemu)
                self.assert_ended_well(qemu)

    def test_run_that_did_not_fail(self):
        """KVM_RUN returns 0 and yet the reason is a memory fault."""
        now = self.trigger()
        qemu = self.private_running(
            'private', inject=self.fault(now, PRIVATE, result='return=0'))
        self.fire(qemu, now)
        self.assert_stopped(qemu, 'KVM_EXIT_MEMORY_FAULT: KVM_RUN did not fail')
        self.assertEqual(self.conversions(qemu)['implicit'], 0)
        self.assert_ended_well(qemu)

    def test_stale_reason(self):
        """A signal, and kvm_run has the exit of long ago: nothing happens."""
        for errno in 'EINTR', 'EAGAIN':
            with self.subTest(errno=errno):
                now = self.trigger()
                qemu = self.private_running('private', inject=self.fault(
                    now, 0x10, 1, 0, result=f'errno={errno}'))
                self.fire(qemu, now)
                qemu.sweep()
                self.assertEqual(self.run_state(qemu), 'running')
                figures = self.conversions(qemu)
                self.assertEqual(figures['implicit'], 0)
                self.assertEqual(figures['failures'], 0)
                self.assert_ended_well(qemu)

    def test_failure_without_the_reason(self):
        """It is QEMU's to handle, which stops the guest."""
        for result, message in FOREIGN:
            with self.subTest(result=result):
                now = self.trigger()
                qemu = self.private_running('private', inject=self.fault(
                    now, PRIVATE, result=result, reason=0))
                self.fire(qemu, now)
                self.assert_stopped(qemu, message)
                self.assertEqual(self.conversions(qemu)['failures'], 0)
                self.assert_ended_well(qemu)


class GoodExits(PrivateTest):

    def assert_sides(self, qemu, number, private):
        """After a sweep: QEMU reads its words in what is shared only."""
        for page in RAM - 4096, RAM, RAM + 2 * MIB - 4096, RAM + 2 * MIB:
            inside = RAM <= page < RAM + 2 * MIB
            self.assertEqual(self.word(qemu, page),
                             0 if inside == private else number, hex(page))

    def test_to_private(self):
        """The shared memory is given back and the guest writes elsewhere."""
        now = self.trigger()
        qemu = self.private_running('shared', inject=self.fault(now, PRIVATE))
        qemu.sweep()
        self.assertEqual(self.word(qemu, RAM), 1)
        self.fire(qemu, now)
        self.converted(qemu, to_private=1, to_private_bytes=2 * MIB, implicit=1,
                       explicit=0, to_shared=0, kept=0, failures=0,
                       prefaulted=2 * MIB)
        self.assertEqual(self.word(qemu, RAM), 0)
        _, faults = qemu.sweep()
        self.assertEqual(faults, 0)
        self.assert_sides(qemu, 2, private=True)
        self.assert_ended_well(qemu)

    def test_to_shared(self):
        now = self.trigger()
        qemu = self.private_running('private', inject=self.fault(now))
        self.fire(qemu, now)
        self.converted(qemu, to_shared=1, to_shared_bytes=2 * MIB, implicit=1,
                       explicit=0, to_private=0, kept=0, failures=0,
                       prefaulted=2 * MIB)
        _, faults = qemu.sweep()
        self.assertEqual(faults, 0)
        self.assert_sides(qemu, 1, private=False)
        self.assert_ended_well(qemu)

    def test_what_is_so_already(self):
        """Two vCPUs may ask for the same page: nothing changes."""
        for state, flags in (('private', PRIVATE), ('shared', 0)):
            with self.subTest(state=state):
                now = self.trigger()
                qemu = self.private_running(state,
                                            inject=self.fault(now, flags))
                qemu.sweep()
                self.fire(qemu, now)
                self.converted(qemu, implicit=1, to_private_bytes=0,
                               to_shared_bytes=0, failures=0)
                self.assertEqual(self.word(qemu, RAM), state == 'shared')
                self.assert_ended_well(qemu)

    def test_what_has_no_memory_to_shared(self):
        """It is shared already: a hole, the firmware, MMIO, all below 4 GiB.

        Once it may be over when it is tried again: see test_fault_without_cure.
        """
        for gpa, size in ((HOLE, 4096), (FIRMWARE, 4096), (APIC, 4096),
                          (3 << 30, 1 << 30)):
            with self.subTest(gpa=hex(gpa)):
                now = self.trigger()
                qemu = self.private_running(
                    'private', inject=self.fault(now, 0, gpa, size))
                self.fire(qemu, now)
                self.converted(qemu, to_shared=1, to_shared_bytes=0,
                               failures=0)
                qemu.sweep()
                self.assert_ended_well(qemu)

    def test_across_firmware_to_private(self):
        """In a range to be private the firmware stays what it is."""
        now = self.trigger()
        qemu = self.private_running('shared', inject=self.fault(
            now, PRIVATE, 0x90000, 0x90000))
        self.fire(qemu, now)
        self.converted(qemu, to_private=1, to_private_bytes=0x80000, kept=0)
        qemu.sweep()
        for page, word in ((0x8f000, 1), (0x90000, 0), (0x100000, 0),
                           (0x120000, 1)):
            self.assertEqual(self.word(qemu, page), word, hex(page))
        self.assert_ended_well(qemu)

    def test_prefault_off(self):
        """QEMU's own conversion, where ours is not asked for."""
        now = self.trigger()
        qemu = self.private_running('private', inject=self.fault(now),
                                    prefault='off')
        self.fire(qemu, now)
        qemu.sweep()
        self.assert_sides(qemu, 1, private=False)
        self.assert_ended_well(qemu)


class Poison(PrivateTest):
    """KVM_RUN fails with EHWPOISON and names the page."""

    def touched(self, flags, start, *state, **options):
        """A guest that touched a broken page."""
        now = self.trigger()
        qemu = start(*state, inject=self.fault(
            now, flags, RAM, 4096, result='errno=EHWPOISON'), **options)
        self.fire(qemu, now)
        return qemu

    def poisoned(self, **options):
        """One with private memory; the event."""
        qemu = self.touched(PRIVATE, self.private_running, 'private', **options)
        return qemu, qemu.wait_event('MEMORY_FAILURE')

    def ordinary(self, prefault='on', **options):
        """One without."""
        return self.touched(0, self.running, prefault, mem='64M', **options)

    def assert_fatal(self, qemu, event, flags):
        """The guest cannot be told: it is stopped, with event and message."""
        self.assertEqual(event.data['recipient'], 'hypervisor')
        self.assertEqual(event.data['action'], 'fatal')
        self.assert_stopped(
            qemu, f'KVM_EXIT_MEMORY_FAULT: guest address {RAM:#x}, size '
            f"0x1000, flags {flags}, memory region 'microvm.ram': the host's "
            'memory is poisoned')

    def test_guest_that_cannot_be_told(self):
        qemu, event = self.poisoned(cpu='host,-mca')
        self.assert_fatal(qemu, event, '0x8')
        self.assertEqual(self.conversions(qemu)['poisoned'], 1)
        self.assert_hmp_says(qemu, 'poisoned pages: 1')
        self.assert_reset_mends(qemu)
        qemu.sweep()
        self.assert_ended_well(qemu)

    def test_guest_without_a_handler(self):
        """It gets a machine check and takes none: it is reset, and lives."""
        qemu, event = self.poisoned()
        self.assertEqual(event.data['recipient'], 'guest')
        self.until(lambda: qemu.debugcon.count('READY') == 2, 'reset')
        self.assertEqual(self.conversions(qemu)['poisoned'], 1)
        qemu.sweep()
        self.assert_ended_well(qemu)

    def test_ordinary_guest(self):
        """It is told, too, and QEMU replaces the page."""
        qemu = self.ordinary()
        event = qemu.wait_event('MEMORY_FAILURE')
        self.assertEqual(event.data['recipient'], 'guest')
        self.until(lambda: qemu.debugcon.count('READY') == 2, 'reset')
        qemu.sweep()
        self.assert_ended_well(qemu)

    def test_ordinary_guest_that_cannot_be_told(self):
        qemu = self.ordinary(cpu='host,-mca')
        self.assert_fatal(qemu, qemu.wait_event('MEMORY_FAILURE'), '0x0')
        self.assert_reset_mends(qemu)
        self.assert_ended_well(qemu)

    def test_ordinary_guest_with_prefault_off(self):
        """QEMU's: it stops the guest without an event."""
        qemu = self.ordinary('off')
        self.assert_stopped(qemu, 'kvm run failed Memory page has hardware '
                            'error')
        self.assertNotIn('MEMORY_FAILURE', [e.name for e in qemu.events])
        self.assert_ended_well(qemu)


if __name__ == '__main__':
    unittest.main()
