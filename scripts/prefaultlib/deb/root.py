# SPDX-License-Identifier: GPL-2.0-or-later
"""A clean Debian in a folder: what a release is, and nothing of this machine.

debootstrap makes it, in the cache; each command in it has mounts and processes of
its own, so that none of them outlives an interruption.  One process at a time uses
a root.  Takes root.
"""
import fcntl
import os
import shutil
import subprocess

from .. import made, paths, say
from ..assemble import debs
from ..assemble.tree import check_disk
from ..err import Fail

PATH = '/usr/lib/ccache:/usr/sbin:/usr/bin:/sbin:/bin'
ALONE = ['unshare', '--mount', '--pid', '--fork', '--kill-child']
SOURCES = 'etc/apt/sources.list'
DISK_NEEDED = 8 << 30


def need_root():
    """Fail unless this process may make a Debian and enter it."""
    if os.geteuid():
        raise Fail('a clean Debian is made by debootstrap and entered by '
                   'chroot, which takes root: run this by sudo')
    if not debootstrap():
        raise Fail('a clean Debian is made by debootstrap, which is not '
                   'installed: `apt-get install debootstrap`')


def debootstrap():
    """The program's path, or None: root's PATH may lack its folder."""
    return shutil.which('debootstrap', path=PATH)


def give_back(*folders):
    """Let those who ran us by sudo have what we made in their folders."""
    owner = [int(os.environ.get(f'SUDO_{name}', 0)) for name in ('UID', 'GID')]
    for folder in folders if owner[0] else ():
        for path in [folder, *folder.rglob('*')]:
            os.chown(path, *owner, follow_symlinks=False)


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
        self._lock = None

    def prepare(self):
        """Make it, once, and bring it up to date; it is ours from now on."""
        need_root()
        paths.LOGS.mkdir(parents=True, exist_ok=True)
        self._take()
        made.ensure(self.folder, made.digest([], [self.release]), self._make)
        shutil.copy('/etc/resolv.conf', self.folder / 'etc/resolv.conf')
        self.write('etc/apt/apt.conf.d/90prefault', self._apt_settings())
        self.write(SOURCES, self._apt_sources())
        # What an interruption has left
        self.run('dpkg', '--configure', '-a')
        self.run('apt-get', '-q', 'update')
        self.run('apt-get', '-q', '-y', '-f', 'install')
        self.run('apt-get', '-q', '-y', 'dist-upgrade')

    def write(self, name, text):
        """Write a file; its name is relative to the root."""
        (self.folder / name).write_text(text, encoding='utf-8')

    def remove(self):
        """Make it anew the next time."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.exists():
            raise Fail(f'{self.folder} cannot be removed: unmount what is '
                       'mounted below it, then run this again')

    def command(self, *words, at='/', **env):
        """The command that runs these words in it.

        at:  the working folder
        env: environment variables, beside those that all have
        """
        env = {**proxies(), 'PATH': PATH, 'HOME': '/root', 'LC_ALL': 'C.UTF-8',
               'DEBIAN_FRONTEND': 'noninteractive', **env}
        return [*ALONE, f'--root={self.folder}', '--mount-proc', 'env', '-i',
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
                       f'of {self.log} says why; mend that, or remove the '
                       'folder, then run this again')

    def install(self, *names):
        """Install packages without what they recommend."""
        self.run('apt-get', '-q', '-y', 'install', '--no-install-recommends',
                 *names)

    def _take(self):
        """Keep others out until this process ends."""
        if not self._lock:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self._lock = open(f'{self.folder}.used', 'w', encoding='ascii')
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Fail(f'{self.folder} is used by another process: wait for '
                       'its end, then run this again') from None

    def _make(self):
        check_disk(self.folder.parent, DISK_NEEDED)
        say.step(f'making a clean Debian {self.release} in {self.folder}')
        self.remove()
        with open(self.log, 'w', encoding='utf-8') as log:
            done = subprocess.run(
                [*ALONE, debootstrap(), '--variant=minbase', self.release,
                 str(self.folder), debs.mirror()],
                env={**os.environ, **proxies()}, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise Fail(f'debootstrap made no Debian {self.release} (messages in '
                       f'{self.log}): check the network, then run this again')

    def _apt_settings(self):
        proxy = debs.proxy()
        return (f'Acquire::http::Proxy "{proxy}";\n' if proxy else '') + (
            'APT::Install-Recommends "false";\n')

    def _apt_sources(self):
        suites = [*debs.with_updates(self.release), self.suite]
        return ''.join(f'deb [signed-by={debs.KEYRING}] {debs.mirror_of(suite)} '
                       f'{suite} main\n' for suite in dict.fromkeys(suites))


def proxies():
    """The variables that name a proxy: the environment's, or as apt has it."""
    named = {name: value for name, value in os.environ.items()
             if name.lower() in debs.PROXIES}
    proxy = debs.proxy()
    return named or ({'http_proxy': proxy} if proxy else {})
