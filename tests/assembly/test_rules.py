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

from ours import c_files, code, defined, functions, hunks, sources, variables

FILE_LINES = 400
FUNCTION_LINES = 50
PREFIXED = 95       # of a hundred static functions and variables of files
OURS = ('accel', 'hw', 'include', 'libvirt', 'qapi', 'tests', 'tools', 'scripts',
        'patches')
PATHS = re.compile(r'(?<![\w/.-])(?:accel|backends|docs|hw|include|libvirt|patches'
                   r'|qapi|scripts|tests|tools)/[\w./*-]*[\w/*]')
TESTS = re.compile(r'`(test_\w+)`')
THEIRS = ('docs/devel/style.rst',)      # in QEMU's tree
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
        patches = sorted(ROOT.glob('patches/bed/*.patch'))
        self.assertTrue(patches)
        with tempfile.TemporaryDirectory() as folder:
            for patch in patches:
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
                                  'libvirt/include', 'tools', 'scripts')]
        print('# note: longest file {1}, {0} lines'.format(*max(sizes)))
        self.assertEqual([s for s in sizes if s[0] > FILE_LINES], [])

    def test_functions_are_short(self):
        sizes = [(*function, str(p.relative_to(ROOT)))
                 for p in sources('accel', 'hw', 'libvirt/src', 'scripts', 'tests',
                                  'tools')
                 for function in functions(p)]
        print('# note: longest function {1}() in {2}, {0} lines'
              .format(*max(sizes)))
        self.assertEqual([s for s in sizes if s[0] > FUNCTION_LINES], [])

    def test_python_looks_for_modules_in_one_place(self):
        bent = [str(p.relative_to(ROOT)) for p in sources('scripts', 'tests')
                if re.search(r'^ *sys\.path[.[]', p.read_text(), re.M)]
        self.assertEqual(bent, ['scripts/prefaultlib/__init__.py'])

    def test_documents_name_files_that_exist(self):
        """Paths from the top."""
        missing = [
            f'{path.relative_to(ROOT)} names {name}'
            for path in [*ROOT.glob('*.md'), *ROOT.glob('docs/*.md'),
                         ROOT / 'MAINTAINERS']
            for name in PATHS.findall(path.read_text(encoding='utf-8'))
            if name not in THEIRS and not list(ROOT.glob(name))]
        self.assertEqual(missing, [])

    def test_documents_name_tests_that_exist(self):
        there = {path.stem for path in ROOT.glob('tests/*/test_*.py')}
        named = {(path.name, name) for path in ROOT.glob('docs/*.md')
                 for name in TESTS.findall(path.read_text(encoding='utf-8'))}
        self.assertGreater(len(named), 10)
        self.assertEqual([one for one in named if one[1] not in there], [])

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


class TestNames(unittest.TestCase):
    """What one grep finds, and what the code says of its own state."""

    @staticmethod
    def ours():
        """{C file of ours in QEMU: its code}."""
        return {path: code((ROOT / path).read_text()) for path in c_files()}

    @staticmethod
    def prefixed(path, name):
        """Has it the noun of its file, or the last word of that?

        As in host-limits.c host_limits_x, limits_x, or prefault_host_limits_x;
        limits for what there is only one of.
        """
        noun = path.stem.replace('-', '_')
        return re.match(rf'(kvm_)?(prefault_)?({noun}|{noun.split("_")[-1]})'
                        r'(_|$)', name)

    def test_statics_have_their_files_prefix(self):
        statics = [(path, name) for path, text in self.ours().items()
                   if path.suffix == '.c'
                   for name in [*(name for name, static in defined(text)
                                  if static), *variables(text)]]
        bare = [f'{path}: {name}' for path, name in statics
                if not self.prefixed(path, name)]
        share = 100 - 100 * len(bare) / len(statics)
        print(f'# note: {share:.1f} % of {len(statics)} static functions and '
              "variables have their file's prefix")
        self.assertGreaterEqual(share, PREFIXED, '\n' + '\n'.join(bare))

    def test_prefixes_are_those_of_the_file(self):
        """Neither another file's, nor a word that only begins alike."""
        path = Path('hw/core/prefault/host-limits.c')
        for name in ('host_limits_path', 'limits_path', 'limits',
                     'prefault_host_limits_x', 'kvm_limits'):
            self.assertTrue(self.prefixed(path, name), name)
        for name in 'path', 'host_path', 'limited_path', 'check_limits':
            self.assertFalse(self.prefixed(path, name), name)

    def test_asserts_are_counted(self):
        count = sum(len(re.findall(r'\b(?:g_)?assert(?:_\w+)?\(', text))
                    for text in self.ours().values())
        print(f'# note: {count} asserts in our C')


if __name__ == '__main__':
    unittest.main()
