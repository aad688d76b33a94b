# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's build directories: a variant is one line of the table below."""
import json
import os
import shlex

from . import builds, paths, project
from .err import Fail
from .tree import write

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


class Build(builds.Build):
    """One variant's build directory."""

    project = project.QEMU

    def __init__(self, variant, source):
        """@source: the assembled tree"""
        folder, own, self.targets = VARIANTS[variant]
        super().__init__(variant, source, folder,
                         ['--python=' + builds.PYTHON, *COMMON, *own,
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
    try:
        options = json.loads((paths.BUILD / 'options.json').read_text())
    except OSError:
        raise Fail(f'{paths.BUILD} is not set up: run scripts/setup') from None
    return [f"--target-list={options['targets']}",
            *shlex.split(options['qemu_configure_args'])]
