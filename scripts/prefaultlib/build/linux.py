# SPDX-License-Identifier: GPL-2.0-or-later
"""The Linux of the beds: Debian's kernel, for private memory with a KVM of our own build.

The only guests with guest_memfd that need no hardware are KVM_X86_SW_PROTECTED_VM,
which Debian leaves out.  So KVM's modules, and those of tests/module, are built with
it, from Debian's linux-source and against the headers of the kernel that beds boot.

Guarantees: built once for each kernel, compiler and change of tests/module; what was
interrupted starts afresh.  The results are in the download cache, too, for other
checkouts.
"""
import os
import re
import shutil
import subprocess
import sys
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

# What the build runs or includes, and the package that has it
PROGRAMS = {'make': 'make', 'gcc': 'gcc', 'xz': 'xz-utils'}
LIBRARY = 'gelf.h', 'libelf-dev'        # for objtool, which is Debian's
STEPS = 66              # about; each prints a line
STEP = re.compile(r'  [A-Z]+ ')


class PrivateKvm:
    """KVM with private memory, for one series' kernel, below build/bed.

    modules: folder with the .ko of KVM and of tests/module, and nothing else
    """

    def __init__(self, series=None):
        """@series: default bed_series()"""
        self.series = series or bed_series()
        self.folder = paths.BED / f'kvm-{self.series}'
        self.modules = self.folder / 'made'
        self._tree = self.folder / 'tree'
        self._log = paths.LOGS / f'kvm-{self.series}.log'

    def build(self):
        """Build it, unless it is there.  Fail if something is missing."""
        packages = self._packages()
        sources = sorted(MODULES.glob('*'))
        key = made.digest(sources, [*SETTINGS, compiler(), packages[0].name,
                                    *(path.name for path in sources)])
        kept = paths.CACHE / f'kvm-{self.series}-{key[:16]}'

        def make():
            shutil.rmtree(self.modules, ignore_errors=True)
            if not kept.exists():
                whole = kept.with_name(f'{kept.name}.partial')
                shutil.rmtree(whole, ignore_errors=True)
                whole.mkdir()
                self._build(packages, sources, whole)
                whole.replace(kept)
            shutil.copytree(kept, self.modules)

        made.ensure(self.modules, key, make)

    def _packages(self):
        """Of one version: the image, what is built against it, KVM's source.

        Beside what is in the cache the archive may have something later only.
        """
        try:
            return self._one_version()
        except Fail:
            return self._one_version(again=True)

    def _one_version(self, again=False):
        image = debs.fetch(IMAGE.format(re.escape(self.series)), SUITES, again)
        name, version = image.name.split('_')[:2]
        release = name.removeprefix('linux-image-').removesuffix(f'-{FLAVOUR}')
        found = [image]
        for pattern, which in ((HEADERS, release), (COMMON, release),
                               (KBUILD, release), (SOURCE, self.series)):
            found.append(debs.fetch(pattern.format(re.escape(which)), SUITES, again))
            if found[-1].name.split('_')[1] != version:
                raise Fail(f'{found[-1].name} is not of the version of {image.name}: '
                           f'remove both from {image.parent}, then run this again')
        return found

    def _build(self, packages, sources, target):
        """Put modules in the folder @target."""
        check_tools()
        check_disk(self.folder, DISK_NEEDED)
        say.step(f'building KVM of Linux {self.series} with private memory, about a '
                 'minute')
        shutil.rmtree(self._tree, ignore_errors=True)
        for deb in packages[1:]:
            debs.unpack(deb, self._tree)
        folder = self._tree / 'usr/src'
        common = next(folder.glob('linux-headers-*-common'))
        self._run(['tar', '-x', '-I', 'xz -T0', '-f', next(folder.glob('*.tar.xz')),
                   '-C', common, '--strip-components=1', '--wildcards', *WANTED])
        ours = self._tree / 'module'
        ours.mkdir()
        for path in sources:
            shutil.copy(path, ours)
        make = self._make(next(folder.glob(f'linux-headers-*-{FLAVOUR}')), common)
        bar = say.Bar(f'KVM {self.series}')
        self._run([*make, f'M={common / KVM}'], bar)
        bar.done()
        self._run([*make, f'M={ours}'])
        for path in *(common / KVM).glob('*.ko'), *ours.glob('*.ko'):
            shutil.copy(path, target)
        shutil.rmtree(self._tree)

    def _make(self, headers, common):
        """make for the modules of a folder.  Debian's Makefile of the headers names the
        place where they are installed."""
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


def check_tools():
    """Fail naming the packages that the build would miss."""
    missing = [package for name, package in PROGRAMS.items()
               if not shutil.which(name)]
    header, package = LIBRARY
    if not any((Path(folder) / header).exists()
               for folder in ('/usr/include', '/usr/local/include')):
        missing.append(package)
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
