# SPDX-License-Identifier: GPL-2.0-or-later
"""A clean Debian in a folder: what a release is, and nothing of this machine.

debootstrap makes it, in the cache; a command runs in it with mounts and processes
of its own, so that nothing stays behind when it is interrupted.  Takes root.
"""
import os
import shutil
import subprocess

from .. import made, paths, say
from ..assemble import debs
from ..err import Fail

PATH = '/usr/lib/ccache:/usr/sbin:/usr/bin:/sbin:/bin'
SOURCES = 'etc/apt/sources.list'
DISK_NEEDED = 8 << 30


def need_root():
    """Fail unless this process may make a Debian and enter it."""
    if os.geteuid():
        raise Fail('a clean Debian is made by debootstrap and entered by '
                   'chroot, which takes root: run this by sudo')


class Root:
    """A Debian.

    folder: where it lies
    suite:  what packages come from, 'trixie' or 'bookworm-backports'
    """

    def __init__(self, suite, name):
        """@name: for the folder: one for each use, as uses leave packages"""
        self.suite = suite
        self.release = suite.removesuffix('-backports')
        self.folder = paths.CACHE / 'roots' / f'{suite}-{name}'
        self.log = paths.LOGS / f'root-{suite}-{name}.log'

    def prepare(self):
        """Make it, once, and bring it up to date."""
        paths.LOGS.mkdir(parents=True, exist_ok=True)
        key = made.digest([], [self.release])
        made.ensure(self.folder, key, self._make)
        shutil.copy('/etc/resolv.conf', self.folder / 'etc/resolv.conf')
        self.write('etc/apt/apt.conf.d/90prefault', self._apt_settings())
        self.write(SOURCES, self._apt_sources())
        self.run('apt-get', '-q', 'update')
        self.run('apt-get', '-q', '-y', 'dist-upgrade')

    def write(self, name, text):
        """Write a file; its name is relative to the root."""
        (self.folder / name).write_text(text, encoding='utf-8')

    def remove(self):
        """Make it anew the next time."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self, *words, at='/', **env):
        """The command that runs these words in it.

        at:  the working folder
        env: environment variables, beside those that all have
        """
        env = {'PATH': PATH, 'HOME': '/root', 'LC_ALL': 'C.UTF-8',
               'DEBIAN_FRONTEND': 'noninteractive', **env}
        return ['unshare', '--mount', '--pid', '--fork', '--kill-child',
                f'--root={self.folder}', '--mount-proc', 'env', '-i',
                '-C', at, *(f'{name}={value}' for name, value in env.items()),
                *words]

    def run(self, *words, **how):
        """Run them, what they say goes to the log; Fail if they fail."""
        with open(self.log, 'a', encoding='utf-8') as log:
            print('+', *words, file=log, flush=True)
            done = subprocess.run(self.command(*words, **how), stdout=log,
                                  stderr=log, stdin=subprocess.DEVNULL,
                                  check=False)
        if done.returncode:
            raise Fail(f'`{" ".join(words)}` failed in {self.folder}: the end '
                       f'of {self.log} says why; then run this again')

    def install(self, *names):
        """Install packages, names or paths in it, without what they recommend."""
        self.run('apt-get', '-q', '-y', 'install', '--no-install-recommends',
                 *names)

    def _make(self):
        say.step(f'making a clean Debian {self.release} in {self.folder}')
        self.remove()
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, 'w', encoding='utf-8') as log:
            done = subprocess.run(
                ['debootstrap', '--variant=minbase', self.release,
                 str(self.folder), debs.mirror()],
                env=dict(os.environ, **self._proxies()), stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise Fail(f'debootstrap made no Debian {self.release} (messages in '
                       f'{self.log}): check the network, then run this again')

    def _proxies(self):
        proxy = debs.proxy()
        return {'http_proxy': proxy} if proxy else {}

    def _apt_settings(self):
        proxy = debs.proxy()
        return (f'Acquire::http::Proxy "{proxy}";\n' if proxy else '') + (
            'APT::Install-Recommends "false";\n')

    def _apt_sources(self):
        suites = [self.release, f'{self.release}-updates']
        if self.suite != self.release:
            suites.append(self.suite)
        return ''.join(f'deb [signed-by={debs.KEYRING}] {debs.mirror()} {suite} '
                       'main\n' for suite in suites)
