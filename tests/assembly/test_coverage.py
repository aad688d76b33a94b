# SPDX-License-Identifier: GPL-2.0-or-later
"""The table of the lines that tests run."""
import collections
import unittest

from prefaultlib.check import coverage

PLAN = 'hw/core/prefault/plan.c'


def document(name, **lines):
    """What gcov says of an object with one file."""
    return {'files': [{'file': name, 'lines': [
        {'line_number': int(number.lstrip('n')), 'count': count}
        for number, count in lines.items()]}]}


class Table(unittest.TestCase):
    """Counts of several objects make one table."""

    def setUp(self):
        self.lines = collections.defaultdict(collections.Counter)

    def take(self, name, **lines):
        coverage.take_document(self.lines, document(name, **lines))

    def test_a_line_counts_if_one_program_runs_it(self):
        for lines in {'n3': 1, 'n4': 0, 'n9': 0}, {'n3': 0, 'n4': 2, 'n9': 0}:
            self.take(f'../src/qemu-10.2.2/{PLAN}', **lines)
        share, rows = coverage.table(self.lines)
        self.assertAlmostEqual(share, 200 / 3)
        self.assertEqual(rows[1], f'    3   66.7  {PLAN}  never: 9')

    def test_only_our_files_count(self):
        self.take('../src/qemu-10.2.2/hw/core/machine.c', n1=0)
        self.take('../src/qemu-10.2.2/hw/core/prefault/plan.h', n1=0)
        self.take('../src/qemu-10.2.2/hw/i386/sw-protected-vm.c', n1=1)
        self.assertEqual(list(self.lines), ['hw/i386/sw-protected-vm.c'])

    def test_nothing_is_not_all(self):
        self.assertEqual(coverage.table(self.lines)[0], 0)

    def test_ranges(self):
        self.assertEqual(coverage.ranges([1, 2, 3, 7, 9, 10]), '1-3 7 9-10')


if __name__ == '__main__':
    unittest.main()
