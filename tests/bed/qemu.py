# SPDX-License-Identifier: GPL-2.0-or-later
"""One QEMU under test: QMP with time stamps, KVM's statistics, its output.

All times are ns of the machine's CLOCK_MONOTONIC, taken by the agent.  All
waiting is bounded; a QEMU that ends too early shows what it printed.
"""
import collections
import contextlib
import json
import re
import signal

from . import instrument, state
from .link import BedError, BedTimeout

Reply = collections.namedtuple('Reply', 'value sent_ns received_ns')
Event = collections.namedtuple('Event', 'name data ns')
# histogram: {cycles: how many writes took so many}, if the guest was asked for it
Sweep = collections.namedtuple(
    'Sweep', 'sweep pages skipped median p99 max total ns histogram')


class QmpError(Exception):
    """An error QMP answered: text is its desc, qmp_class its class."""

    def __init__(self, error):
        super().__init__(error['desc'])
        self.qmp_class = error['class']


def sweeps(lines):
    """The Sweep of each completed sweep among Lines of the debug console."""
    found, histogram = [], {}
    for line, done in zip(lines, lines[1:]):
        if line.text.startswith('prefault-histogram: '):
            histogram = {int(cycles): int(count) for cycles, count in
                         re.findall(r'(\d+):(\d+)', line.text)}
        elif line.text.startswith('prefault-guest: ') and done.text == 'DONE':
            words = dict(re.findall(r'(\w+)=(\d+)', line.text))
            found.append(Sweep(ns=done.ns, histogram=histogram, **{
                name: int(value) for name, value in words.items()}))
    return found


class Figures:
    """KVM's statistics of a QEMU, for a class that has qmp()."""

    def hmp(self, line):
        """The text that a monitor command prints."""
        return self.qmp('human-monitor-command', command_line=line).value

    def vcpu_stats(self, *names, each=False):
        """KVM's per-vCPU figures, summed over vCPUs ('each': list of dicts).

        names: default are pf_taken, pf_fixed and exits.
        """
        names = names or ('pf_taken', 'pf_fixed', 'exits')
        vcpus = self._stats('vcpu', names)
        if each:
            return vcpus
        return {name: sum(vcpu.get(name, 0) for vcpu in vcpus)
                for name in names}

    def vm_stats(self, *names):
        """KVM's figures of the VM; default pages_4k, pages_2m, pages_1g."""
        names = names or ('pages_4k', 'pages_2m', 'pages_1g')
        return self._stats('vm', names)[0]

    def faults(self):
        """Stage-2 faults that mapped something, all vCPUs (pf_fixed)."""
        return self.vcpu_stats('pf_fixed')['pf_fixed']

    def _stats(self, target, names):
        answer = self.qmp('query-stats', target=target, providers=[
            {'provider': 'kvm', 'names': list(names)}]).value
        return [{stat['name']: stat['value'] for stat in entry['stats']}
                for entry in answer]


class Qemu(Figures):
    """A running QEMU.  A context manager: leaving it kills QEMU.

    start_ns is when the agent was asked to start it, connected_ns when QMP
    greeted; its socket can be reached earlier, before QEMU answers.  See
    Machine.guest() and Machine.qemu() for how to make one.
    """

    def __init__(self, machine, argv, env, qmp_path):
        self.machine = machine
        self.link = machine.link
        self.argv = argv
        self.start_ns = machine.now_ns()
        self.process = self.link.spawn(argv, env)
        self.greeting = self.connected_ns = None
        self._replies = {}
        self._events = []
        self._parsed = self._count = 0
        self._describing = False
        if qmp_path:
            self.link.request('qmp', self.process.ident, qmp_path)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.kill()

    @property
    def pid(self):
        """Its process in the machine."""
        return self.process.pid

    # QMP

    def connect(self, timeout=30):
        """Wait until QMP answers and negotiate.  BedError if QEMU ends."""
        self._wait(lambda: self.greeting, timeout, 'QMP greeting')
        self.qmp('qmp_capabilities', timeout=timeout)
        return self

    def qmp(self, command, timeout=30, **arguments):
        """Run a command; returns Reply(value, sent_ns, received_ns).

        An argument's '_' stands for '-'.  An error answer raises QmpError.
        """
        return self.reply(self.qmp_send(command, **arguments), timeout)

    def qmp_send(self, command, **arguments):
        """Send a command without waiting; returns a number for reply()."""
        number = self._count
        self._count += 1
        message = {'execute': command, 'id': number}
        if arguments:
            message['arguments'] = {name.replace('_', '-'): value
                                    for name, value in arguments.items()}
        self.link.send_line(
            f'send {self.process.ident} {json.dumps(message)}')
        return number

    def reply(self, number, timeout=30):
        """The Reply to qmp_send()'s number."""
        self._wait(lambda: number in self._replies
                   and len(self.process.sent) > number,
                   timeout, f'QMP answer {number}')
        received, answer = self._replies.pop(number)
        if 'error' in answer:
            raise QmpError(answer['error'])
        return Reply(answer['return'], self.process.sent[number], received)

    @property
    def events(self):
        """All Events(name, data, ns) so far, in order."""
        self._parse()
        return list(self._events)

    def wait_event(self, name, timeout=30, since_ns=0):
        """The first event of the name at or after since_ns."""
        return self._wait(
            lambda: next((event for event in self._events
                          if event.name == name and event.ns >= since_ns),
                         None), timeout, f'event {name}')

    # The guest

    @property
    def debugcon(self):
        """What the guest wrote to the debug console so far."""
        return ''.join(line.text + '\n' for line in self.process.out)

    def wait_text(self, text, timeout=60):
        """Wait for the text on the debug console; returns its Line."""
        return self._wait(
            lambda: next((line for line in self.process.out
                          if text in line.text), None),
            timeout, f"'{text}' from the guest")

    @property
    def sweeps(self):
        """Result of each completed sweep of the measuring guest."""
        return sweeps(self.process.out)

    def wait_sweep(self, number=1, timeout=90):
        """The Sweep of the number, once the guest has halted after it."""
        return self._wait(lambda: len(self.sweeps) >= number and
                          self.sweeps[number - 1], timeout,
                          f'sweep {number} of the guest')

    def sweep(self, timeout=90):
        """Let a guest started with wait=True write all its RAM (once more).

        Returns (Sweep, stage-2 faults it took).  Before the first sweep wait
        for the guest: wait_text('READY').  Not for a host without nested
        paging: there some KVMs emulate the guest's iret and give up.
        """
        before, done = self.faults(), len(self.sweeps)
        self.qmp('inject-nmi')
        result = self.wait_sweep(done + 1, timeout)
        return result, self.faults() - before

    def flip_pam(self):
        """As firmware does: 64 KiB below 1 MiB from ROM to RAM and back.

        Machine pc; the guest must not use this memory.
        """
        self.hmp('o /w 0xcf8 0x80000058')
        for attributes in '0x30', '0x00':
            self.hmp(f'o /b 0xcfd {attributes}')

    def conversions(self, name=None):
        """Lines of the converting guest (tests/guest/convert) so far: a list
        of dicts of ints, those that begin with the name, or all."""
        found = [{word: int(value) for word, value in
                  re.findall(r'(\w+)=(-?\d+)', line.text)}
                 for line in self.process.out
                 if line.text.startswith('prefault-convert: ')]
        return [one for one in found if name is None or
                next(iter(one), None) == name]

    def go(self, timeout=90):
        """Let a converting guest with wait=True go on from READY; returns
        when it says READY again, or DONE.  Not for a host without nested
        paging, as sweep()."""
        def halts():
            return sum(line.text in ('READY', 'DONE')
                       for line in self.process.out)
        before = halts()
        self.qmp('inject-nmi')
        self._wait(lambda: halts() > before, timeout,
                   'READY or DONE from the guest')

    # The end

    def quit(self, timeout=30):
        """QMP quit; returns (exit code, ns from quit to exit)."""
        number = self.qmp_send('quit')
        self.wait_exit(timeout)
        if len(self.process.sent) <= number:
            raise BedError(f'QEMU had ended with {self.process.code} before '
                           f'it could quit; it said:\n{self.process.tail()}')
        return (self.process.code,
                self.process.ended_ns - self.process.sent[number])

    def wait_exit(self, timeout=30):
        """Wait until QEMU has ended; returns its exit code."""
        self.link.wait(lambda: self.process.code is not None, timeout,
                       f'end of QEMU; it said:\n{self.process.tail()}')
        return self.process.code

    def kill(self, number=None, timeout=20):
        """Kill QEMU if it still runs, and wait for its end.

        number: a signal, None for SIGKILL, before which a QEMU that watches itself is
                asked to end
        """
        if number is None:
            self.ask_to_end()
            number = signal.SIGKILL
        if self.process.code is None and not self.link.closed:
            self.link.request('kill', self.process.ident, str(int(number)))
            self.wait_exit(timeout)

    def ask_to_end(self):
        """Let a QEMU that watches itself look for leaks, if it still can."""
        if (not instrument.chosen() or self.process.code is not None
                or self.link.closed):
            return
        self.link.request('kill', self.process.ident, str(int(signal.SIGTERM)))
        with contextlib.suppress(BedTimeout):
            self.wait_exit(instrument.SECONDS_TO_END)

    @property
    def stderr(self):
        """What QEMU wrote to standard error so far."""
        return ''.join(line.text + '\n' for line in self.process.err)

    def injected(self):
        """After QEMU has exited: {rule: (calls, hits)} of tests/inject."""
        return {rule: (int(calls), int(hits)) for rule, calls, hits in
                re.findall(r'^inject: (.+): calls=(\d+) hits=(\d+)$',
                           self.stderr, re.M)}

    def describe(self):
        """What it does at the moment, for the message of a timeout."""
        if self._describing or self.link.closed:
            return ''           # a question of describe() itself timed out
        self._describing = True
        try:
            return state.of(self)
        finally:
            self._describing = False

    # Inside

    def _parse(self):
        for line in self.process.recv[self._parsed:]:
            self._parsed += 1
            try:
                message = json.loads(line.text)
            except ValueError:
                continue        # a last, unfinished line of a killed QEMU
            if 'QMP' in message:
                self.greeting = message['QMP']
                self.connected_ns = line.ns
            elif 'event' in message:
                self._events.append(Event(
                    message['event'], message.get('data', {}), line.ns))
            elif 'id' in message:
                self._replies[message['id']] = (line.ns, message)

    def _wait(self, done, timeout, what):
        def check():
            self._parse()
            value = done()
            if not value and self.process.code is not None:
                raise BedError(
                    f'QEMU ended with {self.process.code} while waiting for '
                    f'{what}; it said:\n{self.process.tail()}')
            return value
        try:
            return self.link.wait(check, timeout, what)
        except BedError as error:
            if self.process.code is None:
                said = (self.describe() if isinstance(error, BedTimeout)
                        else self.process.tail())
                raise type(error)(f'{error}\nQEMU:\n{said}') from None
            raise
