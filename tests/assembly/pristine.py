# SPDX-License-Identifier: GPL-2.0-or-later
"""Pristine files of each version, of whatever is at hand without network."""
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from prefaultlib.assemble import project, source, tree

PROJECTS = tuple(one.at(base) for one in project.ALL
                 for base in one.known_bases())


def origin(of):
    """The archive, or the user's tree, of a version; None: none is at hand."""
    own = tree.Tree(of).own_origin()
    return Path(own) if own else source.at_hand(source.Upstream(of))


def names_in(archive):
    """The names of the files in an archive or tree."""
    if archive.is_dir():
        return {str(path.relative_to(archive)) for path in archive.rglob('*')}
    told = subprocess.run(['tar', '-tf', archive], check=True, text=True,
                          capture_output=True).stdout
    return {line.partition('/')[2] for line in told.split('\n')}


def take(archive, names, folder):
    """Unpack, or copy, some of the files."""
    if archive.is_dir():
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(archive / name, folder / name)
        return
    subprocess.run(
        ['tar', '-xf', archive, '-C', folder, '--strip-components=1',
         '--wildcards', '--no-wildcards-match-slash',
         *(f'*/{name}' for name in names)], check=True)


class VersionsTest(unittest.TestCase):
    """Tests with a folder of their own; see on_each_version()."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def files(self, of):
        """(all names, folder with the files that the series changes)."""
        archive = origin(of)
        if not archive:
            self.skipTest(f'no source of {source.Upstream(of).title} is at hand')
        theirs = names_in(archive)
        touched = {name for patch in tree.series(of)
                   for name in tree.patched_files(patch)}
        self.assertEqual(touched - theirs, set())
        place = self.folder / 'originals'
        place.mkdir()
        take(archive, touched, place)
        return theirs, place


def on_each_version(case):
    """A class decorator: a test for each version, which calls check(of)."""
    for of in PROJECTS:
        name = f'test_{of.name}_{of.base}'.replace('.', '_')
        setattr(case, name, lambda self, of=of: self.check(of))
    return case
