# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's own unit tests and qtests: which, and how they tell their cases."""
import re

from . import compare
from .tap import LINE

SUITES = ('unit', 'qtest-x86_64')

# Takes longer than all others together: a suite of its own.
LONG = 'qtest-x86_64/migration-test'

# Ours have suites of their own.
OURS = re.compile(r'prefault')

# Both trees ran 2142 tests on Debian 12, all passed; a few may go away with a
# kernel or a machine that has less.
FLOOR = 2000

# Cases that never end, with any accelerator, patched or not: name of the test,
# their names, and why
NEVER_END = {'qtest-x86_64/cdrom-test':
             (('/x86_64/cdrom/boot/am53c974', '/x86_64/cdrom/boot/dc390'),
              "SeaBIOS 1.16, Debian's, spins on this SCSI controller of QEMU's")}


class Suite(compare.Suite):
    """The suites of one build directory."""

    def is_wanted(self, test):
        return (any(suite.split(':')[-1] in SUITES for suite in test['suite'])
                and not OURS.search(test['name']))

    def cases_of(self, record):
        """A case is a line of TAP."""
        found = {}
        for line in record.get('stdout', '').splitlines():
            tap = LINE.match(line)
            if tap and tap[3]:
                found[tap[3]] = ('failed' if tap[1] else
                                 'skipped' if tap[4] is not None else 'passed')
        return found

    def left_out(self):
        return {name: row for name, row in NEVER_END.items() if name in self.tests}

    def words_without(self, cases):
        return [word for case in cases for word in ('-s', case)]
