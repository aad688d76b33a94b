# SPDX-License-Identifier: GPL-2.0-or-later
"""Each series fits the version that it is for; what fits two is there once.

Tried on every archive that takes no network, and on the source tree that the user
gave, whatever build/ is made of.
"""
import shutil
import tempfile
import unittest
from pathlib import Path

from prefaultlib.assemble import project, tree
from prefaultlib.err import Fail
from prefaultlib.paths import ROOT

from pristine import VersionsTest, on_each_version

LIKE = project.QEMU.at(project.BASE)        # whose patches others share


@on_each_version
class Series(VersionsTest):

    def applied(self, patch, place):
        """{name: text} of the files with a patch, None if it does not apply."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            shutil.copytree(place, folder, dirs_exist_ok=True)
            try:
                tree.apply(patch, Path(folder))
            except Fail:
                return None
            return {path.relative_to(folder): path.read_text()
                    for path in Path(folder).rglob('*') if path.is_file()}

    def check(self, of):
        theirs, place = self.files(of)
        self.assertEqual(theirs & set(tree.overlay_files(of)), set())
        for patch in tree.series(of):
            shared = ROOT / LIKE.patches / patch.name
            if of.name == LIKE.name and shared.exists() and shared != patch:
                self.assertNotEqual(self.applied(shared, place),
                                    self.applied(patch, place),
                                    f'{patch}: {shared} would do')
            tree.apply(patch, place)
        print(f'# note: {of.title} {of.base}: {len(tree.series(of))} patches')

    def test_each_patch_is_in_a_series(self):
        for one in project.ALL:
            named = {patch for base in one.known_bases()
                     for patch in tree.series(one.at(base))}
            self.assertEqual(named, set((ROOT / one.bases).rglob('*.patch')))


if __name__ == '__main__':
    unittest.main()
