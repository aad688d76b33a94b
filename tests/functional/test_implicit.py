# SPDX-License-Identifier: GPL-2.0-or-later
"""Implicit conversions: the guest touches memory of the other kind.

The exits are KVM's own; tests/module makes it take an access for one of the other
kind, as confidential hardware tells it.
"""
import unittest

from common import MIB, RUN_SECONDS
from private import PRIVATE, PrivateTest

BED = {'private': True}

WINDOW = (16 * MIB, 17 * MIB)
PAGES = 256


class Implicit(PrivateTest):

    def unmapped(self, state, prefault):
        """A guest most of whose memory is not mapped: it is going to fault.

        With a second worker that would depend on how soon it is cancelled.
        """
        traced = ['-trace', 'kvm_memory_fault']
        if prefault == 'off':
            return self.private_running(state, *traced, prefault='off')
        qemu = self.private(state, *traced, wait=True,
                            prefault='auto,prefault-threads=1',
                            inject='ioctl:KVM_PRE_FAULT_MEMORY:count=1:'
                            'delay-ms=2000')
        qemu.qmp('cont')
        qemu.qmp('prefault-cancel')
        self.resumed(qemu)
        qemu.wait_text('READY', RUN_SECONDS)
        return qemu

    def swept(self, state, to, prefault='auto'):
        """The guest, after it wrote all memory with a window of the other
        kind."""
        qemu = self.unmapped(state, prefault)
        self.addCleanup(self.machine.unload, 'implicit')
        self.machine.implicit(**{to: WINDOW})
        qemu.sweep()
        self.assertGreaterEqual(self.machine.implicit_changed(), PAGES)
        return qemu

    def assert_traced(self, qemu, flags):
        """Each page of the window had one exit, with these flags."""
        lines = [line for line in qemu.stderr.splitlines()
                 if line.startswith('kvm_memory_fault ')]
        print(f'# note: {len(lines)} exits, the first: {lines[0]}')
        self.assertEqual(len(set(lines)), PAGES)
        for line in lines:
            self.assertTrue(line.endswith(f'flags {flags:#x}'), line)

    def test_to_private(self):
        qemu = self.swept('shared', 'to_private')
        self.assert_traced(qemu, PRIVATE)
        figures = self.converted(qemu, implicit=PAGES, to_private=PAGES,
                                 to_private_bytes=1 * MIB, explicit=0,
                                 to_shared=0, failures=0)
        self.assertEqual(figures['prefaulted'], 1 * MIB)
        self.assertEqual(self.word(qemu, WINDOW[0]), 0)
        self.assertEqual(self.word(qemu, WINDOW[1]), 1)

    def test_to_shared(self):
        qemu = self.swept('private', 'to_shared')
        self.assert_traced(qemu, 0)
        figures = self.converted(qemu, implicit=PAGES, to_shared=PAGES,
                                 to_shared_bytes=1 * MIB, explicit=0,
                                 to_private=0, failures=0)
        self.assertEqual(figures['prefaulted'], 1 * MIB)
        self.assertEqual(self.word(qemu, WINDOW[0]), 1)
        self.assertEqual(self.word(qemu, WINDOW[1]), 0)

    def test_prefault_off(self):
        """QEMU's own code; the page's fault follows."""
        qemu = self.swept('private', 'to_shared', prefault='off')
        self.assert_traced(qemu, 0)
        self.assertEqual(self.word(qemu, WINDOW[0]), 1)


if __name__ == '__main__':
    unittest.main()
