# SPDX-License-Identifier: GPL-2.0-or-later
"""The KVM of beds with private memory: from packages of one version."""
import re
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from prefaultlib.assemble import debs
from prefaultlib.build import linux
from prefaultlib.err import Fail

IMAGE = 'linux-image-6.12.{0}+deb12-cloud-amd64_6.12.{0}-1_amd64.deb'
KNOWN = ('linux-image-6.12.2+deb12-cloud-amd64', 'linux-headers-6.12.2+deb12-cloud-amd64',
         'linux-headers-6.12.2+deb12-common', 'linux-kbuild-6.12.2+deb12',
         'linux-source-6.12')


def search(pattern, _suite):
    """What the archive has."""
    return [(name, '6.12.2-1') for name in KNOWN if re.fullmatch(pattern, name)]


def download(name, version, _suite, folder):
    """An empty package."""
    deb = folder / f'{name}_{version}_all.deb'
    deb.touch()
    return deb


class Packages(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        cache = Path(folder.name)
        (cache / 'debs').mkdir()
        (cache / 'debs' / IMAGE.format(1)).touch()
        for name, what in (('paths.CACHE', cache), ('paths.sources', lambda: None),
                           ('assemble.debs._download', download)):
            patch = mock.patch(f'prefaultlib.{name}', what)
            self.addCleanup(patch.stop)
            patch.start()

    def packages(self, finds=search):
        with mock.patch('prefaultlib.assemble.debs._search', finds):
            return linux.PrivateKvm('6.12')._packages()

    def test_later_image(self):
        """Of that in the cache the archive has no headers any more."""
        found = self.packages()
        self.assertEqual(len(found), len(KNOWN))
        self.assertEqual({deb.name.split('_')[1] for deb in found}, {'6.12.2-1'})
        # Then all is in the cache
        self.assertEqual(self.packages(mock.Mock(side_effect=AssertionError)), found)
        self.assertEqual(debs.fetch('linux-image-.*'), found[0])

    def test_no_network(self):
        """The reason is what was not there at first."""
        with self.assertRaisesRegex(Fail, 'linux-headers-6.*1.*of version 6.12.1-1'):
            self.packages(lambda *_: [])

    def test_archive_without_source(self):
        with self.assertRaisesRegex(Fail, 'linux-source.*of version 6.12.2-1'):
            self.packages(lambda pattern, suite: [
                one for one in search(pattern, suite) if 'source' not in one[0]])


if __name__ == '__main__':
    unittest.main()
