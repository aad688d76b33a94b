# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/check says of TAP programs, and says again at its end."""
import io
import re
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from prefaultlib.check import tap


class Report(unittest.TestCase):
    """Programs are shell scripts of a few lines."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        logs = mock.patch('prefaultlib.paths.LOGS', Path(folder.name))
        logs.start()
        self.addCleanup(logs.stop)
        self.results = tap.Results(io.StringIO())

    def program(self, script, **options):
        """Run a program and return its Results."""
        tap.Program(self.results, 'p', **options).run(['/bin/sh', '-c', script],
                                                      60)
        return self.results

    def end(self):
        """The lines that scripts/check prints last, times left out."""
        return re.sub(r'  [\d.]+ s', '', self.results.end()).splitlines()

    def test_success_is_one_line(self):
        self.program('echo 1..2; echo chatter; echo ok 1 a; echo ok 2 b')
        self.assertEqual(self.end(), ['2 passed, 0 failed, 0 skipped'])
        self.assertNotIn('chatter', self.results.out.getvalue())

    def test_failed_tests_have_their_own_messages(self):
        """Where the test ends, and at the end: not those of other tests."""
        self.program('echo before; echo ok 1 a; echo why b; echo not ok 2 b; '
                     'echo after; echo ok 3 c; echo why d; echo not ok 4 d; '
                     'echo 1..4')
        message = ['  FAIL p: b', '       | why b',
                   '  FAIL p: d', '       | why d']
        self.assertEqual(self.end(), ['', 'What failed:', *message,
                                      '2 passed, 2 failed, 0 skipped'])
        said = re.sub(r'  [\d.]+ s', '', self.results.out.getvalue())
        self.assertIn('\n'.join(message[:2]), said)
        self.assertNotIn('before', said)
        self.assertNotIn('after', said)
        self.assertIn('all of it: ', said)

    def test_notes_are_no_messages(self):
        self.program("echo '# note: 5 pages'; echo not ok 1 a; echo 1..1")
        self.assertIn('       5 pages\n', self.results.out.getvalue())
        self.assertNotIn('5 pages', '\n'.join(self.end()))

    def test_program_that_ends_early(self):
        """The failure is its own; what it said last is the message."""
        for script, why in (('echo boom; exit 3',
                             'ended with status 3 and no plan'),
                            ('echo boom; kill -ABRT $$', 'died of SIGABRT'),
                            ('echo boom; echo 1..0', 'ran no test'),
                            ('echo 1..2; echo ok 1 a; echo boom',
                             'ran 1 of 2 tests, status 0')):
            with self.subTest(script):
                self.results = tap.Results(io.StringIO())
                self.program(script)
                self.assertEqual(self.end()[2:4],
                                 [f'  FAIL p  ({why})', '       | boom'])

    def test_times_of_suites(self):
        with self.results.suite('unit'):
            self.program('echo ok 1 a; echo 1..1')
        self.assertRegex(self.results.end(),
                         r'^ +0 s  unit\n1 passed, 0 failed, 0 skipped$')

    def test_session(self):
        """One process for several programs; one that it does not survive is a
        failure, and the next has another process."""
        script = ('import os, sys\nfor line in sys.stdin:\n'
                  ' print("# note:", os.getpid())\n'
                  ' if line == "a\\tdie\\n": print("boom"), os._exit(3)\n'
                  ' print("ok 1 x\\n1..1", flush=True)\n')
        with tap.Session([sys.executable, '-uc', script], None) as session:
            for name in 'one', 'two', 'die', 'three':
                session.run(tap.Program(self.results, name), ['a', name], 60)
        self.assertEqual(self.end()[2:], [
            '  FAIL die  (ended with status 3 and no plan)', '       | boom',
            '3 passed, 1 failed, 0 skipped'])
        pids = re.findall(r'^       (\d+)$', self.results.out.getvalue(), re.M)
        self.assertEqual([pids.index(pid) for pid in pids], [0, 0, 0, 3])

    def test_session_that_hangs(self):
        with tap.Session(['/bin/sh', '-c', 'read a; sleep 60'], None) as session:
            session.run(tap.Program(self.results, 'p'), ['a'], 0.2)
        self.assertIn('  FAIL p  (killed after 0 s)', self.end())

    def test_skip_that_must_not_be(self):
        self.program("echo 'ok 1 a # SKIP no bed'; echo 1..1", skip_fails=True)
        self.assertIn('  FAIL p: a  (must not be skipped: no bed)', self.end())

    def test_long_messages_are_cut(self):
        """Of one the end is kept, and of many all have their share."""
        self.program('seq 1000; echo not ok 1 a; echo 1..1')
        lines = self.end()
        self.assertLess(len(lines), tap.LINES_AT_THE_END + 5)
        self.assertEqual(lines[3], '       | 1')
        self.assertEqual(lines[-2], '       | 1000')
        shown = self.results.out.getvalue().splitlines()
        self.assertLess(len(shown), tap.LINES_SHOWN + 5)
        for _ in range(9):
            self.program('seq 1000; echo not ok 1 a; echo 1..1')
        lines = self.end()
        self.assertLess(len(lines), tap.LINES_AT_THE_END + 15)
        self.assertEqual(lines.count('       | 1000'), 10)
        self.program("printf '%09999d\\n' 0; echo not ok 1 a; echo 1..1")
        self.assertLess(max(map(len, self.end())), tap.LINE_WIDTH + 20)


if __name__ == '__main__':
    unittest.main()
