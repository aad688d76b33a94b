# SPDX-License-Identifier: GPL-2.0-or-later
"""A project's own tests, on the patched and on the pristine tree, compared.

Both trees are built alike and run the same tests by the project's Meson.  A test
is one case of a program, or a program that does not tell its cases.  What
passes on the pristine tree has to pass on the patched one, and so has what only
that has; what fails on both is upstream's, or this distribution's.
"""
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter

from . import builds, made, paths, say
from .tree import write

TIMEOUT_MULTIPLIER = 4
SHOWN = 40      # failures that are reported one by one


class Suite:
    """The tests of one build directory; a project's own class chooses them."""

    def __init__(self, build):
        """@build: a builds.Build, configured"""
        self.build = build
        self.tests = {test['name']: test for test in build.introspect('tests')
                      if self.is_wanted(test)}

    def is_wanted(self, test):
        """Tell of Meson's description of a test whether to run it."""
        raise NotImplementedError

    def cases_of(self, record):
        """{case: verdict} of what a program printed."""
        raise NotImplementedError

    def prepare(self):
        """What the tests need beside their programs."""

    def environment(self):
        """The environment that the tests run in."""
        return builds.environment()

    def conditions(self):
        """What of this machine the verdicts depend on, but for the kernel."""
        return []

    def make(self, names):
        """Build the programs of the tests, and what those need."""
        outputs = {target['id']: target['filename']
                   for target in self.build.introspect('targets')}
        wanted = {name for test in names for target in
                  self.tests[test]['depends'] for name in outputs[target]}
        self.build.build(sorted(self.build.relative(name) for name in wanted))
        self.prepare()

    def run(self, names):
        """Run tests; returns {test: verdict}, see verdicts_of()."""
        log = paths.LOGS / f'upstream-{self.build.variant}.log'
        # An old answer must not pass for this run's
        answer = self.build.folder / 'meson-logs/upstream.json'
        answer.unlink(missing_ok=True)
        command = [*self.build.meson, 'test', '--no-rebuild',
                   '--num-processes', '2', '--timeout-multiplier',
                   str(TIMEOUT_MULTIPLIER), '--logbase', 'upstream', *names]
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
    for name, verdicts in rows:
        executed, passed, failed, skipped = counts(verdicts)
        results.note(f'{name:9} {executed:8} {passed:7} {failed:7} '
                     f'{skipped:8}')


def check(results, name, pristine, patched, again, floor):
    """Compare two trees' verdicts and report.

    @name:  of the suite
    @floor: fewer executed tests than these are a failure
    @again: runs programs once more on the patched tree, by itself: a test that
            only a busy machine fails passes then
    """
    since = time.monotonic()
    worse = compare(pristine, patched)
    if worse:
        say.info('once more on the patched tree: '
                 + ', '.join(test for test, _ in worse[:5])
                 + (' ...' if len(worse) > 5 else ''))
        rerun = programs(worse)
        patched = {test: verdict for test, verdict in patched.items()
                   if test.split(': ')[0] not in rerun} | again(worse)
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


def run(results, name, suite, trees, floor, choose=lambda name: True):
    """Build and run both trees.

    @name:   of the suite, for the results
    @suite:  the project's class of Suite
    @trees:  {'pristine': function, 'patched': function}: each returns its
             Build, configured
    @floor:  see check()
    @choose: tells of a test's name whether it is run
    """
    patched, verdicts = verdicts_of_tree(suite(trees['patched']()), choose)
    kept = kept_verdicts(patched, choose)
    if kept.exists():
        say.info(f'the pristine tree has not changed: {kept}')
        pristine = json.loads(kept.read_text())
    else:
        _, pristine = verdicts_of_tree(suite(trees['pristine']()), choose)
    check(results, name, pristine, verdicts,
          lambda worse: patched.run(programs_of(worse, patched)), floor)
    if 'failed' not in pristine.values():
        kept.parent.mkdir(parents=True, exist_ok=True)
        write(kept, json.dumps(pristine))
    sys.stdout.flush()


def verdicts_of_tree(suite, choose):
    """Build and run one tree's tests; (the suite, {test: verdict})"""
    names = [test for test in suite.tests if choose(test)]
    suite.make(names)
    return suite, suite.run(names)


def kept_verdicts(suite, choose):
    """Where the pristine tree's verdicts are kept, if nothing failed.

    What they depend on: the source and the pristine tree's own patches, how it
    is built, the choice of tests, the distribution and the kernel.
    """
    project = suite.build.project
    sources = [paths.ROOT / project.patches / 'upstream',
               *(path for pattern in project.pristine
                 for path in sorted(paths.ROOT.glob(pattern)))]
    # The patched tree may have tests of ours, which are no part of the choice
    left_out = sorted(name for name in suite.tests if not choose(name))
    key = made.digest([*sources, '/etc/os-release'],
                      [*suite.build.words, suite.conditions(),
                       os.uname().release, left_out])
    return paths.CACHE / f'pristine-{project.name}-{key[:16]}.json'
