# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt's own tests: which, and how they tell their cases.

All that a release runs; the checks of its coding style need its git repository.
Tests of ours are cases of libvirt's own programs.
"""
import re
from collections import Counter

from . import compare

# The pristine tree ran 11215 cases on Debian 12, all passed; a few may go away
# with a kernel or a machine that has less.
FLOOR = 11000

# ` 7) title      ... ` begins a case; what it has to say comes before a verdict,
# which ends a line
CASE = re.compile(r'^ ?(\d+)\) ', re.M)
TITLE = re.compile(r'(.*?) *\.\.\. ', re.S)
VERDICT = re.compile(r'(OK|SKIP|FAILED)$', re.M)
VERDICTS = {'OK': 'passed', 'SKIP': 'skipped', 'FAILED': 'failed'}


class Suite(compare.Suite):
    """The tests of one build directory."""

    def is_wanted(self, test):
        return True

    def environment(self):
        return dict(super().environment(), VIR_TEST_VERBOSE='1')

    def cases_of(self, record):
        """Titles may be paths, which are not the same in another tree."""
        text = record.get('stderr', '')
        for folder in self.build.source, self.build.folder:
            text = text.replace(f'{folder}/', '')
        return cases(text)


def cases(text):
    """{title: verdict} of what a test program of libvirt's printed.

    A title that is there for the second time becomes `title #2`.
    """
    found, count = {}, Counter()
    for part in parts(text):
        title = TITLE.match(part)
        if not title:
            continue
        count[title[1]] += 1
        again = count[title[1]]
        name = title[1] if again == 1 else f'{title[1]} #{again}'
        verdicts = VERDICT.findall(part)
        # None: it crashed there
        found[name] = VERDICTS[verdicts[-1]] if verdicts else 'failed'
    return found


def parts(text):
    """What belongs to case 1, 2, ...: other numbers are output of a test."""
    starts = []
    for begin in CASE.finditer(text):
        if int(begin[1]) == len(starts) + 1:
            starts.append(begin)
    ends = [begin.start() for begin in starts[1:]] + [len(text)]
    return [text[begin.end():end] for begin, end in zip(starts, ends)]
