# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt's daemon and its client, as they are built, without a place on this
machine: a session daemon in namespaces of its own, whose sockets, configuration and
caches lie in a folder of its own.

No KVM is needed.  A domain is defined and undefined again, and never started.
"""
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from bed.libvirt import SESSION
from prefaultlib import paths
from prefaultlib.build import libvirt

BUILD = paths.BUILD / libvirt.VARIANTS['libvirt']
DAEMON = BUILD / 'src/virtqemud'
CLIENT = BUILD / 'tools/virsh'
START = 30          # seconds until it answers
PATIENCE = 300      # seconds for all commands of a client


def can_run():
    """Whether there are such namespaces."""
    return subprocess.run([*SESSION, '/bin/true'], stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


class Daemon:
    """A context manager: leaving it ends the daemon."""

    def __enter__(self):
        # A short path: it becomes that of sockets
        self.folder = tempfile.TemporaryDirectory(prefix='virt-', dir='/tmp')
        top = Path(self.folder.name)
        names = {'XDG_RUNTIME_DIR': 'run', 'XDG_CONFIG_HOME': 'config',
                 'XDG_CACHE_HOME': 'cache', 'HOME': 'home'}
        for name in names.values():
            (top / name).mkdir(mode=0o700)
        (top / 'config/libvirt').mkdir()
        # No virtlogd
        (top / 'config/libvirt/qemu.conf').write_text('stdio_handler = "file"\n',
                                                      encoding='utf-8')
        self.env = {**os.environ, **{name: str(top / path)
                                     for name, path in names.items()}}
        self.log = top / 'daemon.log'
        with open(self.log, 'w', encoding='utf-8') as log:
            self.process = subprocess.Popen(
                [*SESSION, '/bin/sh', '-c', '"$0" & wait', str(DAEMON)],
                env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        try:
            self._wait(top / 'run/libvirt/virtqemud-sock')
        except OSError:         # TimeoutError among them
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused):
        if self.is_up():
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.folder.cleanup()

    def _wait(self, socket):
        end = time.monotonic() + START
        while not socket.exists() and self.is_up():
            if time.monotonic() > end:
                raise TimeoutError(f'{DAEMON} does not listen at {socket}')
            time.sleep(0.1)
        if not self.is_up():
            raise OSError(f'{DAEMON} has ended: '
                          f'{self.log.read_text(errors="replace")[-2000:]}')

    def is_up(self):
        """Whether it has not crashed."""
        return self.process.poll() is None

    def run(self, commands):
        """What the client prints for each of some commands of virsh's."""
        script = ''.join(f'echo <<{number}>>\n{command}\n'
                         for number, command in enumerate(commands))
        done = subprocess.run(
            [*SESSION[:4], str(CLIENT), '-q', '-c', 'qemu:///session'], env=self.env,
            input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=PATIENCE, check=False)
        said = re.split(r'<<(\d+)>>', done.stdout.replace('virsh # ', ''))
        if [int(number) for number in said[1::2]] != list(range(len(commands))):
            raise ValueError(f'virsh did not run all: {done.stdout[-2000:]}')
        return [text.strip() for text in said[2::2]]
