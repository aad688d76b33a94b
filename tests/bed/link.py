# SPDX-License-Identifier: GPL-2.0-or-later
"""The line to the agent: requests out, reports in, by process.

The protocol is described on top of tests/agent/agent.c.  One thread reads;
every waiting function is bounded in time and raises BedTimeout.
"""
import collections
import socket
import threading
import time
from urllib.parse import quote


class BedError(Exception):
    """Something in the bed itself broke; the text says what was seen last."""


class BedTimeout(BedError):
    """What was waited for did not come in time."""


Line = collections.namedtuple('Line', 'ns text')


class Process:
    """What the agent reported of one program.  Only ever grows.

    out, err, recv: Line lists (agent's time stamp in ns, text)
    sent:           agent's time stamps of the QMP lines it wrote, in order
    pid, code:      None until known; code is minus the signal if killed
    """

    def __init__(self, ident):
        self.ident = ident
        self.pid = self.code = self.ended_ns = None
        self.out, self.err, self.recv, self.sent = [], [], [], []
        self.errors = []

    def tail(self):
        """The end of what the program said, for error messages."""
        lines = [line.text for line in self.out[-5:] + self.err[-10:]]
        return '\n'.join(self.errors + lines) or '(it printed nothing)'


class Link:
    """The channel to one agent.

    explain:  function that returns text for error messages, for instance the
              end of the machine's console
    patience: all timeouts are multiplied by it, for a slow machine
    """

    def __init__(self, sock, explain=lambda: '', patience=1):
        self._sock = sock
        self.patience = patience
        self._explain = explain
        self._news = threading.Condition()
        self._processes = {}
        self._answers = {}
        self._count = 0
        self.hello = self.closed = False
        threading.Thread(target=self._read, daemon=True).start()

    def wait(self, done, timeout, what):
        """Return done() as soon as it is true; BedTimeout after timeout s."""
        timeout *= self.patience
        end = time.monotonic() + timeout
        with self._news:
            while True:
                value = done()
                if value:
                    return value
                if self.closed:
                    raise BedError(f'the bed ended while waiting for {what}'
                                   f'\n{self._explain()}')
                left = end - time.monotonic()
                if left <= 0:
                    raise BedTimeout(f'no {what} within {timeout} s'
                                     f'\n{self._explain()}')
                self._news.wait(left)

    def spawn(self, argv, env=None):
        """Start a program; returns its Process at once."""
        with self._news:
            self._count += 1
            process = Process(f'p{self._count}')
            self._processes[process.ident] = process
        words = [f'{name}={value}' for name, value in (env or {}).items()]
        words += ['--'] + [str(word) for word in argv]
        self.request('spawn', process.ident, *words)
        return process

    def ask(self, what, *words, timeout=20):
        """A request with one answer (cat, write, ping): its words."""
        with self._news:
            self._count += 1
            tag = f't{self._count}'
        self.request(what, tag, *words)
        return self.wait(lambda: self._answers.pop(tag, None), timeout,
                         f'answer to {what} {words[:1]}')

    def request(self, what, ident, *words):
        """Send a request, its words %-encoded."""
        self.send_line(' '.join(
            [what, ident] + [quote(word, safe="/=,:.-_+@'{}[]\"")
                             for word in words]))

    def send_line(self, line):
        """Send a request line as it is."""
        try:
            self._sock.sendall(line.encode() + b'\n')
        except OSError as error:
            raise BedError(f'the bed is gone: {error}\n{self._explain()}')

    def close(self):
        """Close the channel: the agent ends all it started."""
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._sock.close()

    def _read(self):
        try:
            with self._sock.makefile('rb') as lines:
                for line in lines:
                    text = line.decode(errors='replace').rstrip('\n')
                    with self._news:
                        self._report(*text.split(' ', 2))
                        self._news.notify_all()
        except (OSError, ValueError):
            pass
        with self._news:
            self.closed = True
            self._news.notify_all()

    def _report(self, what, ident='', rest=''):
        if what == 'hello':
            self.hello = True
        elif what in ('file', 'pong'):
            self._answers[ident] = rest.split(' ')
        elif ident in self._processes:
            self._of_process(self._processes[ident], what, rest)

    @staticmethod
    def _of_process(process, what, rest):
        if what in ('out', 'err', 'recv'):
            ns, _, text = rest.partition(' ')
            getattr(process, what).append(Line(int(ns), text))
        elif what == 'sent':
            process.sent.append(int(rest))
        elif what == 'started':
            process.pid = int(rest)
        elif what == 'exit':
            process.ended_ns, process.code = map(int, rest.split(' '))
        elif what == 'error':
            process.errors.append(rest)
