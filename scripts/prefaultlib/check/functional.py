# SPDX-License-Identifier: GPL-2.0-or-later
"""The suites of Python files: what each file needs, and running them.

A file that runs in a bed of another kind than the usual one says so with
BED = {...}, the options of bed.shared().  Files of one kind go to one process, which
keeps its bed from one to the next.  What else has to be built stands in
NEEDS = (...), names of suites.BED_PARTS.
"""
import ast
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from .. import paths
from .tap import Program, Session

# Of those in beds of one kind, begun first: what begins last should be short,
# or one CPU waits for the other
LONGEST = ('test_libvirt_matrix', 'test_libvirt_hold', 'test_keep', 'test_room',
           'test_migration', 'test_restore', 'test_limits', 'test_retention',
           'test_lock', 'test_moments', 'test_backends', 'test_reset', 'test_behind',
           'test_private', 'test_conversion_failures', 'test_export', 'test_package')
# It takes as long as the rest of its suite, if in the usual bed
FIRST = ('test_ept',)
# They look at times, and so need the machine alone
ALONE = ('test_hold',)
# With three beds on two CPUs the emulator was seen to fail an assertion of its
# own (iotlb_to_section), a race between an emulated CPU and a memory map change.
SIDE_BY_SIDE = 2
TIMEOUT = 1800

# What KVM does otherwise since Linux 6.18: memslots that change under a run
LATER = ('test_bounded', 'test_first_writes', 'test_hold', 'test_lost',
         'test_memory_map', 'test_moments', 'test_plugged', 'test_reset',
         'test_retention')

# What the sanitizers watch in every run: threads, and each kind of life
WATCHED = {
    'asan': ('test_life_cycle', 'test_plugged', 'test_request'),
    'tsan': ('test_background', 'test_plugged', 'test_request'),
}
# By the beginning of their names.  QEMUs that are not ours, are compared with such a
# one, or cannot be told where to write (in a profile, of libvirt)
ELSEWHERE = ('aarch64', 'apparmor', 'bare', 'bed', 'installed', 'libvirt', 'packaged',
             'unpatched')
# They look at time or memory, of which a sanitizer takes some
MEASURED = ('follow_talk', 'hold', 'linux_plugged')
# With TSan a QEMU does not start programs: its child never gets that far
STARTS_PROGRAMS = ('edges', 'injected_running', 'life_cycle', 'memory_map',
                   'private_refused', 'restore', 'vcpu_states')

# What has to be built for an option of a bed, of suites.BED_PARTS
BED_NEEDS = {('private', True): 'kvm', ('libvirt', True): 'libvirt',
             ('libvirt', 'pristine'): 'libvirt-pristine'}


class File:
    """One test_*.py of a folder below tests/, and the tests wanted of it."""

    def __init__(self, folder, name, tests=(), label=None):
        """@label: what results are named by, if not the folder"""
        self.name = f'{label or folder}/{name}'
        self.path = paths.ROOT / 'tests' / folder / f'{name}.py'
        self.tests = list(tests)
        self.bed = constant(self.path, 'BED') or {}
        self.needs = {*(constant(self.path, 'NEEDS') or ()),
                      *(BED_NEEDS[option] for option in self.bed.items()
                        if option in BED_NEEDS)}
        self.alone = name in ALONE
        # The usual bed has the most and the shortest files: they come last, and
        # even out what the others leave
        self.order = (name not in FIRST, not self.bed, repr(sorted(self.bed.items())),
                      LONGEST.index(name) if name in LONGEST else len(LONGEST))

    def run(self, session, results, skip_fails):
        """Run its tests in the session's process."""
        program = Program(results, self.name, skip_fails)
        session.run(program, [self.path.stem, *self.tests], TIMEOUT)


def names(folder):
    """The files of a folder below tests/."""
    return [path.stem for path in
            sorted((paths.ROOT / 'tests' / folder).glob('test_*.py'))]


def files(folder, chosen=None, label=None):
    """The File of each; of all, or of {name: [test]}."""
    if chosen is None:
        chosen = {name: () for name in names(folder)}
    return [File(folder, name, tests, label) for name, tests in chosen.items()]


def watched(variant, everything):
    """{name: ()} of what runs with a sanitizer: some files, or all that can."""
    if not everything:
        return dict.fromkeys(WATCHED[variant], ())
    return all_but(ELSEWHERE + MEASURED + (STARTS_PROGRAMS if variant == 'tsan' else ()))


def counted(chosen):
    """What runs with a QEMU that counts lines: what is chosen, or all that can."""
    return chosen or all_but(ELSEWHERE)


def all_but(beginnings):
    """{name: ()} of all files but those whose names begin so."""
    return {name: () for name in names('functional')
            if not name.removeprefix('test_').startswith(beginnings)}


def needs(chosen=None, folder='functional'):
    """What has to be built for files()."""
    return {need for file in files(folder, chosen) for need in file.needs}


def constant(path, name):
    """The literal that a Python file gives the name at its top, or None."""
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if (isinstance(node, ast.Assign)
                and getattr(node.targets[0], 'id', '') == name):
            return ast.literal_eval(node.value)
    return None


def environment(folder):
    """What Python needs to find the modules of a folder below tests/, and ours.

    What all tests in beds share lies with the functional ones; what benchmarks are
    made of has a test as well.
    """
    return dict(os.environ, PYTHONUNBUFFERED='1', PYTHONPATH=os.pathsep.join(
        str(paths.ROOT / name) for name in
        ('scripts', f'tests/{folder}', 'tests/functional', 'tests/bench')))


def session(folder, env=None):
    """A process that runs files, one after the other.

    env: more environment variables
    """
    return Session([sys.executable, '-m', 'prefaultlib.check.tapunit'],
                   environment(folder) | (env or {}))


def take(left, last, others=()):
    """Remove a File from those that are left and return it: the first of the last
    one's kind, or of a kind that others have no bed of, or the first, or None.

    others: the Files that other processes run
    """
    same = [file for file in left if last and file.bed == last.bed]
    theirs = [file.bed for file in others if file]
    free = [file for file in left if file.bed not in theirs]
    file = (same or free or left or [None])[0]
    if file:
        left.remove(file)
    return file


def run(results, folder, chosen=None, skip_fails=False, side_by_side=1,
        label=None, env=None):
    """Run files(); those that need the machine alone at the end.

    label: of files()
    env:   more environment variables of the tests
    """
    wanted = files(folder, chosen, label)
    left, lock = sorted((file for file in wanted if not file.alone),
                        key=lambda file: file.order), Lock()
    taken = {}                  # what each process runs

    def work(number):
        with session(folder, env) as mine:
            while True:
                with lock:
                    file = take(left, taken.pop(number, None), taken.values())
                    taken[number] = file
                if not file:
                    return
                file.run(mine, results, skip_fails)

    with ThreadPoolExecutor(side_by_side) as pool:
        for _ in pool.map(work, range(side_by_side)):
            pass
    with session(folder, env) as mine:
        for file in wanted:
            if file.alone:
                file.run(mine, results, skip_fails)
