# SPDX-License-Identifier: GPL-2.0-or-later
"""KVM and the modules of a bed with private memory: what the tests need of them.

As in test_bed, without prefault: what is shown is that the bed can do harm.
"""
import errno
import re
import signal
import unittest

from common import not_on_a_host, takes_qemu
import bed

BED = {'private': True}

CAP_MEMORY_ATTRIBUTES = 233
CAP_GUEST_MEMFD = 234
CAP_VM_TYPES = 235
ATTRIBUTE_PRIVATE = 1 << 3
TYPE_SW_PROTECTED_VM = 1 << 1

SPIN = ['/bin/sh', '-c', 'echo on; while :; do :; done']


def setUpModule():
    not_on_a_host()
    bed.shared(private=True)


def tearDownModule():
    bed.release()


class TestLinux(unittest.TestCase):
    """One test for each thing that they, or the kernel, have to have."""

    def setUp(self):
        self.machine = bed.shared(private=True)

    def spinning(self):
        """A process that uses its stack all the time."""
        process = self.machine.link.spawn(SPIN)
        self.addCleanup(self.signal, process, signal.SIGKILL)
        self.machine.link.wait(lambda: process.out, 20, 'a shell')
        return process

    def signal(self, process, number):
        self.machine.link.request('kill', process.ident, str(int(number)))

    def stack(self, process):
        """The page frames of the process' stack."""
        maps = self.machine.read(f'/proc/{process.pid}/maps')
        start, end = (int(word, 16) for word in re.search(
            r'^(\w+)-(\w+) .*\[stack\]$', maps, re.M).groups())
        found = [self.machine.pfn(process.pid, address)
                 for address in range(start, end, 4096)]
        return [pfn for pfn in found if pfn]

    def test_kvm_has_private_memory(self):
        for number, wanted in ((CAP_VM_TYPES, TYPE_SW_PROTECTED_VM),
                               (CAP_MEMORY_ATTRIBUTES, ATTRIBUTE_PRIVATE),
                               (CAP_GUEST_MEMFD, 1)):
            with self.subTest(number):
                self.assertTrue(self.machine.capability(number) & wanted)
        self.assertTrue(self.machine.can_prefault())

    def test_guest_runs(self):
        with self.machine.guest() as qemu:
            self.assertEqual(qemu.wait_sweep().skipped, 0)

    def private(self, accel='kvm', **options):
        """A guest whose memory is private, killed at the test's end."""
        qemu = self.machine.guest(
            '-object', 'sw-protected-vm,id=private', accel=accel,
            machine='microvm,confidential-guest-support=private', **options)
        self.addCleanup(qemu.kill)
        return qemu

    def test_module_comes_and_goes(self):
        for _ in range(2):
            self.assertEqual(
                self.machine.implicit(to_private=(0x1000000, 0x1100000)), 0)
            parameters = '/sys/module/implicit/parameters'
            self.assertEqual(self.machine.read(f'{parameters}/to_private'),
                             '0x1000000-0x1100000\n')
            self.assertEqual(self.machine.read(f'{parameters}/to_shared'),
                             '0x0-0x0\n')
            self.machine.unload('implicit')
            with self.assertRaises(OSError):
                self.machine.implicit_changed()

    def test_bad_window_is_refused(self):
        self.machine.implicit()
        for window in ((2, 1), (0, 1 << 60)):
            with self.subTest(window), self.assertRaises(OSError):
                self.machine.implicit(to_shared=window)
        self.machine.unload('implicit')

    @takes_qemu('10.1')
    def test_access_counts_as_shared_and_then_as_private(self):
        """Each page of the window is converted once; the guest goes on."""
        window, pages = (0x1000000, 0x1100000), 256
        self.addCleanup(self.machine.unload, 'implicit')
        self.machine.implicit(to_shared=window)
        qemu = self.private(wait=True)
        qemu.wait_text('READY')
        qemu.sweep()
        self.assertEqual(self.machine.implicit_changed(), pages)
        self.machine.implicit(to_private=window)
        qemu.sweep()
        self.assertGreaterEqual(self.machine.implicit_changed(), pages)

    @takes_qemu('10.1')
    def test_private_page_has_a_frame_when_it_is_written(self):
        qemu = self.private(wait=True)
        qemu.wait_text('READY')
        with self.assertRaises(OSError) as caught:
            self.machine.private_pfn(qemu.process.pid, 0x4000000)
        self.assertEqual(caught.exception.errno, errno.ENOENT)
        qemu.sweep()
        pfns = {self.machine.private_pfn(qemu.process.pid, address)
                for address in (0x4000000, 0x4001000, 0x5000000)}
        self.assertEqual(len(pfns), 3)

    @takes_qemu('10.1')
    def test_poisoned_private_page_stays_where_it_is(self):
        """A guest_memfd keeps it, so nothing else takes its place."""
        qemu = self.private(wait=True)
        qemu.wait_text('READY')
        qemu.sweep()
        pfn = self.machine.private_pfn(qemu.process.pid, 0x4000000)
        self.machine.poison(pfn)
        self.assertEqual(
            self.machine.private_pfn(qemu.process.pid, 0x4000000), pfn)

    def test_poison_kills_who_uses_it(self):
        process = self.spinning()
        # A page must not be another's by the time that it is poisoned
        self.signal(process, signal.SIGSTOP)
        while ') T ' not in self.machine.read(f'/proc/{process.pid}/stat'):
            pass
        pages = self.stack(process)
        self.assertTrue(pages)
        for pfn in pages:
            self.machine.poison(pfn)
        self.signal(process, signal.SIGCONT)
        self.machine.link.wait(lambda: process.code is not None, 20,
                               'end of the process')
        self.assertEqual(process.code, -signal.SIGBUS)

    def test_poison_of_no_page_is_refused(self):
        with self.assertRaises(OSError) as caught:
            self.machine.poison(1 << 40)
        self.assertEqual(caught.exception.errno, errno.ENXIO)

    def test_unmapped_page_has_no_frame(self):
        self.assertIsNone(self.machine.pfn(self.spinning().pid, 0))

    def test_process_without_guest_memfd(self):
        with self.assertRaisesRegex(bed.BedError, 'no guest_memfd'):
            self.machine.private_pfn(self.spinning().pid, 0)


if __name__ == '__main__':
    unittest.main(verbosity=2)
