# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may know whom: the floors of our folders, and the doors between them.

A file knows another if it includes its header, or if it names one of its functions,
which it may have from a header that others share.
"""
import os
import re
import shutil
import tempfile
import unittest
from functools import cached_property
from pathlib import Path

from prefaultlib.assemble import project, tree
from prefaultlib.paths import ROOT

import ours

# To edit: a line is a floor, the highest first; a word is the .c and .h of that name.
# A file knows files of the lines below its own; those of one line do not know each
# other.  A new file gets a word, one that went away loses it.
FLOORS = {
    'hw/core/prefault': '''
        qmp
        hmp setup
        lifecycle managed plug
        behind
        background due early hold report reset
        run
        attempt memory-keep
        memory steps
        room
        pools
        backing engine known nodes pins threads watch
        changes host-limits keep ledger options parts places residency ring work
        cgroup counts errnos gate plan space spans stub tally
    ''',
    'accel/kvm/prefault': '''
        backend
        convert retention
        conversion own-thread
        attributes poison pre-fault
        first-touch flips slot-zap slots stop
    ''',
    'tools/prefault': '''
        qemu-prefault
        connection glance
        exits
    ''',
}

# Doors: headers in include/, and the folders whose files may include each
BACKEND = 'hw/core/prefault-backend.h'
COMPAT = 'hw/core/prefault-compat.h'
DOORS = {
    'hw/core/prefault.h': ('hw/core/prefault',),
    BACKEND: ('hw/core/prefault', 'accel/kvm/prefault'),
    COMPAT: ('hw/core', 'hw/core/prefault', 'accel/kvm/prefault', 'hw/i386',
             'include/system'),
    'system/kvm-prefault.h': ('accel/kvm/prefault', 'hw/i386'),
    'hw/i386/sw-protected-vm.h': ('hw/i386',),
    'system/sw-protected-vm.h': ('hw/core', 'hw/i386', 'include/hw/i386'),
}
# Those of them that QEMU's own files may include
FACES = tuple(door for door in DOORS if door not in (BACKEND, COMPAT))
# Files outside these folders
OUTSIDE = ('sw-protected-vm', 'sw-protected-vm-stub')
EVERYWHERE = ('trace',)     # the folder's trace events
# In docs/design.md: | floor | `folder` | job |, and below | 1 | `plan.c` | ... |
HEADING = re.compile(r'\| floor \| `(.+)` \| job \|')
ROW = re.compile(r'\| (\d+) \| `(.+)\.c` \| .+ \|')


class House:
    """The C of a checkout: its files, what each includes and what it calls."""

    def __init__(self, root=ROOT):
        self.root = root
        self.files = ours.c_files(root)
        self.text = {file: (root / file).read_text(encoding='utf-8')
                     for file in self.files}
        self.hunks = [      # (patch, file of QEMU's, what is added)
            (patch.name, name.removeprefix('b/'),
             '\n'.join(x for x in lines if x.startswith('+')))
            for patch in tree.series(project.QEMU, root)
            for name, lines in ours.hunks(patch.read_text(encoding='utf-8'))]

    def header(self, file, name):
        """Our header that a file gets for a name it includes, or None."""
        beside = Path(os.path.normpath(file.parent / name))
        for path in (beside, Path('include') / name, Path(name)):
            if path in self.text:
                return path
        return None

    @cached_property
    def included(self):
        """{file: [our headers that it includes]}."""
        return {file: [header for name in ours.includes(text)
                       if (header := self.header(file, name))]
                for file, text in self.text.items()}

    @cached_property
    def called(self):
        """{file: {function of another file that it names: that file}}."""
        defined = {file: ours.defined(text) for file, text in self.text.items()}
        owner = {name: file for file, names in defined.items()
                 for name, static in names if not static}
        found = {}
        for file, text in self.text.items():
            own = {name for name, _ in defined[file]}
            words = set(ours.WORD.findall(ours.code(text))) - own
            found[file] = {name: owner[name]
                           for name in sorted(words & owner.keys())}
        return found

    def knows(self):
        """{(file, other file): why} of files that are not each other's header."""
        found = {}
        for file in self.files:
            if file.suffix == '.c':     # its header declares them, no more
                for name, other in self.called[file].items():
                    found[file, other] = f'names {name}()'
            for other in self.included[file]:
                found[file, other] = f'includes {other.name}'
        return {pair: why for pair, why in found.items()
                if pair[0].with_suffix('') != pair[1].with_suffix('')}


def is_door(file):
    return file.parts[0] == 'include'


def floor(file):
    """The floor of a file, 1 the lowest; None if it has none."""
    rows = FLOORS.get(str(file.parent), '').split('\n')[::-1]
    return next((number for number, row in enumerate(rows)
                 if file.stem in row.split()), None)


def documented(text):
    """{folder: {file's name: floor}}, as the tables of a document have it."""
    found, rows = {}, {}
    for line in text.splitlines():
        if heading := HEADING.fullmatch(line):
            rows = found.setdefault(heading[1], {})
        elif row := ROW.fullmatch(line):
            rows[row[2]] = int(row[1])
    return found


def homeless(house):
    """Files that the tables do not have."""
    for file in house.files:
        if is_door(file):
            known = str(file.relative_to('include')) in DOORS
        elif str(file.parent) in FLOORS:
            known = file.stem in EVERYWHERE or floor(file) is not None
        else:
            known = file.stem in OUTSIDE
        if not known:
            yield f'{file} is in no table of test_floors.py'


def vanished(house):
    """Words of the tables that no file has."""
    there = {str(file.with_suffix('')) for file in house.files}
    wanted = [f'{folder}/{word}' for folder, rows in FLOORS.items()
              for word in rows.split()]
    wanted += [f'include/{door.removesuffix(".h")}' for door in DOORS]
    for name in wanted:
        if name not in there:
            yield f'{name} is in a table of test_floors.py, and nowhere else'


def upward(house):
    """Files that know one of their own floor, or above it."""
    for (file, other), why in house.knows().items():
        if file.parent != other.parent or floor(other) is None:
            continue
        if floor(file) is not None and floor(other) >= floor(file):
            yield (f'{file} {why} of {other.stem}, floor {floor(other)} from '
                   f'{floor(file)}')


def through_walls(house):
    """Files that include a door of others', or a header of another folder."""
    for file in house.files:
        for other in house.included[file]:
            if is_door(other):
                may = str(file.parent) in DOORS.get(
                    str(other.relative_to('include')), ())
            else:
                may = file.parent == other.parent
            if not may:
                yield f'{file} includes {other}'


def core_with_kvm(house):
    """Files of hw/core/prefault that include a header of KVM's."""
    for file in house.files:
        for name in ours.includes(house.text[file]):
            if str(file.parent) == 'hw/core/prefault' and 'kvm' in name:
                yield f'{file} includes {name}'


def hooks(house):
    """Hooks that include another header than our faces."""
    for patch, name, text in house.hunks:
        for header in ours.includes(text):
            if header not in FACES:
                yield f'{patch} lets {name} include {header}'


def private(house):
    """Headers in include/ of which only one folder of ours knows."""
    for header in filter(is_door, house.files):
        users = {file.parent for file in house.files
                 if header in house.included[file]}
        hooked = any(str(header.relative_to('include')) in ours.includes(text)
                     for _, _, text in house.hunks)
        if len(users) < 2 and not hooked:
            yield f'{header} is for {" ".join(map(str, users)) or "nobody"} only'


def loops(house):
    """Files, without .c or .h, that know each other, directly or by others."""
    edges = {}
    for file, other in house.knows():
        edges.setdefault(file.with_suffix(''), set()).add(other.with_suffix(''))
    reached = {start: reach(edges, start) for start in edges}
    for loop in {frozenset(other for other in reached[start]
                           if start in reached.get(other, ()))
                 for start in edges if start in reached[start]}:
        yield ', '.join(sorted(map(str, loop))) + ' know each other'


def reach(edges, start):
    """All that edges lead to from start."""
    seen, left = set(), [start]
    while left:
        new = edges.get(left.pop(), set()) - seen
        seen |= new
        left += new
    return seen


RULES = (homeless, vanished, upward, through_walls, core_with_kvm, hooks, private,
         loops)


class TestFloors(unittest.TestCase):
    """The house as it stands."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.house = House()

    def nothing(self, rule):
        if found := list(rule(self.house)):
            self.fail('\n'.join(found))

    def test_each_file_has_a_floor(self):
        self.nothing(homeless)

    def test_each_name_has_a_file(self):
        self.nothing(vanished)

    def test_files_know_those_below_them(self):
        self.nothing(upward)

    def test_folders_meet_at_doors(self):
        self.nothing(through_walls)

    def test_core_does_not_know_kvm(self):
        self.nothing(core_with_kvm)

    def test_upstream_includes_faces(self):
        self.nothing(hooks)

    def test_public_headers_are_for_several(self):
        self.nothing(private)

    def test_the_design_has_the_same_floors(self):
        text = (ROOT / 'docs/design.md').read_text(encoding='utf-8')
        self.assertEqual(documented(text), {
            folder: {word: floor(Path(folder, word)) for word in rows.split()}
            for folder, rows in FLOORS.items()})

    def test_no_loops(self):
        print(f'# note: loops {len(list(loops(self.house)))}')
        self.nothing(loops)


class TestTheRules(unittest.TestCase):
    """What is made up in a copy is found."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        for name in (*ours.PRODUCT, project.QEMU.bases):
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, self.root / name)

    def check(self, rule, file, line, sentence):
        """A line more at a file's end makes a rule say one sentence more."""
        before = set(rule(House(self.root)))
        with open(self.root / file, 'a', encoding='utf-8') as text:
            text.write(f'\n{line}\n')
        self.assertEqual(set(rule(House(self.root))) - before, {sentence})

    def check_upward(self, folder, name, line, why, other):
        """Like check(), of a line in folder/name that makes it know other."""
        low, high = (floor(Path(folder, word)) for word in (name, other))
        self.check(upward, f'{folder}/{name}', line, f'{folder}/{name} {why} of '
                   f'{other}, floor {high} from {low}')

    def test_include_upwards(self):
        self.check_upward('hw/core/prefault', 'plan.c', '#include "run.h"',
                          'includes run.h', 'run')

    def test_include_beside(self):
        self.check_upward('hw/core/prefault', 'places.h',
                          '#include "host-limits.h"', 'includes host-limits.h',
                          'host-limits')

    def test_call_upwards(self):
        """By a prototype of its own, or a header that others share."""
        self.check_upward('accel/kvm/prefault', 'slots.c',
                          'void up(void)\n{\n    kvm_retention_cut(0, 0);\n}',
                          'names kvm_retention_cut()', 'retention')

    def test_new_file(self):
        self.check(homeless, 'accel/kvm/prefault/new.c', '#include "backend.h"',
                   'accel/kvm/prefault/new.c is in no table of test_floors.py')

    def test_new_public_header(self):
        (self.root / 'include/hw/core/prefault-new.h').touch()
        self.check(private, 'hw/core/prefault/plan.c',
                   '#include "hw/core/prefault-new.h"',
                   'include/hw/core/prefault-new.h is for hw/core/prefault only')

    def test_header_of_the_other_folder(self):
        self.check(through_walls, 'accel/kvm/prefault/slots.h',
                   '#include "hw/core/prefault/plan.h"',
                   'accel/kvm/prefault/slots.h includes '
                   'hw/core/prefault/plan.h')

    def test_header_by_a_way_round(self):
        self.check(through_walls, 'accel/kvm/prefault/slots.h',
                   '#include "../../../hw/core/prefault/plan.h"',
                   'accel/kvm/prefault/slots.h includes '
                   'hw/core/prefault/plan.h')

    def test_header_of_kvm(self):
        self.check(core_with_kvm, 'hw/core/prefault/plan.h',
                   '#include <linux/kvm.h>',
                   'hw/core/prefault/plan.h includes linux/kvm.h')

    def test_hook_includes_what_is_private(self):
        self.check(hooks, f'{project.QEMU.patches}/0003-run-state.patch',
                   '+++ b/x.c\n@@ -1 +1,2 @@\n+#include "hw/core/prefault-plan.h"',
                   '0003-run-state.patch lets x.c include '
                   'hw/core/prefault-plan.h')

    def test_loop(self):
        self.check(loops, 'hw/core/prefault/host-limits.h',
                   '#include "backing.h"', 'hw/core/prefault/backing, '
                   'hw/core/prefault/host-limits know each other')


if __name__ == '__main__':
    unittest.main()
