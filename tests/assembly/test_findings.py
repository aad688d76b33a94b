# SPDX-License-Identifier: GPL-2.0-or-later
"""What of a sanitizer's report counts."""
import unittest
from pathlib import Path
from unittest import mock

from bed import findings
from bed.findings import Frame

QEMU = Path('/prefault/qemu-system-x86_64')
# Addresses that the reports name
FRAMES = {
    '0x10': [Frame('engine_next', 'hw/core/prefault/engine.c:50')],
    '0x20': [Frame('list_insert', 'util/list.c:7'),
             Frame('schedule', 'util/list.c:20')],
    '0x30': [Frame('list_take', 'util/list.c:40')],
    '0x40': [Frame('qemu_new', 'util/new.c:3')],
}
KNOWN = [('race', 'list_insert', 'list_take'), ('leak', 'qemu_new'),
         ('undefined', 'util/new.c')]


def stack(*addresses):
    """Lines of a stack."""
    return ''.join(f'    #{number} 0x7f00 (/prefault/qemu-system-x86_64+{address}) '
                   '(BuildId: 12)\n' for number, address in enumerate(addresses))


def leak(*addresses):
    """The report of a leak."""
    return ('\n==7==ERROR: LeakSanitizer: detected memory leaks\n\n'
            'Direct leak of 40 byte(s) in 1 object(s) allocated from:\n'
            f'{stack(*addresses)}\nSUMMARY: 40 byte(s) leaked\n')


def race(one, other, creator='0x10'):
    """The report of a race, of a thread that another function made."""
    return ('==================\nWARNING: ThreadSanitizer: data race (pid=7)\n'
            f'  Read of size 8 at 0x7b48 by thread T5:\n{stack(*one)}\n'
            f'  Previous atomic write of size 8 by main thread:\n{stack(*other)}\n'
            f'  Thread T5 (tid=9, running) created by main thread at:\n'
            f'{stack(creator)}\nSUMMARY: ThreadSanitizer: data race\n')


class Judged(unittest.TestCase):
    """Reports, and which of them count."""

    def count(self, text):
        """How many findings of a log (count, are known)."""
        with (mock.patch.object(findings, 'symbols', lambda *_: FRAMES),
              mock.patch.object(findings, 'known', lambda: KNOWN)):
            return tuple(map(len, findings.judged(text, QEMU)))

    def test_nothing(self):
        self.assertEqual(self.count('inject: ioctl: calls=1 hits=1\n'), (0, 0))

    def test_known_leak(self):
        self.assertEqual(self.count(leak('0x40', '0x30')), (0, 1))

    def test_each_leak_is_one(self):
        self.assertEqual(self.count(leak('0x30') + leak('0x40')), (1, 1))

    def test_known_leak_below_a_function_of_ours(self):
        self.assertEqual(self.count(leak('0x40', '0x10')), (1, 0))

    def test_known_race_whoever_calls(self):
        """The memory is QEMU's, and the thread may be ours."""
        self.assertEqual(self.count(race(['0x20', '0x10'], ['0x30'])), (0, 1))

    def test_race_that_ours_take_part_in(self):
        for pair in ((['0x20', '0x10'], ['0x40']), (['0x10', '0x20'], ['0x30']),
                     (['0x40'], ['0x30', '0x10'])):
            self.assertEqual(self.count(race(*pair)), (1, 0))

    def test_race_of_memory_of_ours(self):
        text = race(['0x40'], ['0x30']).replace('  Thread T5', (
            f'  Location is heap block of size 8 allocated by thread T1:\n'
            f'{stack("0x10")}\n  Thread T5'))
        self.assertEqual(self.count(text), (1, 0))

    def test_race_of_others(self):
        self.assertEqual(self.count(race(['0x20'], ['0x40'])), (0, 1))

    def test_error(self):
        self.assertEqual(self.count(
            '==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x6\n'
            f'READ of size 8 at 0x6 thread T0\n{stack("0x40")}'), (1, 0))

    def test_what_has_no_stack_counts(self):
        self.assertEqual(self.count(
            '==7==ERROR: AddressSanitizer failed to allocate 0x100\n'), (1, 0))

    def test_sanitizer_that_gives_up(self):
        """It may have missed all else."""
        for line in ('==7==LeakSanitizer has encountered a fatal error.',
                     'FATAL: ThreadSanitizer: unexpected memory mapping 0x1',
                     '==7==AddressSanitizer: CHECK failed: a.cpp:1'):
            with self.subTest(line):
                self.assertEqual(self.count(f'{line}\n'), (1, 0))

    def test_undefined(self):
        text = f'{{}}:3:5: runtime error: shift\n{stack("0x40")}'
        ours = '../src/qemu-10.2.2/hw/core/prefault/plan.c'
        self.assertEqual(self.count(text.format('../util/new.c')), (0, 1))
        self.assertEqual(self.count(text.format(ours)), (1, 0))

    def test_the_list_has_reasons_and_names_nothing_of_ours(self):
        before = ''
        for line in findings.KNOWN.read_text(encoding='utf-8').splitlines():
            if line and not line.startswith('#'):
                self.assertTrue(before.startswith(('#', *dict(findings.KINDS))),
                                f'{line} has no reason')
                self.assertNotRegex(line, 'prefault|sw_protected')
            before = line
        self.assertGreater(len(findings.known()), 0)


if __name__ == '__main__':
    unittest.main()
