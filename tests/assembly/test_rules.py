# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules for hooks and files that nobody should have to remember.

Checked on the real patches and overlays.  What needs upstream's source uses the
pristine files that assembling kept aside.
"""
import re
import shutil
import tempfile
import unittest
from pathlib import Path

from prefaultlib.assemble import project, tree
from prefaultlib.paths import ROOT

from ours import functions, hunks, sources

FILE_LINES = 450
FUNCTION_LINES = 60
OURS = ('accel', 'hw', 'include', 'libvirt', 'qapi', 'tests', 'scripts',
        'patches')
# Folders of JSON files below tests/
DATA = [('mutations',), ('verdicts',)]


class TestHooks(unittest.TestCase):
    """Patches are hooks: short insertions that name prefault."""

    project = project.QEMU
    # What a hook of ours is known by
    names = ('(?i)prefault|sw[-_]protected|'
             'kvm_(attributes|convert|poison|retention)_')

    def setUp(self):
        self.tree = tree.Tree(self.project)
        self.series = tree.series(self.project)

    def need_assembled(self):
        if not self.tree.unpacked.exists():
            self.skipTest(f'no assembled tree of {self.project.title}: run '
                          f'{self.project.give.split(" --source")[0]}')

    def test_patches_only_insert(self):
        for patch in self.series:
            for name, lines in hunks(patch.read_text()):
                removed = [x for x in lines if x.startswith('-')]
                self.assertEqual(removed, [], f'{patch.name}, {name}')

    def test_each_hunk_names_prefault(self):
        count, files = 0, set()
        for patch in self.series:
            for name, lines in hunks(patch.read_text()):
                added = [x for x in lines if x.startswith('+')]
                self.assertRegex('\n'.join(added), self.names,
                                 f'{patch.name}, {name}')
                count += len(added)
                files.add(name)
        print(f'# note: {count} hook lines in {len(files)} files of '
              f'{self.project.title}, {len(self.series)} patches')

    def test_patches_add_no_files(self):
        for patch in self.series:
            self.assertNotIn('/dev/null', patch.read_text(),
                             f'{patch.name}: new files go to the overlay')

    def test_patches_fit_each_alone_without_fuzz(self):
        self.need_assembled()
        with tempfile.TemporaryDirectory() as folder:
            if self.tree.originals.is_dir():
                shutil.copytree(self.tree.originals, folder,
                                dirs_exist_ok=True)
            for patch in self.series:
                tree.apply(patch, Path(folder))

    def test_base_is_the_pinned_one(self):
        self.need_assembled()
        self.assertTrue(self.tree.upstream.accepts(
            self.tree.unpacked.read_text().strip()))

    def test_overlay_shadows_nothing(self):
        self.need_assembled()
        theirs = set(tree.read_lines(self.tree.upstream_list))
        self.assertEqual(theirs & set(tree.overlay_files(self.project)),
                         set())


class TestLibvirtHooks(TestHooks):
    """The same of libvirt."""

    project = project.LIBVIRT
    names = '(?i)prefault|sw[-_]?protected'


class TestBedPatches(unittest.TestCase):
    """Patches of the QEMU that emulates the test bed."""

    def test_patches_for_the_bed_are_apart(self):
        """They fit QEMU as it is, in files that the product leaves alone."""
        made = tree.Tree(project.QEMU)
        if not made.path.is_dir():
            self.skipTest('no assembled tree: run scripts/setup')
        ours = {x for patch in tree.series(project.QEMU)
                for x in tree.patched_files(patch)}
        with tempfile.TemporaryDirectory() as folder:
            for patch in sorted(ROOT.glob('patches/bed/*/*.patch')):
                for name in tree.patched_files(patch):
                    self.assertNotIn(name, ours)
                    tree.copy(made.path / name, Path(folder) / name,
                              Path(folder) / 'incoming')
                tree.apply(patch, Path(folder))


class TestFiles(unittest.TestCase):
    """House rules for every file of ours."""

    def test_files_are_short(self):
        sizes = [(len(p.read_text().splitlines()), str(p.relative_to(ROOT)))
                 for p in sources('accel', 'hw', 'include', 'libvirt/src',
                                  'libvirt/include', 'scripts')]
        print('# note: longest file {1}, {0} lines'.format(*max(sizes)))
        self.assertEqual([s for s in sizes if s[0] > FILE_LINES], [])

    def test_functions_are_short(self):
        sizes = [(*function, str(p.relative_to(ROOT)))
                 for p in sources('accel', 'hw', 'libvirt/src', 'scripts')
                 for function in functions(p)]
        print('# note: longest function {1}() in {2}, {0} lines'
              .format(*max(sizes)))
        self.assertEqual([s for s in sizes if s[0] > FUNCTION_LINES], [])

    def test_python_looks_for_modules_in_one_place(self):
        bent = [str(p.relative_to(ROOT)) for p in sources('scripts', 'tests')
                if re.search(r'^ *sys\.path[.[]', p.read_text(), re.M)]
        self.assertEqual(bent, ['scripts/prefaultlib/__init__.py'])

    def test_each_file_names_its_licence(self):
        for path in sources(*OURS):
            name = path.relative_to(ROOT)
            if path.suffix == '.json' and (name.parts[0] == 'libvirt' or
                                           name.parts[1:2] in DATA):
                continue            # JSON has no comments
            # libvirt's library is under the LGPL, and so is what joins it
            licence = ('LGPL-2.1-or-later' if name.parts[0] == 'libvirt' else
                       'GPL-2.0-or-later')
            self.assertIn(f'SPDX-License-Identifier: {licence}',
                          path.read_text()[:2000], name)


if __name__ == '__main__':
    unittest.main()
