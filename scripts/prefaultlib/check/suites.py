# SPDX-License-Identifier: GPL-2.0-or-later
"""The test suites: one small function each, and the table that names them.

A suite builds what it needs, then runs programs that speak TAP.
"""
import contextlib
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from . import libvirttests, linux, paths, qemubuild, qemutests, say
from . import upstream as comparison
from .err import Fail
from .tap import Program
from .variants import assembled, configured, installed

UNIT_TIMEOUT = 300
QTEST_TIMEOUT = 600
ASSEMBLY_TIMEOUT = 300
FUNCTIONAL_TIMEOUT = 1800

# An error has to end the test; a leak check has to happen.
SANITIZER_ENV = {
    'ASAN_OPTIONS': 'detect_leaks=1:halt_on_error=1:abort_on_error=0',
    'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1',
    'TSAN_OPTIONS': 'halt_on_error=1:second_deadlock_stack=1',
}


# Of the functional tests: it looks at times, and so needs the machine alone.
ALONE = ('test_hold',)
# Those that take longest, begun first: what begins last should be short, or one
# CPU waits for the other
LONGEST = ('test_backends', 'test_libvirt_hold', 'test_limits', 'test_private',
           'test_migration', 'test_retention', 'test_ovmf',
           'test_conversion_failures', 'test_libvirt')
# With three beds on two CPUs the emulator was seen to fail an assertion of its
# own (iotlb_to_section), a race between an emulated CPU and a memory map change.
SIDE_BY_SIDE = 2


def configure_side_by_side(names):
    """Configure variants of the patched tree at once: one takes one CPU.

    One that fails is left to build(), which then says so.
    """
    source = assembled().path

    def one(name):
        with contextlib.suppress(Fail):
            qemubuild.Build(name, source).configure()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, names))


def build(variant, targets=()):
    """Assemble, configure and build a variant; its directory."""
    made = configured(variant)
    made.build(targets)
    return made.folder


def python_files(results, folder, timeout, skip_fails, alone=None):
    """Run each test_*.py of a folder below tests/.

    @alone: files whose tests mind a busy machine; the others run side by side.
            None: one after the other
    """
    found = sorted((paths.ROOT / 'tests' / folder).glob('test_*.py'))
    if not found:
        raise Fail(f'tests/{folder} holds no test_*.py: restore them')
    env = dict(os.environ, PYTHONPATH=str(paths.ROOT / 'scripts'),
               PYTHONUNBUFFERED='1')

    def one(path):
        Program(results, f'{folder}/{path.stem}', skip_fails).run(
            [sys.executable, '-m', 'prefaultlib.tapunit', str(path)],
            timeout, env)

    quiet = [path for path in found if alone is None or path.stem in alone]
    long = [path for name in LONGEST for path in found if path.stem == name]
    others = [path for path in found if path not in quiet + long]
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for _ in pool.map(one, long + others):
            pass
    for path in quiet:
        one(path)


def assembly(results, _options):
    """what scripts/setup must refuse and recover from; rules for hooks"""
    python_files(results, 'assembly', ASSEMBLY_TIMEOUT, False)


def unit(results, _options):
    """QEMU's unit tests of plan and engine"""
    folder = build('default', qemubuild.UNIT_TESTS)
    for test in qemubuild.UNIT_TESTS:
        Program(results, test.removeprefix('tests/')).run(
            [str(folder / test), '--tap', '-k'], UNIT_TIMEOUT, cwd=folder)


def sanitizers(results, _options):
    """the unit tests with ASan and UBSan, then with TSan"""
    env = dict(os.environ, **SANITIZER_ENV)
    names = ('asan', 'tsan')
    configure_side_by_side(names)
    for variant in names:
        folder = build(variant)
        for test in qemubuild.UNIT_TESTS:
            name = f"{test.removeprefix('tests/')} ({variant})"
            # TSan cannot map its shadow where addresses are too random.
            Program(results, name).run(
                ['setarch', '-R', str(folder / test), '--tap', '-k'],
                UNIT_TIMEOUT, env, folder)


def qtest(results, _options):
    """QEMU's qtests of options, errors and queries"""
    folder = build('default', ['qemu-system-x86_64', *qemubuild.QTESTS])
    env = dict(os.environ,
               QTEST_QEMU_BINARY=str(folder / 'qemu-system-x86_64'))
    for test in qemubuild.QTESTS:
        Program(results, test.removeprefix('tests/')).run(
            [str(folder / test), '--tap', '-k'], QTEST_TIMEOUT, env, folder)


def variants(results, _options):
    """the tree builds with KVM disabled, and for aarch64"""
    names = ('nokvm', 'aarch64')
    configure_side_by_side(names)
    for variant in names:
        since = time.monotonic()
        try:
            build(variant)
            verdict, reason = 'ok', ''
        except Fail as fail:
            verdict, reason = 'FAIL', str(fail)
        results.add(f'variants/{variant}', verdict,
                    time.monotonic() - since, reason)


def upstream(results, _options):
    """QEMU's own qtests and unit tests, patched against pristine"""
    compare_qemu(results, 'upstream', lambda name: name != qemutests.LONG,
                 qemutests.FLOOR)


def migration(results, _options):
    """QEMU's own migration-test, likewise: long, only if named"""
    compare_qemu(results, 'migration', lambda name: name == qemutests.LONG, 1)


def compare_qemu(results, name, choose, floor):
    """Run a choice of QEMU's own tests on both trees."""
    comparison.run(results, name, qemutests.Suite,
                   {'patched': partial(configured, 'default'),
                    'pristine': partial(configured, 'pristine')},
                   floor, choose)


def libvirt(results, _options):
    """libvirt's own tests and ours in them, patched against pristine"""
    comparison.run(results, 'libvirt', libvirttests.Suite,
                   {'patched': partial(configured, 'libvirt'),
                    'pristine': partial(configured, 'libvirt-pristine')},
                   libvirttests.FLOOR)


def functional(results, options):
    """our QEMU in the test bed"""
    build('default')
    build('pristine')       # compared with, and L0 of the beds
    # Tests that need what cannot be had are skipped, and say so
    for make in (linux.Linux().build, partial(installed, 'libvirt'),
                 partial(installed, 'libvirt-pristine')):
        try:
            make()
        except Fail as fail:
            say.info(f'{fail}')
    python_files(results, 'functional', FUNCTIONAL_TIMEOUT,
                 options.require_bed, ALONE)


SUITES = {suite.__name__: suite for suite in
          (assembly, unit, sanitizers, qtest, variants, functional, upstream,
           libvirt, migration)}

# Named or not run: it takes longer than all others.
DEFAULT = [name for name in SUITES if name != 'migration']


def run(name, results, options):
    """Run a suite; what stops it as a whole is one failure."""
    say.step(f'suite {name}: {SUITES[name].__doc__}')
    try:
        SUITES[name](results, options)
    except Fail as fail:
        results.add(name, 'FAIL', 0, str(fail))
