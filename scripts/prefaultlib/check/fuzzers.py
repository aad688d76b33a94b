# SPDX-License-Identifier: GPL-2.0-or-later
"""Run libFuzzer's programs: each replays its corpus first, then makes up input.

A usual run is bounded by a number of inputs and begins with the same seed, so
that it is much the same each time.  A long one is bounded by time, and keeps what
it found below build for the next.
"""
import os
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

from .. import paths
from ..build import qemu
from .programs import bounded

CORPUS = paths.ROOT / 'tests/fuzz/corpus'
FOUND = paths.BUILD / 'fuzz'            # what long runs found; what failed
SEED = 1
# Inputs of a usual run, for some 20 s each: how fast a model is differs
RUNS = {'conversion': 45000, 'host-limits': 80000, 'ledger': 50000,
        'plan': 20000, 'retention': 30000}
LONG_SECONDS = 720                      # of each; five of them take an hour
LENGTH = 512                            # bytes of an input, at most
# A run that is far slower than usual hangs
TIMEOUT = 600

EDGES = re.compile(r'Loaded 1 PC tables \((\d+) PCs\)')
COVERED = re.compile(r'^#\d+\s+(?:DONE|INITED|pulse)\s+cov: (\d+)', re.M)
EXECUTED = re.compile(r'^stat::number_of_executed_units: (\d+)', re.M)
WRITTEN = re.compile(r'Test unit written to (\S+)')
ENVIRONMENT = {**qemu.INSTRUMENTED_ENV,
               'ASAN_OPTIONS': 'detect_leaks=1:abort_on_error=0',
               'UBSAN_OPTIONS': 'print_stacktrace=1:halt_on_error=1'}


def noun(program):
    """'plan' of .../fuzz-plan."""
    return program.rpartition('/fuzz-')[2]


def command(folder, program, found, bound):
    """The command that fuzzes; what is new goes to the folder @found."""
    return [str(folder / program), f'-seed={SEED}', f'-max_len={LENGTH}',
            '-timeout=30', '-print_final_stats=1',
            f'-artifact_prefix={FOUND}/{noun(program)}-', bound, str(found),
            str(CORPUS / noun(program))]


def replay(folder, program):
    """The command that only runs the corpus."""
    corpus = sorted((CORPUS / noun(program)).iterdir())
    return [str(folder / program), *map(str, corpus)]


def run(results, folder, programs, is_long):
    """Run fuzzers in a build directory, side by side."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda program: run_one(results, folder, program, is_long),
                      programs))


def run_one(results, folder, program, is_long):
    """Run one; a line for it, and what it looked at as a note."""
    found = FOUND / noun(program)
    bound, timeout = ((f'-max_total_time={LONG_SECONDS}', LONG_SECONDS + TIMEOUT)
                      if is_long else (f'-runs={RUNS[noun(program)]}', TIMEOUT))
    if not is_long:
        found = found.with_name(found.name + '-usual')
        shutil.rmtree(found, ignore_errors=True)
    found.mkdir(parents=True, exist_ok=True)
    since = time.monotonic()
    done = bounded(command(folder, program, found, bound), timeout,
                   env={**os.environ, **ENVIRONMENT})
    report(results, f'fuzz/fuzz-{noun(program)}', done.stdout, done.returncode,
           time.monotonic() - since)


def report(results, name, said, failed, seconds):
    """One result line."""
    if failed:
        unit = WRITTEN.search(said)
        results.add(name, 'FAIL', seconds,
                    f'the input is {unit[1]}' if unit else 'no input was written',
                    interesting(said))
    else:
        results.add(name, 'ok', seconds)
        results.note(figures(said))


def figures(said):
    """What a run says that it looked at."""
    edges, covered, executed = (
        int(found[-1]) if found else 0 for found in
        (pattern.findall(said) for pattern in (EDGES, COVERED, EXECUTED)))
    return f'{executed} executions, {covered} of {edges} edges covered'


def interesting(said):
    """The lines of what failed, without those of progress."""
    return [line for line in said.splitlines()
            if line and not re.match(r'#\d+\s+(NEW|REDUCE|pulse)|INFO:', line)]
