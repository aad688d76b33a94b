# SPDX-License-Identifier: GPL-2.0-or-later
"""Which lines of our C files the tests run: the table of the suite `coverage`.

gcc counts in our files only (the variant `coverage` of build/qemu.py).  A program
writes its counts when it ends: the unit tests and qtests beside their objects, QEMU in
the bed in L1, from where tests/bed/instrument.py brings archives.  gcov
says what the counts of each object mean; a line counts as run if one of them has it.
"""
import collections
import json
import re
import shutil
import subprocess
import tarfile

from .. import paths
from ..err import Fail

LEAST = 90          # percent of all lines
OURS = re.compile(r'(?:^|/)src/[^/]+/((?:hw/core|accel/kvm|tools)/prefault/[^/]+\.c'
                  r'|hw/\w+/sw-protected-vm[\w-]*\.c)$')


def begin(folder):
    """Forget earlier counts; of programs in the build directory, too."""
    if not shutil.which('gcov'):
        raise Fail('no gcov: install the package gcc')
    shutil.rmtree(paths.COVERAGE, ignore_errors=True)
    paths.COVERAGE.mkdir(parents=True)
    for path in folder.rglob('*.gcda'):
        path.unlink()


def counts(folder):
    """{file: {line: how often it was run}} of all programs.

    folder: the build directory
    """
    lines = collections.defaultdict(collections.Counter)
    for notes in relevant(folder, 'gcno'):      # what nobody ran counts, too
        if not notes.with_suffix('.gcda').exists():
            take(lines, notes, folder)
    add(lines, folder, folder)
    for archive in paths.COVERAGE.glob('*.tar'):
        place = archive.with_suffix('')
        with tarfile.open(archive) as tar:
            tar.extractall(place)
        add(lines, place / str(folder).lstrip('/'), folder)
        shutil.rmtree(place)
    return lines


def add(lines, place, folder):
    """Add the counts below a place to lines; folder has the objects' notes."""
    for data in relevant(place, 'gcda'):
        notes = folder / data.relative_to(place).with_suffix('.gcno')
        here = data.with_suffix('.gcno')
        if here != notes:
            shutil.copy(notes, here)
        take(lines, data, folder)


def relevant(place, suffix):
    """The objects' files of this suffix below a place, those with code of ours."""
    return [path for path in place.rglob(f'*.{suffix}')
            if re.search('prefault|sw-protected|test-', path.name)]


def take(lines, data, folder):
    """Add what gcov says of one object to lines."""
    said = subprocess.run(['gcov', '--json-format', '--stdout', data], cwd=folder,
                          capture_output=True, text=True, check=False).stdout
    for document in filter(None, said.splitlines()):
        take_document(lines, json.loads(document))


def take_document(lines, document):
    """Add the counts of an object's files to lines."""
    for file in document['files']:
        place = OURS.search(file['file'])
        for line in file['lines'] if place else ():
            lines[place[1]][line['line_number']] += line['count']


def table(lines):
    """The table for people: each file, and the lines that were never run."""
    rows, total, ran = [], 0, 0
    for name, of_file in sorted(lines.items()):
        missed = sorted(line for line, count in of_file.items() if not count)
        total, ran = total + len(of_file), ran + len(of_file) - len(missed)
        rows.append(f'{len(of_file):5} {percent(of_file, missed):6.1f}  {name}'
                    + (f'  never: {ranges(missed)}' if missed else ''))
    share = 100 * ran / total if total else 0
    return share, ['lines      %  file', *rows, f'{total:5} {share:6.1f}  all']


def percent(of_file, missed):
    """Of a file's lines."""
    return 100 - 100 * len(missed) / len(of_file)


def ranges(numbers):
    """[1, 2, 3, 7] as 1-3 7."""
    said = []
    for number in numbers:
        if said and said[-1][1] == number - 1:
            said[-1][1] = number
        else:
            said.append([number, number])
    return ' '.join(str(a) if a == b else f'{a}-{b}' for a, b in said)


def report(results, folder, chosen):
    """Print the table; of all tests less than LEAST percent is a failure."""
    share, lines = table(counts(folder))
    for line in lines:
        results.note(line)
    results.add('coverage', 'FAIL' if chosen is None and share < LEAST else 'ok', 0,
                f'{share:.1f} % of the lines of our C files, {LEAST} wanted')
