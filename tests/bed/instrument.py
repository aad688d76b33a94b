# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU in L1 that watches itself: with a sanitizer, or counting lines.

PREFAULT_BED_VARIANT names the variant of QEMU that a bed has (those of
prefaultlib.build.qemu).  Such a QEMU is asked to end before it is killed, for
only then it looks for leaks, and writes what it counted.  What a sanitizer
reported lies in a folder of L1 that no test clears; check() reads and judges it.
"""
import base64
import os
import tempfile
from dataclasses import dataclass, field

from prefaultlib import paths
from prefaultlib.build.qemu import INSTRUMENTED_ENV

from . import artifacts, findings

FOLDER = '/findings'
SECONDS_TO_END = 10             # times patience
# Findings do not change how QEMU ends, and stderr is the tests'
COMMON = f'log_path={FOLDER}/log:symbolize=0:exitcode=0'

COLLECT = 'cd "$0" && tar -c . | gzip | base64 && rm -rf *'


@dataclass(frozen=True)
class Instrument:
    """What a variant takes in L1.

    runtime:  the library that has to come before others of LD_PRELOAD
    with_it:  a program of artifacts that is loaded with it, always
    patience: how much longer all takes
    options:  environment variables of all programs in L1
    """

    runtime: str = ''
    with_it: str = ''
    patience: int = 1
    options: dict = field(default_factory=dict)


INSTRUMENTS = {
    'asan': Instrument('libasan', patience=3, options={
        **INSTRUMENTED_ENV,
        'ASAN_OPTIONS': f'{COMMON}:detect_leaks=1',
        'LSAN_OPTIONS': 'exitcode=0',
        'UBSAN_OPTIONS': f'{COMMON}:print_stacktrace=1'}),
    # A QEMU that forked goes on, until its child is another program.  A worker that
    # does not return is left behind, on purpose: see docs/design.md
    'tsan': Instrument('libtsan', 'kick.so', 3, {
        **INSTRUMENTED_ENV,
        'TSAN_OPTIONS': f'{COMMON}:die_after_fork=0:second_deadlock_stack=1'
                        ':report_thread_leaks=0'}),
    'coverage': Instrument(options={'GCOV_PREFIX': FOLDER}),
}


_watched = []


def chosen():
    """The Instrument of the bed's QEMU, or None."""
    return INSTRUMENTS.get(os.environ.get('PREFAULT_BED_VARIANT'))


def patience():
    """How much longer all takes than with the usual QEMU."""
    return chosen().patience if chosen() else 1


def kernel_arguments():
    """Of L1.  TSan's shadow has its place where addresses are not random; what the
    kernel does not know it gives to its first program, as environment variables."""
    options = chosen().options if chosen() else {}
    return ' '.join(['norandmaps' if options else '',
                     *(f'{name}={value}' for name, value in options.items())])


def prepare(machine):
    """Make L1's folder, for QEMUs of any user."""
    if chosen():
        machine.run('/bin/mkdir', '-m', '1777', FOLDER)


def environment(machine, inject=False):
    """More environment variables of a QEMU.

    inject: with the library of tests/inject
    """
    mine = chosen() or Instrument()
    files = ['inject.so'] * inject + [mine.with_it] * bool(mine.with_it)
    preloaded = [machine.path(name) for name in files]
    if preloaded and mine.runtime:
        preloaded[:0] = [name for name in artifacts.libraries(artifacts.qemu())
                         if mine.runtime in name]
    return {'LD_PRELOAD': ':'.join(preloaded)} if preloaded else {}


def watch(qemu):
    """Note a QEMU: where ASan is there, too, UBSan writes to standard error."""
    if chosen():
        _watched.append(qemu)


def check(machine):
    """AssertionError if a QEMU's sanitizer has found what is not known."""
    said = [qemu.stderr for qemu in _watched]
    _watched.clear()
    if not chosen() or machine.link.closed:
        return
    _, names, _ = machine.run('/bin/find', FOLDER, '-name', 'log.*')
    bad = [one for text in said
           for one in findings.judged(text, artifacts.qemu())[0]]
    for name in names.split():
        bad += findings.judged(machine.read(name), artifacts.qemu())[0]
    if names:
        machine.run('/bin/rm', *names.split())
    if bad:
        raise AssertionError('\n'.join(str(one) for one in bad))


def collect(machine):
    """Bring what QEMUs counted to paths.COVERAGE, as an archive, and begin anew."""
    if (os.environ.get('PREFAULT_BED_VARIANT') != 'coverage'
            or machine.link.closed):
        return
    code, said, errors = machine.run('/bin/sh', '-c', COLLECT, FOLDER)
    if code:
        raise AssertionError(f'no counts: {errors}')
    paths.COVERAGE.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=paths.COVERAGE, suffix='.tar',
                                     delete=False) as archive:
        archive.write(base64.b64decode(said))
