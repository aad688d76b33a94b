# SPDX-License-Identifier: GPL-2.0-or-later
"""Run modules of Python unittests and print TAP, a plan behind each.

    python3 -m prefaultlib.check.tapunit MODULE [TEST...]
    python3 -m prefaultlib.check.tapunit    reads such words, a module a line

A bed that one module booted is there for the next.
"""
import sys
import traceback
import unittest


class TapResult(unittest.TestResult):
    """Prints one TAP line as each test ends."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        self.count = 0
        self.verdict = ('ok', '')

    def startTest(self, test):
        super().startTest(test)
        self.verdict = ('ok', '')

    def stopTest(self, test):
        super().stopTest(test)
        self._print(test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._set(test, 'ok', ' # SKIP ' + ' '.join(reason.split()))

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._set(test, 'not ok', '', err)

    def addError(self, test, err):
        super().addError(test, err)
        self._set(test, 'not ok', '', err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            print(f'# in {subtest}')
            self._set(test, 'not ok', '', err)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._set(test, 'not ok', '')

    def _set(self, test, verdict, tail, err=None):
        if err:
            text = ''.join(traceback.format_exception(*err))
            print('\n'.join('# ' + line for line in text.splitlines()))
        if not (self.verdict[0] == 'not ok' and verdict == 'ok'):
            self.verdict = (verdict, tail)
        # Failed or skipped setUpClass and setUpModule start no test.
        if not isinstance(test, unittest.TestCase):
            self._print(test)
            self.verdict = ('ok', '')

    def _print(self, test):
        self.count += 1
        name = test.id().removeprefix(self.module + '.')
        print(f'{self.verdict[0]} {self.count} {name}{self.verdict[1]}',
              flush=True)


def run(module, tests):
    """Run a module's tests, all if none is named; tell whether all is well."""
    names = [f'{module}.{test}' for test in tests] or [module]
    result = TapResult(module)
    unittest.defaultTestLoader.loadTestsFromNames(names).run(result)
    print(f'1..{result.count}', flush=True)
    return result.wasSuccessful() and result.count > 0


def main():
    if sys.argv[1:]:
        return 0 if run(sys.argv[1], sys.argv[2:]) else 1
    for line in sys.stdin:
        module, *tests = line.rstrip('\n').split('\t')
        run(module, tests)
    return 0


if __name__ == '__main__':
    sys.exit(main())
