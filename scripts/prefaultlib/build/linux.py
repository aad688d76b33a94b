# SPDX-License-Identifier: GPL-2.0-or-later
"""The Linux of the beds: Debian's; for private memory with a KVM of our own build.

The only guests with guest_memfd that need no hardware are KVM_X86_SW_PROTECTED_VM,
which Debian leaves out.  So KVM's modules, and those of tests/module, are built with
it, from Debian's linux-source and against the headers of the kernel that is booted.

Guarantees: built once for each kernel, compiler, and change of tests/module or of this
file; what was interrupted starts afresh.  The results are in the download cache, too,
for other checkouts.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from ctypes.util import find_library
from pathlib import Path

from .. import made, paths, say
from ..assemble import debs
from ..assemble.tree import check_disk
from ..err import Fail

SERIES = '6.12'
# KVM_PRE_FAULT_MEMORY says EAGAIN while a memslot is deleted, since this one
LATER_SERIES = '6.18'
SUITES = ('bookworm-backports', 'trixie', 'trixie-backports', 'sid')
FLAVOUR = 'cloud-amd64'
# Of a series
IMAGE = rf'linux-image-{{}}\.[0-9.]+\+deb\d+-{FLAVOUR}'
SOURCE = 'linux-source-{}'
# Built against an image, for its release
HEADERS, COMMON = f'linux-headers-{{}}-{FLAVOUR}', 'linux-headers-{}-common'
KBUILD = 'linux-kbuild-{}'
MODULES = paths.ROOT / 'tests/module'
DISK_NEEDED = 1 << 29

# What KVM is built with beyond Debian's configuration, which other modules and the
# kernel do not look at
OPTIONS = ('KVM_SW_PROTECTED_VM', 'KVM_PRIVATE_MEM', 'KVM_GENERIC_PRIVATE_MEM',
           'KVM_GENERIC_MEMORY_ATTRIBUTES')
FLAGS = ' '.join(['-g0', *(f'-DCONFIG_{name}=1' for name in OPTIONS)])
# pahole, which would add what only BPF reads, need not be there
SETTINGS = [*(f'CONFIG_{name}=y' for name in OPTIONS), f'KCFLAGS={FLAGS}',
            'CONFIG_DEBUG_INFO_BTF_MODULES=', 'HOSTCC=gcc']
# In linux-source
WANTED = ('*/arch/x86/kvm/*', '*/virt/*')
KVM = 'arch/x86/kvm'

# What the build runs, and the package that has it
PROGRAMS = {'make': 'make', 'gcc': 'gcc', 'xz': 'xz-utils'}
# Debian's objtool takes it; its own package has another name on Debian 13
LIBRARY = 'elf', 'libelf-dev'
STEPS = 60              # about; each prints a line
STEP = re.compile(r'  [A-Z]+ ')


class PrivateKvm:
    """KVM with private memory, for one series' kernel, below build/bed.

    image:   package of the kernel that it is for, once built
    modules: folder with the .ko of KVM and of tests/module, and nothing else
    """

    def __init__(self, series=None):
        """@series: default bed_series()"""
        self.series = series or bed_series()
        self.folder = paths.BED / f'kvm-{self.series}'
        self.image = None
        self.modules = self.folder / 'made'
        self._tree = self.folder / 'tree'
        self._log = paths.LOGS / f'kvm-{self.series}.log'

    def build(self):
        """Build it, unless it is there.  Fail if something is missing."""
        self.image, *others = self._packages()
        sources = sorted(MODULES.glob('*'))
        key = made.digest([*sources, __file__], [
            compiler(), self.image.name, *(path.name for path in sources)])
        kept = paths.CACHE / f'kvm-{self.series}-{key[:16]}'

        def make():
            shutil.rmtree(self.modules, ignore_errors=True)
            if kept.exists():
                shutil.copytree(kept, self.modules)
                return
            self._build(others, sources)
            keep(self.modules, kept)

        made.ensure(self.modules, key, make)

    def _packages(self):
        """Of one version: the image, what is built against it, KVM's source.

        The archive may have what belongs to a later image than that of the cache only.
        """
        pattern = IMAGE.format(re.escape(self.series))
        image = debs.fetch(pattern, SUITES)
        try:
            return self._of_image(image)
        except Fail:
            try:
                later = debs.fetch(pattern, SUITES, later=True)
            except Fail:
                later = image
            if later.name == image.name:
                raise
            return self._of_image(later)

    def _of_image(self, image):
        name, version = image.name.split('_')[:2]
        release = name.removeprefix('linux-image-').removesuffix(f'-{FLAVOUR}')
        names = (HEADERS.format(release), COMMON.format(release),
                 KBUILD.format(release), SOURCE.format(self.series))
        return [image, *(debs.fetch(re.sub(r'[.+]', r'\\\g<0>', one), SUITES, version)
                         for one in names)]

    def _build(self, packages, sources):
        """Make the folder of modules."""
        check_tools()
        check_disk(self.folder, DISK_NEEDED)
        say.step(f'building KVM of Linux {self.series} with private memory, about a '
                 'minute')
        shutil.rmtree(self._tree, ignore_errors=True)
        for deb in packages:
            debs.unpack(deb, self._tree)
        common = self._only('linux-headers-*-common')
        self._run(['tar', '-x', '-I', 'xz -T0', '-f', self._only('*.tar.xz'),
                   '-C', common, '--strip-components=1', '--wildcards', *WANTED])
        ours = self._tree / 'module'
        ours.mkdir()
        for path in sources:
            shutil.copy(path, ours)
        make = self._make(self._only(f'linux-headers-*-{FLAVOUR}'), common)
        bar = say.Bar(f'KVM {self.series}')
        self._run([*make, f'M={common / KVM}'], bar)
        bar.done()
        self._run([*make, f'M={ours}'])
        self.modules.mkdir()
        for path in *(common / KVM).glob('*.ko'), *ours.glob('*.ko'):
            shutil.copy(path, self.modules)
        shutil.rmtree(self._tree)

    def _only(self, pattern):
        """What the packages have there by this pattern."""
        found = list((self._tree / 'usr/src').glob(pattern))
        if len(found) != 1:
            raise Fail(f"Debian's packages of Linux {self.series} have {len(found)} of "
                       f'usr/src/{pattern}: choose another series with '
                       'PREFAULT_BED_LINUX')
        return found[0]

    def _make(self, headers, common):
        """make for the modules of a folder.  The headers' own Makefile would look where
        they are installed, so it is that of the common ones."""
        return ['make', f'-j{os.cpu_count()}', '-C', headers, '-f', common / 'Makefile',
                'CC=ccache gcc' if shutil.which('ccache') else 'CC=gcc', *SETTINGS,
                'modules']

    def _run(self, command, bar=None):
        """Run a command, its output to the log and its lines to the bar."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        command = [str(word) for word in command]
        steps = 0
        with open(self._log, 'a', 1, encoding='utf-8') as log:
            print('+', *command, file=log, flush=True)
            with subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT, text=True, errors='replace',
                    env=dict(os.environ, LC_ALL='C')) as process:
                for line in process.stdout:
                    log.write(line)
                    steps += bool(STEP.match(line))
                    if bar:
                        bar.at(steps / STEPS)
        if process.returncode:
            raise Fail(f'cannot build KVM of Linux {self.series}: the end of '
                       f'{self._log} says why; then run this again')


def bed_series():
    """The series of L1's kernel: PREFAULT_BED_LINUX, or SERIES."""
    return os.environ.get('PREFAULT_BED_LINUX') or SERIES


def keep(folder, kept):
    """Copy a folder to the cache, whole or not at all; others may do so, too."""
    paths.CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.CACHE) as scratch:
        whole = shutil.copytree(folder, Path(scratch) / 'whole')
        try:
            whole.rename(kept)
        except OSError:
            if not kept.exists():
                raise


def check_tools():
    """Fail naming the packages that the build would miss."""
    missing = [package for name, package in PROGRAMS.items()
               if not shutil.which(name)]
    library, package = LIBRARY
    missing += [] if find_library(library) else [package]
    if missing:
        raise Fail('to build KVM these packages are missing: '
                   f"{' '.join(missing)}: run scripts/setup")


def compiler():
    """What the compiler calls itself."""
    if not shutil.which('gcc'):
        return 'none'
    done = subprocess.run(['gcc', '--version'], capture_output=True,
                          text=True, check=False)
    return done.stdout.split('\n')[0]


if __name__ == '__main__':
    PrivateKvm(*sys.argv[1:]).build()
