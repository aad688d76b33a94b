# SPDX-License-Identifier: GPL-2.0-or-later
"""Each call of prefault's fails once, with each error, at each moment.

A *moment* is what a guest is doing: it starts, is reset, ...  It happens once with
rules that only count, then once for each call that it made, each error of
tests/inject/table, and the first, a middle and the last time of that call.
Afterwards QEMU has to be as the promise is:

* it lives, or has ended with one sentence and status 1,
* QMP answers; what failed is told, and `cont` tries again with success,
* the guest takes no fault, or the query says beforehand that something is missing,
* no worker and no file descriptor is left over, and it can quit.
"""
import os
import re
import time
import zlib
from collections import namedtuple

from common import BedTest, NEXT_TO_NONE, RUN_SECONDS
from prefaultlib import paths

SIZE = 64                       # MiB of a guest with ordinary memory
# QEMU itself makes them then, and has its own way to end if they fail
OF_REGISTERS = 'ioctl:KVM_GET_VCPU_EVENTS', 'ioctl:KVM_GET_NESTED_STATE'

TABLE = paths.ROOT / 'tests' / 'inject' / 'table'
LONG = bool(os.environ.get('PREFAULT_LONG'))
EVERY = 5                       # with CI: which of the calls with their errors
REST_SECONDS = 1                # what has not changed for so long is at rest

# place: the how many-th call
Case = namedtuple('Case', 'call errno place')
State = namedtuple('State', 'descriptors workers')


def table():
    """[(call, [errno])] of the file."""
    lines = (line.partition('#')[0].split()
             for line in TABLE.read_text(encoding='utf-8').splitlines())
    return [(words[0], words[1:]) for words in lines if words]


def places(calls):
    """The first, a middle and the last of so many calls."""
    return sorted({1, (calls + 1) // 2, calls}) if calls else []


def pairs():
    """[(call, errno)] of the file."""
    return [(call, errno) for call, errnos in table() for errno in errnos]


def cases(counts):
    """The cases of a moment that makes so many calls: {call: how many}."""
    return [Case(call, errno, place) for call, errno in pairs()
            for place in places(counts[call])]


def sample(name, counts):
    """Some of them, the same each time: other ones for each moment, one place for
    each pair."""
    turn = zlib.crc32(name.encode()) % EVERY
    for index, (call, errno) in enumerate(pairs()):
        found = places(counts[call])
        if index % EVERY == turn and found:
            yield Case(call, errno, found[index // EVERY % len(found)])


class InjectedTest(BedTest):
    """A test has a moment: prepare() makes a guest that is about to, act() lets it.

    A guest that can sweep(); the less memory it has the better.
    """

    readies = 1                 # how often it says READY before it can

    def setUp(self):
        super().setUp()
        self.let_khugepaged_rest()

    def up(self, *extra, machine='microvm', more='', **how):
        """A guest with ordinary memory that runs, all mapped.

        more: of -m
        """
        qemu = self.running('on', *extra, machine=machine,
                            kernel=machine != 'microvm', mem=f'{SIZE}M{more}',
                            **how)
        self.at_rest(qemu)
        return qemu

    def rules(self, path, case=None):
        """What to preload: counts of all calls, and the one that fails."""
        words = [f'{call}:when={path}:from=1000000' for call, _ in table()]
        if case:
            words.append(f'{case.call}:when={path}:from={case.place}:count=1:'
                         f'errno={case.errno}')
        return ';'.join(words)

    def state(self, qemu):
        """What it holds: file descriptors, and threads of runs."""
        said = self.machine.run(
            '/bin/sh', '-c', f'cd /proc/{qemu.pid}; ls fd | wc -l; '
            'cat task/*/comm | grep -c ^prefault')[1].split()
        return State(int(said[0]), int(said[1]))

    def at_rest(self, qemu):
        """Wait until no run is under way and what is owed stays; the query."""
        since = None
        deadline = time.monotonic() + RUN_SECONDS * self.machine.link.patience
        while True:
            info = self.query(qemu)
            now = info['status'] != 'active', info.get('owed', 0)
            if now == (True, 0):
                return info
            if since is None or now != since[0]:
                since = now, time.monotonic()
            elif now[0] and time.monotonic() > since[1] + REST_SECONDS:
                return info
            self.assertLess(time.monotonic(), deadline, f'no rest: {info}')
            time.sleep(0.02)

    def happens(self, prepare, act, case=None):
        """The moment once; returns its QEMU at rest."""
        path = self.trigger()
        qemu = prepare(inject=self.rules(path, case))
        self.machine.write(path, '')
        if not self.ended(qemu, act):
            self.at_rest(qemu)
            self.put_away(path)
        return qemu

    @staticmethod
    def ended(qemu, act):
        """Let it happen; tell whether QEMU has ended of it."""
        try:
            act(qemu)
        except Exception:
            if qemu.process.code is None:
                raise
        return qemu.process.code is not None

    def counts(self, prepare, act):
        """{call: how often the moment makes it}, and what QEMU then holds."""
        qemu = self.happens(prepare, act)
        self.assertFalse(self.admits(self.query(qemu)), self.query(qemu))
        self.assertLessEqual(qemu.sweep()[1], NEXT_TO_NONE)
        state = self.state(qemu)
        qemu.quit()
        made = {rule.partition(':when=')[0]: calls
                for rule, (calls, _) in qemu.injected().items()}
        qemu.kill()
        return made, state

    def moment(self, name, prepare, act, without=()):
        """All cases of it, or a sample of them.

        without: calls that QEMU makes then, too, and does not survive
        """
        made, usual = self.counts(prepare, act)
        made |= dict.fromkeys(without, 0)
        wanted = cases(made)
        tried = wanted if LONG else list(sample(name, made))
        hit = 0
        for case in tried:
            with self.subTest(**case._asdict()):
                # Threads take turns as they like: the call may not come
                hit += (self.try_case(prepare, act, usual, case) or
                        self.try_case(prepare, act, usual, case))
        print(f'# note: {name}: {sum(map(bool, made.values()))} calls, '
              f'{len({case[:2] for case in wanted})} with their errors, '
              f'{len(wanted)} with their places; {len(tried)} tried, '
              f'{hit} met')
        self.assertTrue(tried)
        self.assertGreater(hit, len(tried) // 2)

    def try_case(self, prepare, act, usual, case):
        """Let it happen with that call failing; tells whether it did fail."""
        qemu = self.happens(prepare, act, case)
        try:
            self.judge(qemu, usual)
            return self.was_met(qemu, case)
        finally:
            qemu.kill()

    @staticmethod
    def was_met(qemu, case):
        """Did the call fail?"""
        return any(hits for rule, (_, hits) in qemu.injected().items()
                   if rule.startswith(f'{case.call}:') and 'errno=' in rule)

    def judge(self, qemu, usual):
        """It is as was promised, after one call has failed."""
        if qemu.process.code is not None:
            self.assert_one_sentence(qemu)
            return
        info = self.query(qemu)
        if self.run_state(qemu) in ('prelaunch', 'paused'):
            self.assertIn(info['error'], qemu.stderr)
            qemu.qmp('cont')
            self.until(lambda: self.run_state(qemu) == 'running', 'running')
            info = self.at_rest(qemu)
        self.assertEqual(self.run_state(qemu), 'running', info)
        self.until(lambda: qemu.debugcon.count('READY') >= self.readies, 'up')
        self.until(lambda: not self.state(qemu).workers, 'without workers')
        sweep, faults = qemu.sweep()
        if faults > NEXT_TO_NONE:
            self.assertTrue(self.admits(info), f'{faults} faults in '
                            f'{sweep.pages} pages, and nothing says so: {info}')
        # QEMU reads files of /proc meanwhile
        self.until(lambda: self.state(qemu).descriptors <= usual.descriptors,
                   f'down to {usual.descriptors} file descriptors')
        self.assertEqual(qemu.quit()[0], 0, qemu.stderr)

    @staticmethod
    def admits(info):
        """Does the query say that something is missing?"""
        return (info.get('failed') or info.get('owed') or 'left-out' in info or
                'error' in info or
                any(skip['reason'] in ('unpopulatable', 'no-room', 'returned')
                    for skip in info.get('skips', ())))

    def assert_one_sentence(self, qemu):
        """How QEMU ends if it has to."""
        self.assertEqual(qemu.process.code, 1, qemu.stderr)
        said = [line for line in qemu.stderr.splitlines()
                if line.startswith('qemu-system') and 'warning:' not in line]
        self.assertEqual(len(said), 1, qemu.stderr)
        self.assertRegex(said[0], re.compile('prefault|memory'))
