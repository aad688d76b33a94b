# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/check says of TAP programs, and says again at its end."""
import io
import re
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from prefaultlib import tap


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
                            ('echo 1..2; echo ok 1 a; echo boom',
                             'ran 1 of 2 tests, status 0')):
            with self.subTest(script):
                self.results = tap.Results(io.StringIO())
                self.program(script)
                self.assertEqual(self.end()[2:4],
                                 [f'  FAIL p  ({why})', '       | boom'])

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
