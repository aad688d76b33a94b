# SPDX-License-Identifier: GPL-2.0-or-later
"""What counts as a difference between the pristine and the patched tree."""
import io
import unittest

from prefaultlib import tap, upstream

# name: (pristine, patched, patched once more, failures)
CASES = {
    'pass, pass': ('passed', 'passed', None, 0),
    'pass, fail': ('passed', 'failed', 'failed', 1),
    'pass, fail, then pass': ('passed', 'failed', 'passed', 0),
    'pass, skip': ('passed', 'skipped', 'skipped', 1),
    'pass, missing': ('passed', None, None, 1),
    'fail, fail': ('failed', 'failed', None, 0),
    'skip, skip': ('skipped', 'skipped', None, 0),
    'skip, pass': ('skipped', 'passed', None, 0),
    'only patched': (None, 'failed', None, 0),
}


def failures(pristine, patched, again, floor=0):
    def verdicts(verdict):
        return {'p: t': verdict} if verdict else {}
    results = tap.Results(io.StringIO())
    upstream.check(results, verdicts(pristine), verdicts(patched),
                   lambda _worse: verdicts(again), floor)
    return results.failed


class Comparison(unittest.TestCase):
    def test_only_what_prefault_breaks_fails(self):
        for name, (pristine, patched, again, wanted) in CASES.items():
            with self.subTest(name):
                self.assertEqual(failures(pristine, patched, again), wanted)

    def test_too_few_executed_tests_fail(self):
        self.assertEqual(failures('passed', 'passed', None, 1), 0)
        self.assertEqual(failures('passed', 'passed', None, 2), 1)
        self.assertEqual(failures('skipped', 'skipped', None, 1), 1)


if __name__ == '__main__':
    unittest.main()
