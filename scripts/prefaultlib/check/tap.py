# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a test program that speaks TAP, and report each test as it ends.

A line `# note: ...` of a test is shown: figures that people want to see.
All our suites speak it: QEMU's C tests by GLib, the Python ones by tapunit.
A program that crashes, hangs, or ends early fails even if every line it
printed was `ok`.

What a program prints before a test's line is that test's message: shown if it
failed, and once more at the end, where nobody has to look for it.
"""
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time

from .. import paths

LINE = re.compile(r'(not )?ok\b(?: (\d+))?(?: (?:- )?(.*?))?'
                  r'(?:\s*# SKIP\b\s*(.*))?$', re.I)
PLAN = re.compile(r'1\.\.(\d+)')
NOTE = '# note: '
# Of a message; logs of CI are cut where they are long
LINES_SHOWN = 100
LINES_AT_THE_END = 240          # of all messages
LINES_AT_LEAST = 10
LINE_WIDTH = 400

# What only this host's own KVM could show is no part of the bed, some is for --long
# only, and some for another base, a version of QEMU.
EXCUSED = ('host', 'no usable /dev/kvm', 'long', 'base')


def shortened(lines, most):
    """The lines as a message of at most so many: where it began, and more of
    its end, which says what went wrong."""
    if len(lines) > most:
        first = most // 4
        last = most - first - 1
        lines = [*lines[:first], f'[{len(lines) - first - last} lines]',
                 *lines[-last:]]
    return ''.join(f'       | {line[:LINE_WIDTH]}\n' for line in lines)


class Results:
    """Counts of all suites, and the line for each test."""

    def __init__(self, out=sys.stdout):
        self.passed = self.failed = self.skipped = 0
        self.suites = []                # (name, seconds)
        self.failures = []              # (its line, message)
        self.out = out
        self.colour = out.isatty()
        self.lock = threading.Lock()    # programs may run side by side

    def add(self, name, verdict, seconds, reason='', message=()):
        """@verdict: 'ok', 'FAIL' or 'skip'; a skip must give its reason.
        @message: lines, of a test that failed"""
        tail = f'  ({reason})' if reason else ''
        line = f'{name}  {seconds:.1f} s{tail}'
        with self.lock:
            if verdict == 'ok':
                self.passed += 1
            elif verdict == 'skip':
                self.skipped += 1
            else:
                self.failed += 1
                self.failures.append((line, message))
            print(f'  {self._word(verdict)} {line}\n'
                  + shortened(message, LINES_SHOWN), file=self.out, end='',
                  flush=True)

    def _word(self, verdict):
        if self.colour and verdict != 'ok':
            number = 31 if verdict == 'FAIL' else 33
            return f'\033[{number}m{verdict}\033[0m'
        return f'{verdict:4}'

    def note(self, text):
        """A figure that a test reports."""
        print(f'       {text}', file=self.out, flush=True)

    @contextlib.contextmanager
    def suite(self, name):
        """Note how long a suite takes."""
        since = time.monotonic()
        try:
            yield
        finally:
            self.suites.append((name, time.monotonic() - since))

    def end(self):
        """What scripts/check prints last: times, what failed, the counts."""
        said = ''.join(f'{seconds:7.0f} s  {name}\n'
                       for name, seconds in self.suites)
        if self.failures:
            most = max(LINES_AT_LEAST, LINES_AT_THE_END // len(self.failures))
            said += '\nWhat failed:\n' + ''.join(
                f'  {self._word("FAIL")} {line}\n' + shortened(message, most)
                for line, message in self.failures)
        return (f'{said}{self.passed} passed, {self.failed} failed, '
                f'{self.skipped} skipped')


class Program:
    """One run of a TAP program."""

    def __init__(self, results, name, skip_fails=False):
        """@skip_fails: a skip counts as failed, but see EXCUSED"""
        self.results = results
        self.name = name
        self.skip_fails = skip_fails
        self.plan = None
        self.seen = 0
        self.bad = False
        self.said = []          # since the last test's line
        self.since = time.monotonic()

    def run(self, command, timeout, env=None, cwd=None):
        """Run it, its output also to build/logs; kill it after timeout s."""
        process = start(command, env, cwd, subprocess.DEVNULL)
        try:
            self.follow(process, timeout, lambda: False)
        finally:
            end(process)

    def follow(self, process, timeout, is_over):
        """Read what the process says about this program.

        @is_over: tells after each line whether that was all; else it is when
                  the process ends
        """
        log_path = paths.LOGS / (re.sub(r'\W+', '-', self.name) + '.log')
        log_path.parent.mkdir(parents=True, exist_ok=True)
        late = threading.Event()
        timer = threading.Timer(timeout, _kill, (process, late))
        timer.start()
        status = 0
        try:
            with open(log_path, 'w', encoding='utf-8') as log:
                for line in process.stdout:
                    log.write(line)
                    self._line(line.rstrip('\n'))
                    if is_over():
                        break
                else:
                    status = process.wait()
        finally:
            timer.cancel()
        self._end(status, late.is_set() and timeout)
        if self.bad:
            self.results.note(f'all of it: {log_path}')

    def has_plan(self):
        """Tell whether it said how many tests it has."""
        return self.plan is not None

    def _line(self, line):
        plan = PLAN.match(line)
        if plan:
            self.plan = int(plan[1])
            return
        found = LINE.match(line)
        if line.startswith(NOTE):
            self.results.note(line.removeprefix(NOTE))
            return
        if not found:
            self.said.append(line)
            return
        self.seen += 1
        name = f'{self.name}: {found[3] or found[2]}'
        if found[1]:
            self._add(name, 'FAIL')
        elif found[4] is not None:
            self._skip(name, found[4] or 'no reason given')
        else:
            self._add(name, 'ok')

    def _skip(self, name, reason):
        if self.skip_fails and not reason.startswith(EXCUSED):
            self._add(name, 'FAIL', f'must not be skipped: {reason}')
        else:
            self._add(name, 'skip', reason)

    def _add(self, name, verdict, reason=''):
        now = time.monotonic()
        said, self.said = self.said, []
        self.results.add(name, verdict, now - self.since, reason,
                         said if verdict == 'FAIL' else ())
        self.since = now
        self.bad = self.bad or verdict == 'FAIL'

    def _end(self, status, timed_out):
        if timed_out:
            why = f'killed after {timed_out:.0f} s'
        elif status < 0:
            why = f'died of {signal.Signals(-status).name}'
        elif self.plan is None:
            why = f'ended with status {status} and no plan'
        elif not self.plan:
            why = 'ran no test'
        elif self.plan != self.seen:
            why = f'ran {self.seen} of {self.plan} tests, status {status}'
        elif status and not self.bad:
            why = f'ended with status {status}'
        else:
            return
        self._add(self.name, 'FAIL', why)


class Session:
    """A process that runs TAP programs as it is told to, by a line for each.

    Each has to end with its plan.  One that takes the process with it is a
    failure, and the next gets a new process.  A context manager.
    """

    def __init__(self, command, env):
        self.command = command
        self.env = env
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        if self.process:
            end(self.process)

    def run(self, program, words, timeout):
        """Run a Program; the process reads its words between tabs."""
        if not self.process:
            self.process = start(self.command, self.env, None, subprocess.PIPE)
        self.process.stdin.write('\t'.join(words) + '\n')
        self.process.stdin.flush()
        program.follow(self.process, timeout, program.has_plan)
        if not program.has_plan():
            end(self.process)
            self.process = None


def start(command, env, cwd, stdin):
    """Start a program that speaks TAP, as the leader of a group."""
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=stdin,
        env=env, cwd=cwd, text=True, errors='replace', start_new_session=True)


def end(process):
    """End it, and what it started and left."""
    _kill(process)
    process.wait()
    for stream in process.stdin, process.stdout:
        if stream:
            stream.close()


def _kill(process, late=None):
    """Kill the whole group: a test's QEMU must not outlive the test."""
    if late:
        late.set()
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
