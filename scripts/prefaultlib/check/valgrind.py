# SPDX-License-Identifier: GPL-2.0-or-later
"""Unit tests under valgrind's memcheck, a result for each program.

It sees what ASan does not, memory that is read before it was written, and takes
minutes.  A leak counts if nothing points to the memory any more.
"""
import shutil
import subprocess
import time

from ..err import Fail

TIMEOUT = 600
COMMAND = ('valgrind', '--quiet', '--error-exitcode=99', '--leak-check=full',
           '--show-leak-kinds=definite', '--errors-for-leak-kinds=definite')


def run(results, folder, programs):
    """Run the programs of a build directory."""
    if not shutil.which(COMMAND[0]):
        raise Fail('no valgrind: install the package valgrind')
    for program in programs:
        since = time.monotonic()
        done = subprocess.run([*COMMAND, program], cwd=folder, text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=TIMEOUT)
        results.add(f'{program.removeprefix("tests/")} (valgrind)',
                    'FAIL' if done.returncode else 'ok', time.monotonic() - since,
                    '', done.stdout.splitlines() if done.returncode else ())
