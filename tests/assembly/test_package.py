# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/package: what becomes of a distribution's source package.

The package is made up, around the pristine files of a version; building it takes
root and the network, and is tried by functional/test_packaged.
"""
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from prefaultlib import paths
from prefaultlib.assemble import tree
from prefaultlib.deb import build, sourcepackage
from prefaultlib.deb.root import Root
from prefaultlib.err import Fail

from pristine import VersionsTest

ENTRY = '''Package: {name}
Version: {version}
Directory: pool/main/x
Checksums-Sha256:
 aa 10 {name}_1.dsc
 bb 20 {name}_1.orig.tar.xz
 cc 30 {name}_1.debian.tar.xz
 dd 40 {name}_1.orig.tar.xz.asc
'''
VERSIONS = {'qemu': '1:10.0.13+ds-0+deb13u1', 'libvirt': '11.3.0-3+deb13u3'}


def package(name, version=None, suite='trixie'):
    return sourcepackage.SourcePackage(build.PROJECTS[name], suite, ENTRY.format(
        name=name, version=version or VERSIONS[name]))


class Versions(unittest.TestCase):

    def assert_older(self, one, other):
        self.assertEqual(subprocess.run(
            ['dpkg', '--compare-versions', one, 'lt', other],
            check=False).returncode, 0, f'{one} < {other}')

    def test_sorts(self):
        """After what it is made from, before the distribution's next."""
        for of, nexts in (('1:10.0.13+ds-0+deb13u1', '1:10.0.13+ds-0+deb13u2'),
                          ('1:11.1.3+ds-1~bpo13+1', '1:11.1.3+ds-1~bpo13+2'),
                          ('1:11.1.3+ds-1~bpo13+1', '1:11.1.3+ds-1'),
                          ('1:11.1.3+ds-1', '1:11.1.3+ds-1+deb14u1'),
                          ('11.3.0-3', '11.3.0-3+b1'),
                          ('11.3.0-3', '11.3.0-3.1'),
                          ('1:10.0.2+ds-2+deb13u1~bpo12+1',
                           '1:10.0.13+ds-0+deb13u1~bpo12+1')):
            made = package('qemu', of).ours
            self.assert_older(of, made)
            self.assert_older(made, nexts)

    def test_base(self):
        for name, base in (('qemu', '10.0'), ('libvirt', '11.3')):
            package(name).check()
            self.assertEqual(package(name).project.base, base)

    def test_no_patches_for_it(self):
        with self.assertRaisesRegex(Fail, 'sid has QEMU 1:12.0.1.dfsg-1, and '
                                    'there are patches for 10.0, .*--release'):
            package('qemu', '1:12.0.1+dfsg-1', 'sid').check()

    def test_archives(self):
        """Not what only describes them."""
        self.assertEqual(package('qemu').files, {
            'qemu_1.orig.tar.xz': 'bb', 'qemu_1.debian.tar.xz': 'cc'})


class Added(VersionsTest):

    def add(self, name):
        """Our part, added to the tree of a package."""
        one = package(name)
        _, place = self.files(one.project)
        packaging = build.PACKAGING[name]
        debian = place / 'debian'
        (debian / 'patches').mkdir(parents=True)
        (debian / 'patches/series').write_text('theirs.patch\n')
        (debian / 'changelog').write_text(f'{name} ({one.version}) trixie\n')
        for file in packaging.installs:
            (debian / file).write_text('their/line\n')
        (debian / 'libvirt-dev.install.in').write_text('their/line\n')
        sourcepackage.add_ours(one, place, self.folder / 'out', packaging)
        return one, place

    def series(self, place):
        return (place / 'debian/patches/series').read_text().splitlines()

    def test_patches_apply(self):
        """In the order of the series, after theirs."""
        for name in VERSIONS:
            with self.subTest(name):
                _, place = self.add(name)
                theirs, *ours = self.series(place)
                self.assertEqual(theirs, 'theirs.patch')
                self.assertGreater(len(ours), 10)
                for patch in ours:
                    tree.apply(place / 'debian/patches' / patch, place)
                shutil.rmtree(place)
                shutil.rmtree(self.folder / 'out')

    def test_packaging(self):
        """Lines and files, and what is new at the top of the changelog."""
        one, place = self.add('qemu')
        lines = (place / 'debian/qemu-system-common.install'
                 ).read_text().splitlines()
        self.assertEqual(lines[:2], ['their/line', 'usr/bin/qemu-prefault'])
        file, target = lines[2].split()
        self.assertEqual((place / file).read_bytes(),
                         (paths.ROOT / build.APPARMOR.split()[0]).read_bytes())
        self.assertEqual(target, 'etc/apparmor.d/abstractions/libvirt-qemu.d')
        changes = (place / 'debian/changelog').read_text()
        self.assertTrue(changes.startswith(f'qemu ({one.ours}) trixie; '))
        self.assertIn(f'\nqemu ({one.version}) trixie\n', changes)

    def test_what_is_made_when_the_build_begins(self):
        """The lines go where it is made from, or would be gone."""
        _, place = self.add('libvirt')
        self.assertEqual(
            (place / 'debian/libvirt-dev.install.in').read_text(),
            'their/line\nusr/include/libvirt/libvirt-domain-prefault.h\n')
        self.assertEqual((place / 'debian/libvirt-dev.install').read_text(),
                         'their/line\n')

    def test_other_packaging(self):
        packaging = build.Packaging(installs={'gone.install': ('a/file',)})
        one = package('qemu')
        (self.folder / 'debian/patches').mkdir(parents=True)
        with self.assertRaisesRegex(Fail, 'no .*gone.install: .*build.py'):
            sourcepackage.add_ours(one, self.folder, self.folder / 'out',
                                   packaging)


class Archives(unittest.TestCase):

    def test_more_of_them(self):
        with self.assertRaisesRegex(Fail, 'more than one archive.*--release'):
            sourcepackage.SourcePackage(
                build.PROJECTS['qemu'], 'sid', ENTRY.format(
                    name='qemu', version=VERSIONS['qemu']) +
                ' ee 50 qemu_1.orig-keycodemapdb.tar.xz\n').check()


class Roots(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for name, value in (
                ('paths.CACHE', Path(folder.name)),
                ('assemble.debs._address',
                 {'Debian': 'http://m/debian'}.get),
                ('assemble.debs.proxy', lambda: 'http://of-apt')):
            patcher = mock.patch(f'prefaultlib.{name}', value)
            patcher.start()
            self.addCleanup(patcher.stop)

    def test_sources(self):
        """What mends a release is there, from the archive that has it."""
        said = Root('bookworm-backports', 'x')._apt_sources()
        self.assertEqual([line.split()[2:4] for line in said.splitlines()], [
            ['http://m/debian', 'bookworm'],
            ['http://m/debian', 'bookworm-updates'],
            ['http://m/debian-security', 'bookworm-security'],
            ['http://m/debian', 'bookworm-backports']])

    def test_proxy(self):
        """The environment's, or as apt has it."""
        for name, value in ('http_proxy', 'http://of-apt'), (
                'HTTPS_PROXY', 'http://mine'):
            environment = {} if name == 'http_proxy' else {name: value}
            with mock.patch.dict('os.environ', environment, clear=True):
                self.assertIn(f'{name}={value}',
                              Root('trixie', 'x').command('true'))

    def test_one_at_a_time(self):
        one, other = Root('trixie', 'x'), Root('trixie', 'x')
        one._take()
        one._take()
        with self.assertRaisesRegex(Fail, 'is used by another process'):
            other._take()
        Root('trixie', 'y')._take()


if __name__ == '__main__':
    unittest.main()
