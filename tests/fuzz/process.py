# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU with a QMP monitor on its standard input and output."""
import json
import subprocess
import tempfile
import threading

from prefaultlib import paths

PATIENCE = 60       # seconds for one answer; longer is a hang
ALWAYS = ('-display', 'none', '-nodefaults', '-qmp', 'stdio')


class Ended(Exception):
    """QEMU is no more: its exit status, and what it said on standard error."""

    def __init__(self, status, said):
        super().__init__(f'status {status}: {said}')
        self.status = status
        self.said = said


class Qemu:
    """A running QEMU.  A context manager: leaving it kills QEMU."""

    def __init__(self, *argv):
        self.errors = tempfile.TemporaryFile('w+', encoding='utf-8',
                                             errors='replace')
        self.process = subprocess.Popen(
            [str(paths.QEMU), *ALWAYS, *argv], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.errors, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.errors):
            try:
                stream.close()
            except BrokenPipeError:
                pass

    def connect(self):
        """Wait for the greeting and negotiate; Ended if QEMU refused to start."""
        self._line(lambda message: 'QMP' in message)
        self.ask('qmp_capabilities')
        return self

    def ask(self, command, arguments=None):
        """The answer to a command: {'return': ...} or {'error': ...}."""
        message = {'execute': command}
        if arguments is not None:
            message['arguments'] = arguments
        try:
            self.process.stdin.write(json.dumps(message) + '\n')
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        return self._line(lambda answer: not {'event', 'QMP'} & set(answer))

    def _line(self, is_wanted):
        """The first message that is wanted."""
        timer = threading.Timer(PATIENCE, self.process.kill)
        timer.start()
        try:
            for line in self.process.stdout:
                message = json.loads(line)
                if is_wanted(message):
                    return message
        finally:
            timer.cancel()
        raise self._ended()

    def _ended(self):
        status = self.process.wait(PATIENCE)
        self.errors.seek(0)
        return Ended(status, self.errors.read().strip())
