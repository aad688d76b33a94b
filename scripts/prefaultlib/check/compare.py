# SPDX-License-Identifier: GPL-2.0-or-later
"""A project's own tests, on the patched and on the pristine tree, compared.

Both trees are built alike and run the same tests by the project's Meson.  A test
is one case of a program, or a program that does not tell its cases.  What
passes on the pristine tree has to pass on the patched one, and so has what only
that has; what fails on both is upstream's, or this machine's.

The pristine tree's verdicts are known (verdicts.py).  That tree is built, and its
tests are run, only where the patched one does worse, or if it is asked for.
"""
import json
import re
import subprocess
import sys
import time
from collections import Counter

from .. import paths, say
from ..build import directory
from . import verdicts

# No program takes a third of it on two CPUs; one that spins is stopped here,
# whatever the project allows it
BOUND_SECONDS = 300
STOPPED = 124           # the status of timeout(1) then
SHOWN = 40      # failures that are reported one by one


class Suite:
    """The tests of one build directory; a project's own class chooses them."""

    def __init__(self, build):
        """@build: a directory.Build, configured"""
        self.build = build
        self.bound = BOUND_SECONDS      # for each program
        self.stopped = set()            # those that took longer
        self.tests = {test['name']: test for test in build.introspect('tests')
                      if self.is_wanted(test)}

    def is_wanted(self, test):
        """Tell of Meson's description of a test whether to run it."""
        raise NotImplementedError

    def cases_of(self, record):
        """{case: verdict} of what a program printed."""
        raise NotImplementedError

    def environment(self):
        """The environment that the tests run in."""
        return directory.environment()

    def left_out(self):
        """{name: (cases, why)} of tests that run without some of their cases."""
        return {}

    def words_without(self, cases):
        """What a test takes on its command line to leave cases out."""
        raise NotImplementedError

    def make(self, names):
        """Build the programs of the tests, and what those need."""
        outputs = {target['id']: target['filename']
                   for target in self.build.introspect('targets')}
        wanted = {name for test in names for target in
                  self.tests[test]['depends'] for name in outputs[target]}
        self.build.build(sorted(self.build.relative(name) for name in wanted))

    def run(self, names):
        """Run tests; returns {test: verdict}, see verdicts_of()."""
        apart = self.left_out()
        found = self._run([name for name in names if name not in apart],
                          'upstream')
        for name in set(names) & set(apart):
            cases, why = apart[name]
            say.info(f"{name} runs without {', '.join(cases)}: {why}")
            found |= self._run([name], 'upstream-apart', [
                '--test-args', ' '.join(self.words_without(cases))])
        return found

    def _run(self, names, logbase, more=()):
        if not names:
            return {}
        log = paths.LOGS / f'{logbase}-{self.build.variant}.log'
        # Meson adds the wrapper's name.  An old answer must not pass for this run's
        answer = self.build.folder / f'meson-logs/{logbase}-timeout.json'
        answer.unlink(missing_ok=True)
        command = [*self.build.meson, 'test', '--no-rebuild',
                   '--num-processes', '2', '--timeout-multiplier', '0',
                   '--wrapper', f'timeout --kill-after=10 {self.bound}',
                   '--logbase', logbase, *more, *names]
        since = time.monotonic()
        with open(log, 'w', encoding='utf-8') as out:
            process = subprocess.Popen(
                command, cwd=self.build.folder, env=self.environment(),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors='replace')
            self._watch(process, out, len(names))
        say.info(f'{time.monotonic() - since:.0f} s; all of it: {log}')
        return {case: verdict
                for line in answer.read_text(encoding='utf-8').splitlines()
                for case, verdict in self.verdicts_of(json.loads(line)).items()}

    def _watch(self, process, out, count):
        """Show how many programs have ended."""
        bar = say.Bar(f'{self.build.variant} tree')
        done = 0
        for line in process.stdout:
            out.write(line)
            if re.match(r' *\d+/\d+ ', line):
                done += 1
                bar.at(min(1, done / count), f'{done} of {count} programs')
        process.wait()
        bar.done()

    def verdicts_of(self, record):
        """{test: 'passed', 'failed' or 'skipped'} of a record of Meson's."""
        program = record['name'].rpartition(' / ')[2]
        found = {f'{program}: {case}': verdict
                 for case, verdict in self.cases_of(record).items()}
        whole = {'OK': 'passed', 'EXPECTEDFAIL': 'passed',
                 'SKIP': 'skipped'}.get(record['result'], 'failed')
        if (whole == 'failed' and 'failed' not in found.values()
                or not found):
            # It crashed, hung, or does not tell its cases
            found[program] = whole
        if record.get('returncode') == STOPPED:
            self.stopped.add(program)
            say.info(f'{program} was stopped after {self.bound} s')
        return found


def compare(pristine, patched):
    """[(test, why)] of what the patched tree does worse."""
    worse = [(test, f"passes on the pristine tree, {patched.get(test, 'missing')}"
              ' on the patched one')
             for test, verdict in sorted(pristine.items())
             if verdict == 'passed' and patched.get(test) != 'passed']
    # A program that fails as a whole does not tell its cases
    return worse + [(test, 'fails on the patched tree, which alone has it')
                    for test, verdict in sorted(patched.items())
                    if verdict == 'failed' and test not in pristine
                    and pristine.get(test.split(': ')[0]) != 'failed']


def programs_of(worse, suite):
    """The Meson tests that hold tests of compare()'s answer."""
    return [name for name in suite.tests if name in programs(worse)]


def programs(worse):
    """The programs of compare()'s answer."""
    return {test.split(': ')[0] for test, _ in worse}


def counts(verdicts):
    """executed, passed, failed, skipped"""
    count = Counter(verdicts.values())
    return (count['passed'] + count['failed'], count['passed'],
            count['failed'], count['skipped'])


def table(results, rows):
    """Report the counts of each tree."""
    results.note(f"{'tree':9} {'executed':>8} {'passed':>7} {'failed':>7} "
                 f"{'skipped':>8}")
    for name, found in rows:
        executed, passed, failed, skipped = counts(found)
        results.note(f'{name:9} {executed:8} {passed:7} {failed:7} '
                     f'{skipped:8}')


def check(results, name, pristine, patched, again, floor):
    """Compare two trees' verdicts and report.

    @name:  of the suite
    @floor: fewer executed tests than these are a failure
    @again: functions that run programs once more, each named in compare()'s
            answer: (pristine, patched, worse) become (pristine, patched).  Of
            the first that takes away all differences the others are not called
    """
    since = time.monotonic()
    worse = compare(pristine, patched)
    for step in again:
        if worse:
            pristine, patched = step(pristine, patched, worse)
            worse = compare(pristine, patched)
    table(results, (('pristine', pristine), ('patched', patched)))
    for test, verdict in sorted(pristine.items()):
        if verdict == 'failed':
            results.note(f'fails without prefault too: {test}')
    report(results, name, worse)
    executed = min(counts(pristine)[0], counts(patched)[0])
    seconds = time.monotonic() - since
    if executed < floor:
        results.add(f'{name}/floor', 'FAIL', seconds,
                    f'{executed} tests were executed, fewer than {floor}')
    elif not worse:
        results.add(f'{name}/no difference', 'ok', seconds)


def report(results, name, worse):
    """A failure for each test of compare()'s answer, or for many at once."""
    for test, why in worse[:SHOWN]:
        results.add(f'{name}/{test}', 'FAIL', 0, why)
    if worse[SHOWN:]:
        results.add(f'{name}/others', 'FAIL', 0,
                    f'{len(worse) - SHOWN} more tests, of '
                    f"{', '.join(sorted(programs(worse[SHOWN:])))}")


class Comparison:
    """One suite on both trees."""

    def __init__(self, name, suite, trees, choose=lambda name: True,
                 bound=BOUND_SECONDS):
        """
        @name:   of the suite, for the results and the known verdicts
        @suite:  the project's class of Suite
        @trees:  {'pristine': function, 'patched': function}: each returns its
                 Build, configured
        @choose: tells of a test's name whether it is run
        @bound:  seconds that a program may take
        """
        self.bound = bound
        self.name = name
        self.suite = suite
        self.trees = trees
        self.choose = choose
        self.suites = {}        # of the trees that are ready

    def run(self, results, floor, both=False, record=False):
        """Run the tests on the patched tree and compare.

        @floor:  see check()
        @both:   run all of them on the pristine tree, too
        @record: and write the known verdicts anew
        """
        patched = self.of('patched')
        project = patched.build.project
        mine = patched.run(list(patched.tests))
        known = None if both or record else verdicts.load(self.name, project)
        if known is None:
            pristine = self.of('pristine')
            known = pristine.run(list(pristine.tests))
        if record:
            verdicts.save(self.name, project, known)
        check(results, self.name, known, mine,
              (self.patched_again, self.pristine_again), floor)
        sys.stdout.flush()

    def of(self, tree):
        """The Suite of a tree, its chosen tests' programs built."""
        if tree not in self.suites:
            made = self.suite(self.trees[tree]())
            made.bound = self.bound
            made.tests = {name: test for name, test in made.tests.items()
                          if self.choose(name)}
            made.make(list(made.tests))
            self.suites[tree] = made
        return self.suites[tree]

    def patched_again(self, pristine, patched, worse):
        """By themselves: some tests fail only on a busy machine."""
        worse = [(test, why) for test, why in worse if
                 test.split(': ')[0] not in self.of('patched').stopped]
        return pristine, self.again('patched', patched, worse)

    def pristine_again(self, pristine, patched, worse):
        """What is known is of another machine."""
        return self.again('pristine', pristine, worse), patched

    def again(self, tree, before, worse):
        """The tree's verdicts, those of the programs of @worse fresh."""
        if not worse:
            return before
        say.info(f'once more on the {tree} tree: '
                 + ', '.join(test for test, _ in worse[:5])
                 + (' ...' if len(worse) > 5 else ''))
        suite, rerun = self.of(tree), programs(worse)
        return {test: verdict for test, verdict in before.items()
                if test.split(': ')[0] not in rerun
                } | suite.run(programs_of(worse, suite))
