# SPDX-License-Identifier: GPL-2.0-or-later
"""What machines have in common that an emulator makes: L1's files and console,
and the emulator's beginning and end."""
import atexit
import ctypes
import os
import signal
import subprocess
import tempfile
from pathlib import Path

from . import artifacts, instrument

PR_SET_PDEATHSIG = 1
_PRCTL = ctypes.CDLL(None).prctl


class Emulated:
    """Methods of a Machine; prepare() is to be called first, then start()."""

    _l0 = None

    def prepare(self):
        """Make the folder of the emulator's files, console among them."""
        self._dir = tempfile.TemporaryDirectory(prefix='prefault-bed-')
        self.folder = Path(self._dir.name)
        self.console = self.folder / 'console'

    def start(self, argv, env=None, pass_fds=()):
        """Start the emulator, which ends with this process at the latest."""
        with open(self.folder / 'l0', 'wb') as log:
            self._l0 = subprocess.Popen(
                [str(word) for word in argv], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=dict(os.environ, **env or {}),
                pass_fds=pass_fds, preexec_fn=die_with_parent,
                start_new_session=True)

    def wait_agent(self, seconds):
        """Wait until L1 is up."""
        self.link.wait(lambda: self.link.hello, seconds,
                       "the agent in the bed's L1")
        instrument.prepare(self)

    def check_parameter(self, module, name, value):
        """SkipTest unless the parameter of L1's KVM has the value."""
        try:
            path = f'/sys/module/{module}/parameters/{name}'
            if self.read(path).strip() == value:
                return
        except OSError:
            pass
        artifacts.skip(f"the bed's L1 has no {module} with {name}={value}",
                       f'its console says: {self.tail()}')

    def tail(self):
        """The end of L1's console and of what the emulator said."""
        text = ''
        for name in ('l0', 'console'):
            path = self.folder / name
            if path.exists():
                lines = path.read_text(errors='replace').splitlines()
                text += f'-- {name}:\n' + '\n'.join(lines[-15:]) + '\n'
        return text

    def path(self, name):
        return f'/prefault/{name}'

    def scratch(self, name):
        return f'/tmp/{name}'

    def clear(self):
        """Likewise, and let L1 have huge pages again for the next test."""
        instrument.collect(self)
        super().clear()
        if not self.link.closed:
            self.run('/bin/sh', '-c', 'cd /proc/sys/vm; echo 3 > drop_caches; '
                     'echo 1 > compact_memory')

    def tool(self, name):
        """The path of one of artifacts.TOOLS; SkipTest if it is not there."""
        path = f'/prefault/tools/{name}'
        if self.run('/bin/test', '-x', path)[0]:
            artifacts.skip(f'no {name}',
                           'install the packages e2fsprogs and util-linux')
        return path

    def close(self):
        atexit.unregister(self.close)
        if self.link:
            self.link.close()
        if self._l0:
            if self._l0.poll() is None:
                self._l0.kill()
            self._l0.wait()
        self._dir.cleanup()


def die_with_parent():
    """In a new child: be killed when the thread that started it ends."""
    _PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL)
