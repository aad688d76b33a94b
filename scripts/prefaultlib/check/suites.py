# SPDX-License-Identifier: GPL-2.0-or-later
"""The suites of scripts/check: a function each, and the table that names them.

A suite's function builds what it needs and nothing else, then runs programs that
speak TAP.
"""
import os
import time
from dataclasses import dataclass
from functools import partial
from typing import Callable

from .. import paths, say
from ..assemble import packages, system
from ..build import directory, linux, qemu
from ..build.variants import assembled, configured, installed
from ..err import Fail
from . import analyse, compare, functional, fuzzers
from . import coverage as coverage_of
from . import libvirt as libvirt_tests
from . import model as models
from . import qemu as qemu_tests
from . import valgrind
from .programs import (build, c_programs, configure_side_by_side, fixed_addresses,
                       programs_of, stems)

UNIT_TIMEOUT = 300
QTEST_TIMEOUT = 600
MIGRATION_TIMEOUT = 3600

# An error has to end the test; a leak check has to happen.
SANITIZER_ENV = {
    **qemu.INSTRUMENTED_ENV,
    'ASAN_OPTIONS': 'detect_leaks=1:halt_on_error=1:abort_on_error=0',
    'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1',
    'TSAN_OPTIONS': 'halt_on_error=1:second_deadlock_stack=1',
}

# Which unit tests the sanitizers watch, by variant of QEMU
WATCHED = {'asan': qemu.UNIT_TESTS, 'tsan': qemu.THREADED}


@dataclass
class Suite:
    """A row of the table.

    doc:      what it is, for people
    run:      function of the results, the options of scripts/check, and what was
              chosen: None for all, or {file: [test]}
    packages: function of what was chosen: what has to be installed, of
              packages.PACKAGES
    cost:     usual time on two CPUs with empty caches (and with warm ones), memory
              and disk, for people
    needs:    what it needs of the machine beside packages
    files:    function that returns the names that may be chosen
    """

    name: str
    doc: str
    run: Callable
    packages: Callable
    cost: str
    needs: str = ''
    files: Callable = tuple


def assembly(results, _options, chosen):
    for variant in 'default', 'libvirt':
        try:
            assembled(variant)
        except Fail as fail:    # the rules for hooks are skipped then
            say.info(str(fail))
    functional.run(results, 'assembly', chosen,
                   side_by_side=functional.SIDE_BY_SIDE)


def unit(results, _options, chosen):
    wanted = programs_of(qemu.UNIT_TESTS, chosen)
    c_programs(results, build('default', wanted), wanted, UNIT_TIMEOUT)


def model(results, _options, chosen):
    models.run(results, chosen)


def analysis(results, _options, chosen):
    analyse.run(results, chosen)


def sanitizers(results, options, chosen):
    """The unit tests and some of the functional ones, or those that are chosen."""
    if options.host:
        raise Fail('sanitizers run in the test bed: without --host')
    if options.long and chosen is None:
        wanted = [name for name in qemu.UNIT_TESTS if name not in valgrind.TOO_LARGE]
        valgrind.run(results, build('default', wanted), wanted)
    configure_side_by_side(WATCHED)
    for variant, programs in WATCHED.items():
        folder = build(variant)
        if chosen is None:
            c_programs(results, folder, programs_of(programs, None), UNIT_TIMEOUT,
                       dict(os.environ, **SANITIZER_ENV), fixed_addresses(),
                       f' ({variant})')
        files = chosen or functional.watched(variant, options.long)
        prepare(functional.needs(files), options)
        functional.run(results, 'functional', files, options.require_bed,
                       functional.SIDE_BY_SIDE, variant,
                       {'PREFAULT_BED_VARIANT': variant})


def coverage(results, options, chosen):
    """Unit tests, qtests and functional tests, or of these some."""
    if options.host:
        raise Fail('coverage is measured in the test bed: without --host')
    folder = build('coverage')
    coverage_of.begin(folder)
    if chosen is None:
        c_programs(results, folder, programs_of(qemu.UNIT_TESTS, None),
                   UNIT_TIMEOUT)
        c_programs(results, folder, programs_of(qemu.QTESTS, None), QTEST_TIMEOUT,
                   dict(os.environ, QTEST_QEMU_BINARY=str(
                       folder / 'qemu-system-x86_64')))
    files = functional.counted(chosen)
    prepare(functional.needs(files), options)
    functional.run(results, 'functional', files, options.require_bed,
                   functional.SIDE_BY_SIDE, 'coverage',
                   {'PREFAULT_BED_VARIANT': 'coverage'})
    coverage_of.report(results, folder, chosen)


def qtest(results, _options, chosen):
    wanted = programs_of(qemu.QTESTS, chosen)
    folder = build('default', ['qemu-system-x86_64', *wanted])
    env = dict(os.environ,
               QTEST_QEMU_BINARY=str(folder / 'qemu-system-x86_64'))
    c_programs(results, folder, wanted, QTEST_TIMEOUT, env)


def variants(results, _options, _chosen):
    for target in qemu.VARIANT_TARGETS:
        since = time.monotonic()
        try:
            build('variants', [target])
            verdict, reason = 'ok', ''
        except Fail as fail:
            verdict, reason = 'FAIL', str(fail)
        results.add(f'variants/{target}', verdict,
                    time.monotonic() - since, reason)


def upstream(results, options, _chosen):
    compare_qemu(results, options, 'upstream',
                 lambda name: name != qemu_tests.LONG, qemu_tests.FLOOR)


def migration(results, options, _chosen):
    compare_qemu(results, options, 'migration',
                 lambda name: name == qemu_tests.LONG, 1, MIGRATION_TIMEOUT)


def compare_qemu(results, options, name, choose, floor,
                 bound=compare.BOUND_SECONDS):
    """Run a choice of QEMU's own tests on both trees."""
    compare.Comparison(
        name, qemu_tests.Suite,
        {'patched': partial(configured, 'default'),
         'pristine': partial(configured, 'pristine')}, choose, bound).run(
             results, floor, options.long, options.record)


def libvirt(results, options, _chosen):
    compare.Comparison(
        'libvirt', libvirt_tests.Suite,
        {'patched': partial(configured, 'libvirt'),
         'pristine': partial(configured, 'libvirt-pristine')}).run(
             results, libvirt_tests.FLOOR, options.long, options.record)


def fuzz(results, options, chosen):
    """Programs of libFuzzer's, and generators of Python."""
    if chosen is None:
        chosen = dict.fromkeys(fuzz_files(), ())
    programs = [program for name, program in stems(qemu.FUZZERS).items()
                if name in chosen]
    tests = {name: words for name, words in chosen.items()
             if name not in stems(qemu.FUZZERS)}
    if programs:
        fuzzers.run(results, build('fuzz', programs), programs, options.long)
    if tests:
        build('default')
    if 'test_libvirt_xml' in tests:
        build('libvirt')
    functional.run(results, 'fuzz', tests, options.require_bed)


def fuzz_files():
    """The fuzzers, and the files of Python beside them."""
    return [*stems(qemu.FUZZERS), *functional.names('fuzz')]


def in_bed(results, options, chosen):
    """The functional suite."""
    build('default')
    if not options.host:
        prepare(functional.needs(chosen), options)
    functional.run(results, 'functional', chosen, options.require_bed,
                   functional.SIDE_BY_SIDE)


def later_linux(results, options, chosen):
    """A choice of the functional suite, in a bed with a later kernel."""
    if options.host:
        raise Fail('later-linux is about the kernel of the test bed: it cannot '
                   'be run with --host')
    build('default')
    prepare((), options)
    functional.run(
        results, 'functional', chosen or dict.fromkeys(functional.LATER, ()),
        True, functional.SIDE_BY_SIDE, 'later-linux',
        {'PREFAULT_BED_LINUX': linux.LATER_SERIES})


def intel(results, options, chosen):
    """Few tests: the bed's one CPU is slow, so that two are emulated at a time."""
    system.need_x86("Intel's test bed needs")
    build('default')
    prepare(functional.needs(chosen, 'intel'), options)
    functional.run(results, 'intel', chosen, options.require_bed,
                   functional.SIDE_BY_SIDE)


def prepare(needs, options):
    """Build what beds are made of.

    Tests that need what cannot be had are skipped, and say so.
    """
    system.need_x86('the test bed needs')
    if not options.quick:
        build('pristine')       # compared with, and L0 of the beds
    for name, make in BED_PARTS.items():
        if name in needs and (options.long or name not in LONG_PARTS):
            try:
                make()
            except Fail as fail:
                say.info(f'{fail}')


QEMU_PACKAGES = (packages.SOURCE, packages.BUILD)
BED_PARTS = {'kvm': lambda: linux.PrivateKvm().build(),
             'libvirt': partial(installed, 'libvirt'),
             'libvirt-pristine': partial(installed, 'libvirt-pristine')}
# Built for --long only: it takes minutes, for one file of tests
LONG_PARTS = ('libvirt-pristine',)


def bed_packages(chosen):
    """What the chosen functional tests need."""
    needs = functional.needs(chosen)
    return (*QEMU_PACKAGES, packages.BED,
            *([packages.KVM] if 'kvm' in needs else []),
            *([packages.LIBVIRT] if needs & {'libvirt', 'libvirt-pristine'}
              else []))


def assembly_packages(_chosen):
    """Elsewhere than on Debian the HTML of the documents is not made."""
    return (packages.SOURCE, *([packages.DOCS] if system.is_debian() else []))


def qemu_packages(_chosen):
    """What a build of QEMU needs."""
    return QEMU_PACKAGES


ROWS = (
    Suite('assembly', 'how the trees are put together; rules for hooks, files and '
          'style', assembly, assembly_packages,
          '1 min, 100 MiB, 2 GiB of disk',
          files=partial(functional.names, 'assembly')),
    Suite('unit', 'the C code by itself, with fake operations and made-up hosts',
          unit, qemu_packages, '2 min (warm 1), 1 GiB, 2 GiB of disk',
          files=lambda: stems(qemu.UNIT_TESTS)),
    Suite('model', 'races that the design excludes: models that spin searches, also '
          'broken on purpose', model, lambda _: (packages.MODEL,),
          '1 min, 1 GiB', files=models.names),
    Suite('analyse', 'clang-tidy on our C files', analysis,
          lambda _: (*QEMU_PACKAGES, packages.ANALYSE),
          '5 min (warm 1), 1 GiB, 1 GiB of disk', files=analyse.files),
    Suite('sanitizers', 'unit tests, and our QEMU in the test bed, with ASan and '
          'UBSan, and with TSan', sanitizers,
          lambda chosen: (*bed_packages(chosen), packages.WATCH),
          '16 min (warm 6), 10 GiB, 5 GiB of disk', needs='the test bed',
          files=partial(functional.names, 'functional')),
    Suite('qtest', 'options, errors, the query on each accelerator', qtest,
          qemu_packages, '2 min (warm 1), 1 GiB, 2 GiB of disk',
          needs='/dev/kvm for some', files=lambda: stems(qemu.QTESTS)),
    Suite('variants', 'QEMU without KVM, and for aarch64', variants,
          qemu_packages, '2 min (warm 1), 1 GiB, 1 GiB of disk'),
    Suite('functional', 'our QEMU in the test bed', in_bed, bed_packages,
          '26 min (warm 20), 10 GiB, 4 GiB of disk',
          needs='the test bed, or with --host a KVM that can prefault',
          files=partial(functional.names, 'functional')),
    Suite('intel', "our QEMU on Intel's nested paging, emulated", intel,
          lambda _: (*QEMU_PACKAGES, packages.BED, packages.KVM, packages.INTEL),
          '2 min, 2 GiB, 2 GiB of disk', needs="Intel's test bed",
          files=partial(functional.names, 'intel')),
    Suite('later-linux', 'some of them on Linux 6.18; only if named',
          later_linux, lambda _: (*QEMU_PACKAGES, packages.BED), '6 min, 10 GiB, 1 GiB of disk',
          needs='the test bed', files=lambda: functional.LATER),
    Suite('coverage', 'which lines of our C files the tests run; only if named',
          coverage, lambda chosen: bed_packages(functional.counted(chosen)),
          '25 min, 10 GiB, 4 GiB of disk',
          needs='the test bed', files=partial(functional.names, 'functional')),
    Suite('upstream', "QEMU's own qtests and unit tests, patched against "
          'pristine', upstream,
          lambda _: (*QEMU_PACKAGES, packages.UPSTREAM),
          '4 min (warm 3), 2 GiB, 2 GiB of disk'),
    Suite('libvirt', "libvirt's own tests and ours in them, patched against "
          'pristine', libvirt, lambda _: (*QEMU_PACKAGES, packages.LIBVIRT),
          '2 min, 1 GiB, 1 GiB of disk'),
    Suite('fuzz', 'made-up input against models: libFuzzer for the C code, generators '
          'for QMP and libvirt', fuzz,
          lambda _: (*QEMU_PACKAGES, packages.LIBVIRT, packages.FUZZ),
          '3 min (warm 2), 1 GiB, 1 GiB of disk',
          files=fuzz_files),
    Suite('migration', "QEMU's own migration-test, likewise; only if named",
          migration, lambda _: (*QEMU_PACKAGES, packages.UPSTREAM),
          '20 min, 2 GiB, 2 GiB of disk'),
)
SUITES = {row.name: row for row in ROWS}

# Named or not run: CI's time is limited
NAMED = ('migration', 'later-linux', 'coverage')
DEFAULT = [name for name in SUITES if name not in NAMED]


def run(wanted, results, options):
    """Run suites; what stops one as a whole is one failure.

    @wanted: {suite: what was chosen}, see choice.parse()
    """
    for name, chosen in wanted.items():
        suite = SUITES[name]
        say.step(f'suite {name}: {suite.doc}')
        with results.suite(name):
            try:
                suite.run(results, options, chosen)
            except Fail as fail:
                results.add(name, 'FAIL', 0, str(fail))


def set_up(wanted, given=None, no_install=False):
    """Install what the chosen suites need, and make build/.

    @given: QEMU's source archive, if the user has one
    """
    needed = {purpose for name, chosen in wanted.items()
              for purpose in SUITES[name].packages(chosen)}
    if packages.BUILD in needed:
        system.need_plain_path(paths.ROOT)
    if not no_install:
        packages.install(needed)
    if packages.BUILD in needed:
        directory.setup_top()
    if given:
        assembled('default', given)
