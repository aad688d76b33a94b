# SPDX-License-Identifier: GPL-2.0-or-later
"""Our C test programs in a build directory of QEMU: built, and run."""
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from ..build import directory, qemu
from ..build.variants import assembled, configured
from ..err import Fail
from .tap import Program


def build(variant, targets=()):
    """Assemble, configure and build a variant; its directory."""
    made = configured(variant)
    made.build(targets)
    return made.folder


def configure_side_by_side(names):
    """Configure variants of the patched tree at once: one takes one CPU.

    One that fails is left to build(), which then says so.
    """
    source = assembled().path

    def one(name):
        with suppress(Fail):
            qemu.Build(name, source).configure()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, names))


def stems(programs):
    """{name of a program without its folder: program}."""
    return {program.rpartition('/')[2]: program for program in programs}


def c_programs(results, folder, chosen, timeout, env=None, prefix=(), note=''):
    """Run our C test programs in a build directory.

    chosen: {program: [beginning of a test's path]}
    prefix: a command that runs them
    """
    for program, tests in chosen.items():
        words = [word for test in tests for word in ('-p', test)]
        Program(results, program.removeprefix('tests/') + note).run(
            [*prefix, str(folder / program), '--tap', '-k', *words], timeout,
            env, folder)


def programs_of(known, chosen):
    """{program: [test]} of what was chosen by the programs' stems."""
    if chosen is None:
        return {program: () for program in known}
    return {stems(known)[name]: tests for name, tests in chosen.items()}


def fixed_addresses():
    """The command that runs another without random addresses.

    TSan cannot map its shadow where they are too random.  Docker's default seccomp
    profile forbids this: then without, and TSan says what it thinks of that.
    """
    command = ['setarch', '-R']
    return command if directory.succeeds([*command, 'true']) else []


def bounded(command, seconds, folder=None, env=None):
    """Run a command; the CompletedProcess, with all that it said.

    One that takes longer is killed, and has failed.
    """
    try:
        return subprocess.run(command, cwd=folder, env=env, text=True,
                              errors='replace', check=False, timeout=seconds,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1,
                                           f'killed after {seconds} s')
