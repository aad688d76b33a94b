# SPDX-License-Identifier: GPL-2.0-or-later
"""The Linux of the beds; that of a bed with private memory is built here.

From Debian's linux-source; the other beds take a kernel package of Debian's.

Guarantees: built once for each package, fragment and compiler, its modules for
each change of theirs; what was interrupted starts afresh.  Of the package's
sources a third is unpacked, and after the build what modules need is kept.  The
results are in the download cache, too, for other checkouts.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .. import made, paths, say
from ..assemble import debs
from ..assemble.tree import check_disk
from ..err import Fail

SERIES = '6.12'
# KVM_PRE_FAULT_MEMORY says EAGAIN while a memslot is deleted, since this one
LATER_SERIES = '6.18'
SUITES = ('bookworm-backports', 'trixie', 'trixie-backports', 'sid')
FRAGMENT = paths.ROOT / 'tests/bed/l1-kernel.config'
MODULES = paths.ROOT / 'tests/module'
DISK_NEEDED = 2 << 30

# What the build runs or includes, and the package that has it
PROGRAMS = {'make': 'make', 'gcc': 'gcc', 'flex': 'flex', 'bison': 'bison',
            'bc': 'bc', 'perl': 'perl', 'xz': 'xz-utils'}
HEADERS = {'gelf.h': 'libelf-dev'}      # for objtool

# Not unpacked.  Kconfig files are read even if all they offer is off.
UNWANTED = ['*/Documentation/*', '*/arch/[a-wyz]*/*.[chS]', '*/arch/*.dts*',
            '*/tools/testing/*', '*/tools/perf/*', '*/sound/*.[ch]', '*/drivers/gpu/*.[ch]',
            '*/drivers/media/*.[ch]', '*/drivers/staging/*.[ch]',
            '*/drivers/net/ethernet/*.[ch]', '*/drivers/net/wireless/*.[ch]',
            '*/drivers/infiniband/*.[ch]', '*/drivers/scsi/*.[ch]']
# Kept after the build, for the next change of a module
KEPT = ['bzImage', '.config', 'Makefile', 'Module.symvers', 'arch', 'include', 'scripts',
        'tools', 'virt']
STEPS = 1842            # about; each prints a line
STEP = re.compile(r'  [A-Z]+ ')


class Linux:
    """One series' kernel below build/bed.

    image:   the bzImage
    modules: folder with the .ko of tests/module, and nothing else
    """

    def __init__(self, series=None):
        """@series: default bed_series()"""
        self.series = series or bed_series()
        self.folder = paths.BED / f'linux-{self.series}'
        self._made = self.folder / 'made'
        self.image = self._made / 'bzImage'
        self.modules = self._made / 'modules'
        self._tree = self.folder / 'tree'
        self._log = paths.LOGS / f'linux-{self.series}.log'

    def build(self):
        """Build what changed.  Fail if something is missing."""
        deb = debs.fetch(rf'linux-source-{re.escape(self.series)}', SUITES)
        tree_key = made.digest([FRAGMENT], [deb.name, compiler()])
        sources = sorted(MODULES.glob('*'))
        key = made.digest(sources, [tree_key, *(path.name for path in sources)])
        kept = paths.CACHE / f'linux-{self.series}-{key[:16]}'

        def make():
            shutil.rmtree(self._made, ignore_errors=True)
            if kept.exists():
                shutil.copytree(kept, self._made)
                return
            made.ensure(self._tree, tree_key, lambda: self._build_tree(deb))
            self._build_modules(sources)
            whole = kept.with_name(f'{kept.name}.partial')
            shutil.rmtree(whole, ignore_errors=True)
            shutil.copytree(self._made, whole)
            whole.replace(kept)

        made.ensure(self._made, key, make)

    def _build_tree(self, deb):
        check_tools()
        check_disk(self.folder, DISK_NEEDED)
        self._unpack(deb)
        self._configure()
        self._build_image()
        self._prune()

    def _unpack(self, deb):
        say.step(f'unpacking {deb.name}')
        shutil.rmtree(self._tree, ignore_errors=True)
        self._tree.mkdir()
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            debs.unpack(deb, Path(scratch))
            archive = next(Path(scratch).glob('usr/src/*.tar.xz'))
            self._run(['tar', '-x', '-I', 'xz -T0', '-f', archive,
                       '--strip-components=1',
                       *(f'--exclude={name}' for name in UNWANTED)], 'unpack')
        (self._tree / 'Documentation').mkdir(exist_ok=True)
        (self._tree / 'Documentation/Kconfig').touch()

    def _configure(self):
        self._run([*self._make(), 'tinyconfig'], 'configure')
        self._run(['scripts/kconfig/merge_config.sh', '-m', '.config',
                   FRAGMENT], 'configure')
        self._run([*self._make(), 'olddefconfig'], 'configure')
        got = set((self._tree / '.config').read_text().splitlines())
        lost = [line for line in FRAGMENT.read_text().splitlines()
                if re.match(r'CONFIG_\w+=[y"0-9]', line) and line not in got]
        if lost:
            raise Fail(f'Linux {self.series} does not take '
                       f"{' '.join(lost)} of {FRAGMENT}: mend the fragment, "
                       'or choose another series with PREFAULT_BED_LINUX')

    def _build_image(self):
        say.step(f"building Linux {self.series} for the bed, about "
                 f'{16 // (os.cpu_count() or 1) or 1} minutes')
        since = time.monotonic()
        bar = say.Bar(f'Linux {self.series}')
        self._run([*self._make(), 'bzImage', 'modules'], 'build', bar)
        bar.done()
        say.info(f'{say.clock(time.monotonic() - since)}; all of it: '
                 f'{self._log}')
        shutil.copy(self._tree / 'arch/x86/boot/bzImage', self._tree / 'bzImage')

    def _prune(self):
        """Leave what modules need."""
        for path in self._tree.iterdir():
            if path.name not in KEPT:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for folder in 'arch', 'virt':
            for path in (self._tree / folder).rglob('*.[oa]'):
                path.unlink()

    def _build_modules(self, sources):
        """Build beside the tree: what make leaves is not for the checkout."""
        scratch = self.folder / 'module'
        shutil.rmtree(scratch, ignore_errors=True)
        for folder in scratch, self.modules:
            folder.mkdir(parents=True)
        shutil.copy(self._tree / 'bzImage', self.image)
        for path in sources:
            shutil.copy(path, scratch)
        self._run([*self._make(), f'M={scratch}', 'modules'],
                  'build tests/module with')
        for path in scratch.glob('*.ko'):
            shutil.copy(path, self.modules)

    def _make(self):
        words = ['make', f'-j{os.cpu_count()}', 'KBUILD_BUILD_USER=bed',
                 'KBUILD_BUILD_TIMESTAMP=1970-01-01', 'KBUILD_BUILD_HOST=bed']
        return words + (['CC=ccache gcc'] if shutil.which('ccache') else [])

    def _run(self, command, what, bar=None):
        """Run in the tree, its output to the log and its lines to the bar."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        command = [str(word) for word in command]
        steps = 0
        with open(self._log, 'a', 1, encoding='utf-8') as log:
            print('+', *command, file=log, flush=True)
            with subprocess.Popen(
                    command, cwd=self._tree, stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                    text=True, errors='replace',
                    env=dict(os.environ, LC_ALL='C')) as process:
                for line in process.stdout:
                    log.write(line)
                    steps += bool(STEP.match(line))
                    if bar:
                        bar.at(steps / STEPS)
        if process.returncode:
            raise Fail(f'cannot {what} Linux {self.series}: the end of '
                       f'{self._log} says why; then run this again')


def bed_series():
    """The series of L1's kernel: PREFAULT_BED_LINUX, or SERIES."""
    return os.environ.get('PREFAULT_BED_LINUX') or SERIES


def check_tools():
    """Fail naming the packages that the build would miss."""
    missing = [package for name, package in PROGRAMS.items()
               if not shutil.which(name)]
    include = [Path('/usr/include'), Path('/usr/local/include')]
    missing += [package for name, package in HEADERS.items()
                if not any((folder / name).exists() for folder in include)]
    if missing:
        raise Fail('to build Linux these packages are missing: '
                   f"{' '.join(missing)}: run scripts/setup")


def compiler():
    """What the compiler calls itself."""
    if not shutil.which('gcc'):
        return 'none'
    done = subprocess.run(['gcc', '--version'], capture_output=True,
                          text=True, check=False)
    return done.stdout.split('\n')[0]


if __name__ == '__main__':
    Linux(*sys.argv[1:]).build()
