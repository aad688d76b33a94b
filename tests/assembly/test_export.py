# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/export: `git am` and quilt make of it what scripts/setup makes."""
import shutil
import unittest

from prefaultlib.assemble import export, project, tree

from gitrepo import contents, git, repository
from pristine import PROJECTS, VersionsTest, on_each_version


@on_each_version
class Export(VersionsTest):

    def by_setup(self, of, originals):
        """{name: content} of what setup makes of these files."""
        place = self.folder / 'setup'
        shutil.copytree(originals, place)
        for patch in tree.series(of):
            tree.apply(patch, place)
        for name, path in tree.overlay_files(of).items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place / name)
        return contents(place)

    def check(self, of):
        _, originals = self.files(of)
        wanted = self.by_setup(of, originals)
        made = export.write(of, self.folder / 'out')
        by_git, by_quilt = (self.folder / name for name in ('git', 'quilt'))
        repository(by_git, originals)
        git(by_git, 'am', '-q', str(made.mailbox))
        self.assertEqual(contents(by_git), wanted)
        shutil.copytree(originals, by_quilt)
        for name in (made.folder / 'series').read_text().split():
            tree.apply(made.folder / name, by_quilt)
        self.assertEqual(contents(by_quilt), wanted)
        print(f'# note: {made.folder.name}: {len(made.names)} patches')

    def test_the_same_twice(self):
        for of in PROJECTS:
            boxes = [export.write(of, self.folder / name).mailbox.read_bytes()
                     for name in ('a', 'b')]
            self.assertEqual(*boxes)

    def test_what_an_earlier_export_had_is_gone(self):
        """And nothing else: people have trees there, and notes."""
        made = export.write(project.QEMU, self.folder)
        (made.folder / '0099-old.patch').write_text('')
        (made.folder / 'notes').write_text('')
        theirs = self.folder / tree.Tree(project.QEMU).path.name / 'meson.build'
        theirs.parent.mkdir()
        theirs.write_text('')
        export.write(project.QEMU, self.folder)
        self.assertEqual({path.name for path in made.folder.iterdir()},
                         {*made.names, 'series', 'notes'})
        self.assertTrue(theirs.exists())


if __name__ == '__main__':
    unittest.main()
