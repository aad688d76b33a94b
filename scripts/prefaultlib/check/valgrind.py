# SPDX-License-Identifier: GPL-2.0-or-later
"""Unit tests under valgrind's memcheck, a result for each program.

It sees what ASan does not, memory that is read before it was written, and takes
minutes.  A leak counts if nothing points to the memory any more.
"""
import shutil
import time

from ..err import Fail
from . import programs as programs_of

TIMEOUT = 600
# It reserves 64 TiB of addresses, which valgrind has not, and looks at times
TOO_LARGE = ('tests/unit/test-prefault-scale',)
# Cases that look at times
TIMED = {'tests/unit/test-kvm-retention': ('-s', '/kvm/retention/large')}
COMMAND = ('valgrind', '--quiet', '--error-exitcode=99', '--leak-check=full',
           '--show-leak-kinds=definite', '--errors-for-leak-kinds=definite')


def run(results, folder, programs):
    """Run the programs of a build directory."""
    if not shutil.which(COMMAND[0]):
        raise Fail('no valgrind: install the package valgrind')
    for program in programs:
        since = time.monotonic()
        done = programs_of.bounded([*COMMAND, program, *TIMED.get(program, ())],
                                   TIMEOUT, folder)
        results.add(f'{program.removeprefix("tests/")} (valgrind)',
                    'FAIL' if done.returncode else 'ok', time.monotonic() - since,
                    '', done.stdout.splitlines() if done.returncode else ())
