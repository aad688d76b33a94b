# SPDX-License-Identifier: GPL-2.0-or-later
"""What counts as a difference between the pristine and the patched tree.

And how the test programs of QEMU and libvirt tell their cases.
"""
import io
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from prefaultlib.assemble import project
from prefaultlib.check import compare, libvirt, qemu, tap, verdicts

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


def of(verdict):
    return {'p: t': verdict} if verdict else {}


def failures(pristine, patched, again, floor=0, pristine_again=None):
    """How many there are if a second try says this."""
    results = tap.Results(io.StringIO())
    steps = (lambda known, _mine, _worse: (known, of(again)),
             lambda known, mine, _worse: (
                 of(pristine_again) if pristine_again else known, mine))
    compare.check(results, 'suite', of(pristine), of(patched), steps, floor)
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

    def test_what_is_known_may_be_of_another_machine(self):
        """What the pristine tree says here counts; and is asked for only then."""
        for here, wanted in (('passed', 1), ('failed', 0), ('skipped', 0)):
            self.assertEqual(failures('passed', 'failed', 'failed',
                                      pristine_again=here), wanted)
        self.assertEqual(failures('passed', 'failed', 'passed', 1,
                                  pristine_again='failed'), 0)

    def test_too_few_executed_tests_fail(self):
        self.assertEqual(failures('passed', 'passed', None, 1), 0)
        self.assertEqual(failures('passed', 'passed', None, 2), 1)
        self.assertEqual(failures('skipped', 'skipped', None, 1), 1)

    def test_thousands_of_differences_are_summed_up(self):
        results = tap.Results(io.StringIO())
        pristine = {f'p: {n}': 'passed' for n in range(2000)}
        compare.check(results, 'suite', pristine, {}, (), 0)
        self.assertEqual(results.failed, compare.SHOWN + 1)
        self.assertIn('1960 more tests, of p', results.out.getvalue())

    def test_program_that_fails_as_a_whole_hides_its_cases(self):
        self.assertEqual(
            compare.compare({'p': 'failed'}, {'p: t': 'failed'}), [])


class Known(unittest.TestCase):
    """The verdicts in the repository."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        silent = mock.patch('prefaultlib.say.info')
        silent.start()
        self.addCleanup(silent.stop)

    def test_those_of_the_pinned_archives_are_there(self):
        for name, upstream, least in (('upstream', project.QEMU, 2000),
                                      ('libvirt', project.LIBVIRT, 11000)):
            known = verdicts.load(name, upstream)
            self.assertGreater(len(known), least)
            self.assertLessEqual({*known.values()},
                                 {'passed', 'failed', 'skipped'})

    def test_those_of_another_archive_count_for_nothing(self):
        (self.folder / 'upstream.json').write_text(
            '{"archive": "0123", "verdicts": {"p: t": "passed"}}')
        self.assertIsNone(verdicts.load('upstream', project.QEMU, self.folder))
        self.assertIsNone(verdicts.load('none', project.QEMU, self.folder))


class Trees(unittest.TestCase):
    """Which trees are built, and which programs run on them."""

    def compared(self, mine, known, again, stopped=()):
        """[(tree, tests that were run)]; the second run on a tree says @again."""
        ran = []

        class Fake:
            def __init__(self, name):
                self.build = SimpleNamespace(project=project.QEMU)
                self.name = name
                self.tests = {'p': {}, 'q': {}}
                self.stopped = stopped

            def make(self, names):
                pass

            def run(self, names):
                ran.append((self.name, names))
                first = (self.name, ['p', 'q']) == ran[-1]
                return mine if first else {f'{name}: t': again
                                           for name in names}

        with (mock.patch('prefaultlib.check.verdicts.load', lambda *_: known),
              mock.patch('prefaultlib.say.info')):
            compare.Comparison('upstream', Fake, {
                name: (lambda name=name: name)
                for name in ('patched', 'pristine')}).run(
                    tap.Results(io.StringIO()), 0)
        return ran

    good = {'p: t': 'passed', 'q: t': 'passed'}
    bad = {'p: t': 'passed', 'q: t': 'failed'}

    def test_pristine_tree_is_not_touched_if_nothing_differs(self):
        self.assertEqual(self.compared(self.good, self.good, None),
                         [('patched', ['p', 'q'])])

    def test_what_differs_runs_once_more_then_on_the_pristine_tree(self):
        self.assertEqual(self.compared(self.bad, self.good, 'failed'),
                         [('patched', ['p', 'q']), ('patched', ['q']),
                          ('pristine', ['q'])])
        self.assertEqual(self.compared(self.bad, self.good, 'passed'),
                         [('patched', ['p', 'q']), ('patched', ['q'])])

    def test_what_was_stopped_is_not_run_once_more(self):
        self.assertEqual(self.compared(self.bad, self.good, 'failed', {'q'}),
                         [('patched', ['p', 'q']), ('pristine', ['q'])])

    def test_nothing_is_known(self):
        self.assertEqual(self.compared(self.good, None, None),
                         [('patched', ['p', 'q']), ('pristine', ['p', 'q'])])


class Cases(unittest.TestCase):
    def verdicts(self, suite, result, **output):
        record = {'name': 'x:y / a test', 'result': result, **output}
        made = suite.__new__(suite)
        made.stopped, made.bound = set(), 300
        made.build = SimpleNamespace(source='/b/src/tree', folder='/b/libvirt')
        return made.verdicts_of(record)

    def test_cases_of_qemu(self):
        self.assertEqual(
            self.verdicts(qemu.Suite, 'OK',
                          stdout='1..3\nok 1 /a\nnot ok 2 /b\nok 3 /c # SKIP'),
            {'a test: /a': 'passed', 'a test: /b': 'failed',
             'a test: /c': 'skipped'})

    def test_cases_of_libvirt(self):
        self.assertEqual(
            self.verdicts(libvirt.Suite, 'FAIL', stderr=LIBVIRT),
            {'a test: parse': 'passed', 'a test: parse #2': 'skipped',
             'a test: failed': 'failed', 'a test: crashed': 'failed'})

    def test_titles_do_not_say_where_the_tree_lies(self):
        text = (' 1) check /b/src/tree/a.xml against /b/libvirt/a.rng ... OK\n')
        self.assertEqual(
            self.verdicts(libvirt.Suite, 'OK', stderr=text),
            {'a test: check a.xml against a.rng': 'passed'})

    def test_program_that_was_stopped(self):
        """It is named, and what it had done until then counts."""
        with mock.patch('prefaultlib.say.info') as said:
            self.assertEqual(
                self.verdicts(qemu.Suite, 'FAIL', stdout='ok 1 /a',
                              returncode=124),
                {'a test: /a': 'passed', 'a test': 'failed'})
        said.assert_called_with('a test was stopped after 300 s')

    def test_program_without_cases(self):
        for result, verdict in (('OK', 'passed'), ('EXPECTEDFAIL', 'passed'),
                                ('SKIP', 'skipped'), ('FAIL', 'failed'),
                                ('TIMEOUT', 'failed')):
            self.assertEqual(self.verdicts(libvirt.Suite, result),
                             {'a test': verdict})

    def test_crash_behind_the_last_case_is_a_failure(self):
        text = LIBVIRT[:LIBVIRT.index(' 2)')]
        self.assertEqual(
            self.verdicts(libvirt.Suite, 'FAIL', stderr=text),
            {'a test: parse': 'passed', 'a test': 'failed'})


if __name__ == '__main__':
    unittest.main()
