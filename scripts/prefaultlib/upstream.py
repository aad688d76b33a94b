# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's own tests, on the patched and on the pristine tree, compared.

Both trees are built alike and run the same suites by QEMU's Meson.  A test is a
line of TAP, or a program that speaks no TAP.  What passes on the pristine tree
has to pass on the patched one; what fails on both is QEMU's, or this
distribution's.
"""
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from . import builds, paths, project, say
from .tap import LINE
from .tree import write

SUITES = ('unit', 'qtest-x86_64')

# Takes longer than all others together: a suite of its own.
LONG = 'qtest-x86_64/migration-test'

# Ours have suites of their own.
OURS = re.compile(r'prefault')

# Both trees ran 2142 tests on Debian 12, all passed; a few may go away with a
# kernel or a machine that has less.
FLOOR = 2000

FIRMWARE = ('/usr/share/seabios', '/usr/share/qemu', '/usr/lib/ipxe/qemu')
TIMEOUT_MULTIPLIER = 4


class Suite:
    """The suites of one build directory."""

    def __init__(self, build):
        """@build: a qemubuild.Build, configured"""
        self.folder = build.folder
        self.build = build
        self.tests = {test['name']: test for test in build.introspect('tests')
                      if any(suite.split(':')[-1] in SUITES
                             for suite in test['suite'])
                      and not OURS.search(test['name'])}

    def make(self, names):
        """Build the programs of the tests, and what those need."""
        outputs = {target['id']: target['filename']
                   for target in self.build.introspect('targets')}
        wanted = {name for test in names for target in
                  self.tests[test]['depends'] for name in outputs[target]}
        self.build.build(sorted(self.build.relative(name) for name in wanted))
        self._link_firmware()

    def run(self, names):
        """Run tests; returns {test: verdict}, see verdicts_of()."""
        log = paths.LOGS / f'upstream-{self.build.variant}.log'
        # An old answer must not pass for this run's
        (self.folder / 'meson-logs/upstream.json').unlink(missing_ok=True)
        command = [*self.build.meson, 'test', '--no-rebuild',
                   '--num-processes', '2', '--timeout-multiplier',
                   str(TIMEOUT_MULTIPLIER), '--logbase', 'upstream', *names]
        since = time.monotonic()
        with open(log, 'w', encoding='utf-8') as out:
            process = subprocess.Popen(
                command, cwd=self.folder, env=builds.environment(),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors='replace')
            self._watch(process, out, len(names))
        say.info(f'{time.monotonic() - since:.0f} s; all of it: {log}')
        return self._results()

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

    def _results(self):
        results = {}
        path = self.folder / 'meson-logs/upstream.json'
        for line in path.read_text(encoding='utf-8').splitlines():
            results.update(verdicts_of(json.loads(line)))
        return results

    def _link_firmware(self):
        """Where a QEMU in its build directory looks for firmware."""
        place = self.folder / 'qemu-bundle/usr/local/share/qemu-firmware'
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for folder in FIRMWARE:
            for path in sorted(Path(folder).glob('*')):
                if not (place / path.name).exists():
                    (place / path.name).symlink_to(path)


def verdicts_of(record):
    """{test: 'passed', 'failed' or 'skipped'} of one of Meson's records."""
    program = record['name'].split(' ')[-1]
    found = {}
    for line in record.get('stdout', '').splitlines():
        tap = LINE.match(line)
        if tap and tap[3]:
            found[f'{program}: {tap[3]}'] = (
                'failed' if tap[1] else
                'skipped' if tap[4] is not None else 'passed')
    whole = {'OK': 'passed', 'SKIP': 'skipped'}.get(record['result'], 'failed')
    if whole == 'failed' and 'failed' not in found.values() or not found:
        # It crashed, hung, or has no TAP
        found[program] = whole
    return found


def compare(pristine, patched):
    """[(test, why)] of what the patched tree does worse."""
    return [(test, f"passes on the pristine tree, {patched.get(test, 'missing')}"
             ' on the patched one')
            for test, verdict in sorted(pristine.items())
            if verdict == 'passed' and patched.get(test) != 'passed']


def programs_of(worse, suite):
    """The Meson tests that hold tests of compare()'s answer."""
    wanted = {test.split(': ')[0] for test, _ in worse}
    return [name for name in suite.tests if name in wanted]


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


def check(results, pristine, patched, again, floor=FLOOR):
    """Compare two trees' verdicts and report.

    @again: runs programs once more on the patched tree, by itself: a test that
            only a busy machine fails passes then
    """
    since = time.monotonic()
    worse = compare(pristine, patched)
    if worse:
        say.info('once more on the patched tree: '
                 + ', '.join(test for test, _ in worse[:5])
                 + (' ...' if len(worse) > 5 else ''))
        rerun = {test.split(': ')[0] for test, _ in worse}
        patched = {test: verdict for test, verdict in patched.items()
                   if test.split(': ')[0] not in rerun} | again(worse)
        worse = compare(pristine, patched)
    table(results, (('pristine', pristine), ('patched', patched)))
    for test, verdict in sorted(pristine.items()):
        if verdict == 'failed':
            results.note(f'fails without prefault too: {test}')
    for test, why in worse:
        results.add(f'upstream/{test}', 'FAIL', 0, why)
    executed = min(counts(pristine)[0], counts(patched)[0])
    seconds = time.monotonic() - since
    if executed < floor:
        results.add('upstream/floor', 'FAIL', seconds,
                    f'{executed} tests were executed, fewer than {floor}')
    elif not worse:
        results.add('upstream/no difference', 'ok', seconds)


def run(results, trees, choose, floor=FLOOR):
    """Build and run both trees.

    @trees:  {'pristine': function, 'default': function}: each returns its
             Build, configured
    @choose: tells of a test's name whether it is run
    """
    patched, verdicts = verdicts_of_tree(trees['default'](), choose)
    kept = kept_verdicts(patched.build, choose)
    if kept.exists():
        say.info(f'the pristine tree has not changed: {kept}')
        pristine = json.loads(kept.read_text())
    else:
        _, pristine = verdicts_of_tree(trees['pristine'](), choose)
    check(results, pristine, verdicts,
          lambda worse: patched.run(programs_of(worse, patched)), floor)
    if 'failed' not in pristine.values():
        kept.parent.mkdir(parents=True, exist_ok=True)
        write(kept, json.dumps(pristine))
    sys.stdout.flush()


def verdicts_of_tree(build, choose):
    """Build and run one tree's tests; (Suite, {test: verdict})"""
    suite = Suite(build)
    names = [test for test in suite.tests if choose(test)]
    suite.make(names)
    return suite, suite.run(names)


def kept_verdicts(build, choose):
    """Where the pristine tree's verdicts are kept, if nothing failed.

    What they depend on: the source, how it is built, firmware and kernel.
    """
    pin = paths.ROOT / project.QEMU.patches / 'upstream'
    firmware = sorted(str(path) for folder in FIRMWARE
                      for path in Path(folder).glob('*'))
    key = hashlib.sha256(json.dumps(
        [pin.read_text(), build.words, firmware, os.uname().release,
         choose(LONG)]).encode()).hexdigest()
    return paths.CACHE / f'pristine-{key[:16]}.json'
