# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's build directories: a variant is one line of the table below."""
import os
import shlex

from .. import paths
from ..assemble import project
from ..assemble.tree import write
from . import directory

COMMON = ['--without-default-features', '--enable-fdt=system',
          '--disable-install-blobs', '--disable-docs', '--enable-tcg']
# What operators combine with prefault: -sandbox, host-nodes=, pmem=on
USUAL = ['--enable-kvm', '--enable-seccomp', '--enable-numa',
         '--enable-libpmem']


def programs(pattern):
    """Our C test programs: one for each file of the pattern."""
    return [str(path.relative_to(paths.ROOT).with_suffix(''))
            for path in sorted(paths.ROOT.glob(pattern))]


UNIT_TESTS = programs('tests/unit/test-*.c')
# Those with threads: what TSan looks at
THREADED = ['tests/unit/test-prefault-engine',
            'tests/unit/test-prefault-engine-places',
            'tests/unit/test-prefault-gate',
            'tests/unit/test-prefault-ledger',
            'tests/unit/test-prefault-room-workers',
            'tests/unit/test-prefault-work',
            'tests/unit/test-prefault-work-kinds',
            'tests/unit/test-prefault-work-tolerant']
QTESTS = programs('tests/qtest/*-test.c')
X86 = '--target-list=x86_64-softmmu'
VARIANT_TARGETS = ['qemu-system-x86_64', 'qemu-system-aarch64']
# Nobody runs it: without optimisation it takes half the time, and a call that
# only an optimiser would remove is found
ONLY_BUILT = ['--without-default-devices', '-Doptimization=0', '-Ddebug=false']

# name: (directory, configure words, default ninja targets)
VARIANTS = {
    'default': ('qemu', USUAL, ['qemu-system-x86_64']),
    'pristine': ('pristine/qemu', USUAL, ['qemu-system-x86_64']),
    # Of arm64's KVM nothing is compiled here, so that both share a directory
    'variants': ('qemu-variants',
                 ['--target-list=x86_64-softmmu,aarch64-softmmu',
                  '--disable-kvm', *ONLY_BUILT], VARIANT_TARGETS),
    'asan': ('qemu-asan', [X86, '--enable-kvm', '--enable-asan',
                           '--enable-ubsan'], UNIT_TESTS),
    'tsan': ('qemu-tsan', [X86, '--enable-kvm', '--enable-tsan'], THREADED),
}


class Build(directory.Build):
    """One variant's build directory."""

    project = project.QEMU

    def __init__(self, variant, source):
        """@source: the assembled tree"""
        folder, own, self.targets = VARIANTS[variant]
        super().__init__(variant, source, folder,
                         ['--python=' + directory.PYTHON, *COMMON, *own,
                          *(option_words() if own is USUAL else [])])
        self.meson = [str(self.folder / 'pyvenv/bin/meson')]

    def configure_command(self):
        return [os.path.relpath(self.source / 'configure', self.folder),
                *self.words]

    def default_targets(self):
        return self.targets

    def complete_configuration(self):
        """Let `ninja -C build/qemu` find our Meson without PYTHONPATH."""
        for site in self.folder.glob('pyvenv/lib/python3*/site-packages'):
            write(site / 'prefault.pth', f'{paths.TOOLS_PYTHON}\n')


def option_words():
    """What meson.options adds to the default variant's configure words."""
    options = directory.top_options()
    return [f"--target-list={options['targets']}",
            *shlex.split(options['qemu_configure_args'])]
