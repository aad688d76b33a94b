# SPDX-License-Identifier: GPL-2.0-or-later
"""A build directory: configured once, then ninja does the work.

It is configured again only if its configure words change; an interrupted
configuration starts afresh.  Meson and pycotap are the system's where they are
new enough; elsewhere private ones are unpacked, on Debian 12 for instance.
"""
import json
import os
import re
import shutil
import subprocess
import sys

from .. import paths, say
from ..assemble import debs, system
from ..assemble.tree import check_disk, write
from ..err import Fail

PYTHON = '/usr/bin/python3'
# What QEMU's configure wants of them (its pythondeps.toml)
MESON_NEEDED = (1, 5)
TOOLS_OF_SYSTEM = r'''
import re, sys, pycotap
from mesonbuild.coredata import version
sys.exit(tuple(map(int, re.findall(r"\d+", version)[:2])) < {})
'''
MESON = paths.TOOLS / 'meson.py'
DISK_NEEDED = 1 << 30
NINJA_STEP = re.compile(r'\[(\d+)/(\d+)\] ')


class Build:
    """One build directory of an assembled tree.

    A project's own class gives `title` and `project`, and its configure
    command; `meson` is the Meson that it was configured with.
    """

    project = None
    meson = [PYTHON, str(MESON)]

    def __init__(self, variant, source, folder, words):
        """@source: the assembled tree
        @folder:  below build
        @words:   what the configure command takes
        """
        self.variant = variant
        self.source = source
        self.folder = paths.BUILD / folder
        self.words = words
        self.stamp = self.folder / 'prefault-configured'
        self.title = f'{self.project.title} ({variant})'

    def configure_command(self):
        """The command, to be run in the empty build directory."""
        raise NotImplementedError

    def default_targets(self):
        """What to build if nothing is named."""
        raise NotImplementedError

    def configure(self):
        """Configure unless it was done with these words."""
        wanted = '\n'.join([*self.words, *compiler(), self.source.name])
        if self.stamp.exists() and self.stamp.read_text() == wanted:
            return
        ensure_tools()
        check_disk(self.folder, DISK_NEEDED)
        say.step(f'configuring {self.title} in '
                 f'build/{self.folder.relative_to(paths.BUILD)}, about a '
                 'minute')
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        log = paths.LOGS / f'configure-{self.variant}.log'
        if run_logged(self.configure_command(), log, self.folder,
                      environment()):
            raise Fail(f'{self.title} cannot be configured: the end of {log} '
                       'says why; then run this again')
        self.complete_configuration()
        write(self.stamp, wanted)

    def complete_configuration(self):
        """What has to follow the configure command."""

    def build(self, targets=()):
        """Run ninja for the targets, its progress on our terminal."""
        targets = list(targets) or self.default_targets()
        command = ['ninja', '-C', str(self.folder), *targets]
        sys.stdout.flush()
        if sys.stdout.isatty():
            status = subprocess.run(command, env=environment(),
                                    check=False).returncode
        else:
            status = self._build_for_log(command)
        if status:
            raise Fail(f'{self.title} does not build: the messages are '
                       'above; mend the file they name, then run this again')

    def introspect(self, what):
        """What Meson knows of this build directory: 'tests', 'targets'..."""
        done = subprocess.run(
            [*self.meson, 'introspect', f'--{what}'], cwd=self.folder,
            env=environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise Fail(f'Meson cannot tell the {what} of {self.folder}: '
                       f'{done.stderr.strip()}: remove it, run this again')
        return json.loads(done.stdout)

    def relative(self, name):
        """A file's name as ninja knows it."""
        return name.removeprefix(f'{self.folder}/')

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


def system_has_tools():
    """Tell whether this machine's Python has a Meson and a pycotap for QEMU."""
    return succeeds([PYTHON, '-c', TOOLS_OF_SYSTEM.format(MESON_NEEDED)])


def ensure_tools():
    """Make build/tools, once: Meson, and what of it this machine has not."""
    if (paths.TOOLS / 'complete').exists():
        return
    shutil.rmtree(paths.TOOLS, ignore_errors=True)
    paths.TOOLS.mkdir(parents=True)
    if not system_has_tools():
        missing = (f"{PYTHON} has no Meson {'.'.join(map(str, MESON_NEEDED))} or "
                   'later with pycotap')
        if not system.is_debian():
            raise Fail(f'{missing}: install both as {system.title()} has them, '
                       'then run this again')
        try:
            for name in ('meson', 'python3-pycotap'):
                debs.unpack(debs.fetch(name), paths.TOOLS)
        except Fail as fail:
            raise Fail(f'{missing}, and {fail}') from None
    # Meson starts itself again by this name; a plain script needs PYTHONPATH.
    write(MESON,
          'import sys\n'
          f'sys.path.insert(0, {str(paths.TOOLS_PYTHON)!r})\n'
          'from mesonbuild.mesonmain import main\n'
          'sys.exit(main())\n')
    write(paths.TOOLS / 'complete', '')


def compiler():
    """The CC setting as a list of NAME=VALUE words; ccache if it is there."""
    return ['CC=' + cached('cc')] if shutil.which('ccache') else []


def cached(command):
    """A compiler's command with ccache before it, if that is there."""
    return f'ccache {command}' if shutil.which('ccache') else command


def environment():
    """The environment to configure and build in."""
    env = dict(os.environ)
    env.update(word.split('=', 1) for word in compiler())
    env['PYTHONPATH'] = os.pathsep.join(
        [str(paths.TOOLS_PYTHON), *filter(None, [env.get('PYTHONPATH')])])
    # For ccache: the same file in another checkout is the same object.  What a
    # file includes it takes from the compiler, not from a run of the preprocessor.
    env.update(CCACHE_BASEDIR=str(paths.ROOT), CCACHE_NOHASHDIR='1',
               CCACHE_DEPEND='1')
    return env


def succeeds(command):
    """Tell whether a command ends well; what it says is not shown."""
    return subprocess.run(command, capture_output=True,
                          check=False).returncode == 0


def run_logged(command, log, cwd, env=None):
    """Run with output to a log file; return the exit status."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, 'w', encoding='utf-8') as out:
        return subprocess.run(command, cwd=cwd, env=env, stdout=out,
                              stderr=subprocess.STDOUT, check=False,
                              stdin=subprocess.DEVNULL).returncode


def top_options():
    """What meson.options has for the projects' builds."""
    try:
        return json.loads((paths.BUILD / 'options.json').read_text())
    except OSError:
        raise Fail(f'{paths.BUILD} is not set up: run scripts/setup') from None


def setup_top(**chosen):
    """Make build/ the Meson build directory of this project, once.

    @chosen: values of meson.options, and Meson's own, that the user chose;
             None: not chosen, it stays as it is
    """
    there = all((paths.BUILD / name).exists()
                for name in ('build.ninja', 'options.json'))
    words = [f'-D{name}={value}' for name, value in chosen.items() if value]
    if there and not words:
        return
    ensure_tools()
    if not there:
        shutil.rmtree(paths.BUILD / 'meson-private', ignore_errors=True)
    log = paths.LOGS / 'meson-setup.log'
    command = [PYTHON, str(MESON), 'setup', str(paths.BUILD), str(paths.ROOT),
               *words, *(['--reconfigure'] if there else [])]
    if run_logged(command, log, paths.ROOT):
        raise Fail(f'`meson setup build` failed: the end of {log} says why; '
                   'then run this again')
