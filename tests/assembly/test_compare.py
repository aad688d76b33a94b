# SPDX-License-Identifier: GPL-2.0-or-later
"""What counts as a difference between the pristine and the patched tree.

And how the test programs of QEMU and libvirt tell their cases.
"""
import io
import unittest
from types import SimpleNamespace

from prefaultlib import libvirttests, qemutests, tap, upstream

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
    'only patched, pass': (None, 'passed', None, 0),
    'only patched, fail': (None, 'failed', 'failed', 1),
}


def failures(pristine, patched, again, floor=0):
    def verdicts(verdict):
        return {'p: t': verdict} if verdict else {}
    results = tap.Results(io.StringIO())
    upstream.check(results, 'suite', verdicts(pristine), verdicts(patched),
                   lambda _worse: verdicts(again), floor)
    return results.failed


# What a test program of libvirt's prints with VIR_TEST_VERBOSE=1
LIBVIRT = """TEST: sometest
 1) parse                                         ... OK
 2) parse                                         ... a warning
12) not the next case, but a line of the test's
SKIP
 3) failed                                        ... libvirt: error : xFAILED
 4) crashed                                       ... """


class Comparison(unittest.TestCase):
    def test_only_what_prefault_breaks_fails(self):
        for name, (pristine, patched, again, wanted) in CASES.items():
            with self.subTest(name):
                self.assertEqual(failures(pristine, patched, again), wanted)

    def test_too_few_executed_tests_fail(self):
        self.assertEqual(failures('passed', 'passed', None, 1), 0)
        self.assertEqual(failures('passed', 'passed', None, 2), 1)
        self.assertEqual(failures('skipped', 'skipped', None, 1), 1)

    def test_thousands_of_differences_are_summed_up(self):
        results = tap.Results(io.StringIO())
        pristine = {f'p: {n}': 'passed' for n in range(2000)}
        upstream.check(results, 'suite', pristine, {}, lambda _worse: {}, 0)
        self.assertEqual(results.failed, upstream.SHOWN + 1)
        self.assertIn('1960 more tests, of p', results.out.getvalue())

    def test_program_that_fails_as_a_whole_hides_its_cases(self):
        self.assertEqual(
            upstream.compare({'p': 'failed'}, {'p: t': 'failed'}), [])


class Cases(unittest.TestCase):
    def verdicts(self, suite, result, **output):
        record = {'name': 'x:y / a test', 'result': result, **output}
        made = suite.__new__(suite)
        made.build = SimpleNamespace(source='/b/src/tree', folder='/b/libvirt')
        return made.verdicts_of(record)

    def test_cases_of_qemu(self):
        self.assertEqual(
            self.verdicts(qemutests.Suite, 'OK',
                          stdout='1..3\nok 1 /a\nnot ok 2 /b\nok 3 /c # SKIP'),
            {'a test: /a': 'passed', 'a test: /b': 'failed',
             'a test: /c': 'skipped'})

    def test_cases_of_libvirt(self):
        self.assertEqual(
            self.verdicts(libvirttests.Suite, 'FAIL', stderr=LIBVIRT),
            {'a test: parse': 'passed', 'a test: parse #2': 'skipped',
             'a test: failed': 'failed', 'a test: crashed': 'failed'})

    def test_titles_do_not_say_where_the_tree_lies(self):
        text = (' 1) check /b/src/tree/a.xml against /b/libvirt/a.rng ... OK\n')
        self.assertEqual(
            self.verdicts(libvirttests.Suite, 'OK', stderr=text),
            {'a test: check a.xml against a.rng': 'passed'})

    def test_program_without_cases(self):
        for result, verdict in (('OK', 'passed'), ('EXPECTEDFAIL', 'passed'),
                                ('SKIP', 'skipped'), ('FAIL', 'failed'),
                                ('TIMEOUT', 'failed')):
            self.assertEqual(self.verdicts(libvirttests.Suite, result),
                             {'a test': verdict})

    def test_crash_behind_the_last_case_is_a_failure(self):
        text = LIBVIRT[:LIBVIRT.index(' 2)')]
        self.assertEqual(
            self.verdicts(libvirttests.Suite, 'FAIL', stderr=text),
            {'a test: parse': 'passed', 'a test': 'failed'})


if __name__ == '__main__':
    unittest.main()
