# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's build directories: configure each variant once, then let ninja work.

A variant is one line of the table below.  A build directory is configured
again only if its configure words change; an interrupted configuration starts
afresh.  Meson and pycotap are private: QEMU needs newer ones than Debian 12
has, and one way for all releases is simpler than two.
"""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

from . import debs, paths, say
from .err import Fail
from .tree import check_disk, write

PYTHON = '/usr/bin/python3'
DISK_NEEDED = 1 << 30

COMMON = ['--without-default-features', '--enable-fdt=system',
          '--disable-install-blobs', '--disable-docs', '--enable-tcg']
# What operators combine with prefault: -sandbox, host-nodes=, pmem=on
USUAL = ['--enable-kvm', '--enable-seccomp', '--enable-numa',
         '--enable-libpmem']
UNIT_TESTS = ['tests/unit/test-prefault-plan',
              'tests/unit/test-prefault-engine',
              'tests/unit/test-prefault-needs',
              'tests/unit/test-prefault-places',
              'tests/unit/test-kvm-retention',
              'tests/unit/test-kvm-conversion']
QTESTS = ['tests/qtest/prefault-test', 'tests/qtest/prefault-options-test']
NINJA_STEP = re.compile(r'\[(\d+)/(\d+)\] ')
X86 = '--target-list=x86_64-softmmu'
# Nobody runs it: without optimisation it takes half the time, and a call that
# only an optimiser would remove is found
ONLY_BUILT = ['--without-default-devices', '-Doptimization=0', '-Ddebug=false']

# name: (directory, configure words, default ninja targets)
VARIANTS = {
    'default': ('qemu', USUAL, ['qemu-system-x86_64']),
    'pristine': ('pristine/qemu', USUAL, ['qemu-system-x86_64']),
    'nokvm': ('qemu-nokvm', [X86, '--disable-kvm', *ONLY_BUILT],
              ['qemu-system-x86_64']),
    'aarch64': ('qemu-aarch64',
                ['--target-list=aarch64-softmmu', '--enable-kvm', *ONLY_BUILT],
                ['qemu-system-aarch64']),
    'asan': ('qemu-asan', [X86, '--enable-kvm', '--enable-asan',
                           '--enable-ubsan'], UNIT_TESTS),
    'tsan': ('qemu-tsan', [X86, '--enable-kvm', '--enable-tsan'], UNIT_TESTS),
}


class Build:
    """One variant's build directory of an assembled tree."""

    def __init__(self, variant, source):
        """@source: the assembled tree"""
        folder, own, self.targets = VARIANTS[variant]
        self.variant = variant
        self.folder = paths.BUILD / folder
        self.source = source
        self.words = ['--python=' + PYTHON, *COMMON, *own,
                      *(option_words() if own is USUAL else [])]
        self.stamp = self.folder / 'prefault-configured'

    def configure(self):
        """Configure unless it was done with these words."""
        wanted = '\n'.join([*self.words, *compiler()])
        if self.stamp.exists() and self.stamp.read_text() == wanted:
            return
        ensure_tools()
        check_disk(self.folder, DISK_NEEDED)
        say.step(f'configuring QEMU ({self.variant}) in build/'
                 f'{self.folder.name}, about a minute')
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        log = paths.LOGS / f'configure-{self.variant}.log'
        command = [os.path.relpath(self.source / 'configure', self.folder),
                   *self.words]
        if run_logged(command, log, self.folder, environment()):
            raise Fail(f'QEMU ({self.variant}) cannot be configured: the end '
                       f'of {log} says why; then run this again')
        self._make_venv_self_contained()
        write(self.stamp, wanted)

    def build(self, targets=()):
        """Run ninja for the targets, its progress on our terminal."""
        targets = list(targets) or self.targets
        command = ['ninja', '-C', str(self.folder), *targets]
        sys.stdout.flush()
        if sys.stdout.isatty():
            status = subprocess.run(command, env=environment(),
                                    check=False).returncode
        else:
            status = self._build_for_log(command)
        if status:
            raise Fail(f'QEMU ({self.variant}) does not build: the messages '
                       'are above; mend the file they name, then run this '
                       'again')

    def _build_for_log(self, command):
        """Ninja's thousand lines of progress become ten; the rest stays."""
        bar = say.Bar(f'building {self.folder.name}')
        with subprocess.Popen(command, env=environment(), text=True,
                              stdout=subprocess.PIPE, errors='replace',
                              stderr=subprocess.STDOUT) as ninja:
            for line in ninja.stdout:
                step = NINJA_STEP.match(line)
                if step:
                    bar.at(int(step[1]) / int(step[2]),
                           f'of {step[2]} steps')
                elif not line.startswith('ninja: '):
                    print(line, end='', flush=True)
            status = ninja.wait()
            if status == 0:
                bar.at(1)
            bar.done()
            return status

    def _make_venv_self_contained(self):
        """Let `ninja -C build/qemu` find our Meson without PYTHONPATH."""
        for site in self.folder.glob('pyvenv/lib/python3*/site-packages'):
            write(site / 'prefault.pth', f'{paths.TOOLS_PYTHON}\n')


def option_words():
    """What meson.options adds to the default variant's configure words."""
    try:
        options = json.loads((paths.BUILD / 'options.json').read_text())
    except OSError:
        raise Fail(f'{paths.BUILD} is not set up: run scripts/setup') from None
    return [f"--target-list={options['targets']}",
            *shlex.split(options['qemu_configure_args'])]


def ensure_tools():
    """Unpack Meson and pycotap into build/tools, once."""
    if (paths.TOOLS / 'complete').exists():
        return
    shutil.rmtree(paths.TOOLS, ignore_errors=True)
    for name in ('meson', 'python3-pycotap'):
        debs.unpack(debs.fetch(name), paths.TOOLS)
    # Meson starts itself again by this name; a plain script needs PYTHONPATH.
    write(paths.TOOLS / 'meson.py',
          'import sys\n'
          f'sys.path.insert(0, {str(paths.TOOLS_PYTHON)!r})\n'
          'from mesonbuild.mesonmain import main\n'
          'sys.exit(main())\n')
    write(paths.TOOLS / 'complete', '')


def compiler():
    """The CC setting as a list of NAME=VALUE words; ccache if it is there."""
    return ['CC=ccache cc'] if shutil.which('ccache') else []


def environment():
    """The environment for QEMU's configure and build."""
    env = dict(os.environ)
    env.update(word.split('=', 1) for word in compiler())
    env['PYTHONPATH'] = str(paths.TOOLS_PYTHON)
    # For ccache: the same file in another checkout is the same object.
    env.update(CCACHE_BASEDIR=str(paths.ROOT), CCACHE_NOHASHDIR='1')
    return env


def run_logged(command, log, cwd, env=None):
    """Run with output to a log file; return the exit status."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, 'w', encoding='utf-8') as out:
        return subprocess.run(command, cwd=cwd, env=env, stdout=out,
                              stderr=subprocess.STDOUT, check=False,
                              stdin=subprocess.DEVNULL).returncode


def setup_top():
    """Make build/ the Meson build directory of this project, once."""
    if all((paths.BUILD / name).exists()
           for name in ('build.ninja', 'options.json')):
        return
    ensure_tools()
    shutil.rmtree(paths.BUILD / 'meson-private', ignore_errors=True)
    log = paths.LOGS / 'meson-setup.log'
    command = [PYTHON, str(paths.TOOLS / 'meson.py'), 'setup',
               str(paths.BUILD), str(paths.ROOT)]
    if run_logged(command, log, paths.ROOT):
        raise Fail(f'`meson setup build` failed: the end of {log} says why; '
                   'then run this again')
