# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's build directories: a variant is one line of the table below."""
import os
import shlex

from .. import paths
from ..assemble import project
from ..assemble.tree import write
from . import directory

# Where Debian's packages have firmware
FIRMWARE = ('/usr/share/qemu', '/usr/share/seabios', '/usr/lib/ipxe/qemu')
COMMON = ['--enable-fdt=system', '--disable-install-blobs', '--disable-docs',
          '--enable-tcg',
          f"--firmwarepath={':'.join(['share/qemu-firmware', *FIRMWARE])}"]
VERSION = f'--with-pkgversion=prefault {project.version()}'
LITTLE = ['--without-default-features']
# What operators combine with prefault: -sandbox, host-nodes=, pmem=on
USUAL = [*LITTLE, '--enable-kvm', '--enable-seccomp', '--enable-numa',
         '--enable-libpmem']
# scripts/setup --full: every feature whose library is there
FULL = ['--enable-kvm', '--enable-seccomp', '--enable-numa', '--enable-slirp',
        '--enable-vnc', '--enable-linux-io-uring', '--disable-werror']


def programs(pattern):
    """Our C test programs: one for each file of the pattern."""
    return [str(path.relative_to(paths.ROOT).with_suffix(''))
            for path in sorted(paths.ROOT.glob(pattern))]


# Not built before 10.1, see accel/kvm/prefault/meson.build
PRIVATE = ['tests/unit/test-kvm-conversion', 'tests/fuzz/fuzz-conversion']
UNIT_TESTS = [name for name in programs('tests/unit/test-*.c')
              if project.QEMU.base != '10.0' or name not in PRIVATE]
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


def fuzzer(stem):
    """Ninja's name of a fuzzer: the folder is that of the meson.build which names
    it, so that no hook is needed."""
    return f'tests/unit/prefault/{stem}'


FUZZERS = [fuzzer(os.path.basename(name))
           for name in programs('tests/fuzz/fuzz-*.c')
           if project.QEMU.base != '10.0' or name not in PRIVATE]
FOLLOWER = 'tools/prefault/qemu-prefault'
X86 = '--target-list=x86_64-softmmu'
USUAL_TARGETS = ['qemu-system-x86_64', FOLLOWER]
# For the bed, as the usual one.  Without frame pointers the stack of an allocation
# ends too soon; more optimisation takes twice as long to build
INSTRUMENTED = [X86, *USUAL, '-Doptimization=1',
                '--extra-cflags=-fno-omit-frame-pointer']
# Of all programs with a sanitizer: GLib before 2.76 keeps what is freed, and gives it
# to another thread, which no sanitizer sees
INSTRUMENTED_ENV = {'G_SLICE': 'always-malloc'}
VARIANT_TARGETS = ['qemu-system-x86_64', 'qemu-system-aarch64']
# Nobody runs it: without optimisation it takes half the time, and a call that
# only an optimiser would remove is found
ONLY_BUILT = [*LITTLE, '--without-default-devices', '-Doptimization=0', '-Ddebug=false']
# Counts what is run, in our files only; threads count at the same time
COUNTED = ['--extra-cflags=-fprofile-arcs -ftest-coverage -fprofile-update=atomic '
           '-fprofile-filter-files=/prefault/.*\\.c;sw-protected-vm.*\\.c',
           '--extra-ldflags=--coverage', VERSION]

# name: (directory, configure words, default ninja targets)
VARIANTS = {
    'default': ('qemu', USUAL, USUAL_TARGETS),
    'pristine': ('pristine/qemu', USUAL, ['qemu-system-x86_64']),
    # Of arm64's KVM nothing is compiled here, so that both share a directory
    'variants': ('qemu-variants',
                 ['--target-list=x86_64-softmmu,aarch64-softmmu',
                  '--disable-kvm', *ONLY_BUILT], VARIANT_TARGETS),
    'asan': ('qemu-asan', [*INSTRUMENTED, '--enable-asan', '--enable-ubsan'],
             [*USUAL_TARGETS, *UNIT_TESTS]),
    'tsan': ('qemu-tsan', [*INSTRUMENTED, '--enable-tsan'],
             [*USUAL_TARGETS, *THREADED]),
    'coverage': ('qemu-coverage', [X86, *USUAL, '-Doptimization=1', *COUNTED],
                 [*USUAL_TARGETS, *UNIT_TESTS, *QTESTS]),
    # libFuzzer is clang's; of QEMU the fuzzers' library is all that is built
    'fuzz': ('qemu-fuzz', [X86, *LITTLE, '--enable-kvm', '--enable-asan',
                           '--enable-ubsan', '--cc=' + directory.cached('clang')],
             FUZZERS),
}


class Build(directory.Build):
    """One variant's build directory."""

    project = project.QEMU

    def __init__(self, variant, source):
        """@source: the assembled tree"""
        folder, own, self.targets = VARIANTS[variant]
        if own is USUAL:
            own = usual_words(variant == 'default')
        super().__init__(variant, source, folder,
                         ['--python=' + directory.PYTHON, *COMMON, *own])
        self.meson = [str(self.folder / 'pyvenv/bin/meson')]

    def configure_command(self):
        return [os.path.relpath(self.source / 'configure', self.folder),
                *self.words]

    def default_targets(self):
        return self.targets

    def complete_configuration(self):
        """Let `ninja -C build/qemu` find our Meson, and QEMU its firmware."""
        for site in self.folder.glob('pyvenv/lib/python3*/site-packages'):
            write(site / 'prefault.pth', f'{paths.TOOLS_PYTHON}\n')
        # A QEMU in its build directory takes all paths to be below this one
        for folder in FIRMWARE:
            link = self.folder / 'qemu-bundle' / folder[1:]
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.symlink_to(folder)


def usual_words(ours):
    """The configure words that depend on meson.options.

    ours: of the tree that is for use, and not only for comparison
    """
    options = directory.top_options()
    words = [f"--target-list={options['targets']}",
             *shlex.split(options['qemu_configure_args'])]
    if not ours:
        return [*USUAL, *words]
    return [*(FULL if options.get('full') else USUAL), *words,
            f"--prefix={options.get('prefix', '/usr/local')}",
            VERSION]
