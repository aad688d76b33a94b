# SPDX-License-Identifier: GPL-2.0-or-later
"""What people on other machines are told, and that nothing was changed before.

Stand-ins: an os-release, and folders of programs of a line each as the PATH.
"""
import os
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from prefaultlib.assemble import debs, packages, source, system
from prefaultlib.build import directory
from prefaultlib.err import Fail

DEBIAN_12 = 'PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\nVERSION_ID="12"\n'
FOREIGN = {
    'Ubuntu': 'PRETTY_NAME="Ubuntu 24.04 LTS"\nID=ubuntu\nID_LIKE=debian\n'
              'VERSION_ID="24.04"\n',
    'Fedora': 'PRETTY_NAME="Fedora Linux 43"\nID=fedora\nVERSION_ID=43\n',
    'Arch': 'PRETTY_NAME="Arch Linux"\nID=arch\n',
    'Debian GNU/Linux 11': DEBIAN_12.replace('12', '11'),
    'a system without': '',
}
APT = ('dpkg-query', 'apt-get', 'apt-cache')
TOOL_CHAIN = [name for purpose in (packages.SOURCE, packages.BUILD)
              for name in packages.PROGRAMS[purpose]]


class Machine(unittest.TestCase):
    """A machine of a few programs; changing it is an error."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.patch('prefaultlib.say.step')
        self.patch('prefaultlib.say.info')
        self.patch('prefaultlib.paths.LOGS', self.root / 'logs')
        self.patch('prefaultlib.paths.CACHE', self.root / 'cache')
        self.patch('prefaultlib.paths.TOOLS', self.root / 'tools')
        self.quiet = self.patch('prefaultlib.assemble.debs._quiet',
                                mock.Mock(return_value=True))
        patcher = mock.patch.dict(os.environ)
        patcher.start()
        self.addCleanup(patcher.stop)
        # Those of the run that this is part of
        for name in 'PREFAULT_SOURCES', *debs.PROXIES:
            os.environ.pop(name, None)
        self.become(DEBIAN_12, APT)

    def patch(self, name, *args, **options):
        patcher = mock.patch(name, *args, **options)
        self.addCleanup(patcher.stop)
        return patcher.start()

    def become(self, release, programs=(), **scripts):
        """Have this os-release and these programs, and no others.

        scripts: {program: what it does, as shell}
        """
        (self.root / 'os-release').write_text(release)
        self.patch('prefaultlib.assemble.system.OS_RELEASE',
                   self.root / 'os-release')
        path = Path(tempfile.mkdtemp(dir=self.root))
        for name, script in (dict.fromkeys(programs, 'true') | scripts).items():
            (path / name).write_text(f'#!/bin/sh\n{script}\n')
            (path / name).chmod(0o755)
        patcher = mock.patch.dict(os.environ, PATH=str(path))
        patcher.start()
        self.addCleanup(patcher.stop)

    def refused(self, call, *words):
        """The sentence, of one line; nothing was changed."""
        with self.assertRaises(Fail) as caught:
            call(*words)
        said = str(caught.exception)
        self.assertNotIn('\n', said)
        self.quiet.assert_not_called()
        return said


class Distributions(Machine):

    def test_debian(self):
        for release in (DEBIAN_12, DEBIAN_12.replace('12', '13'), 'ID=debian\n'):
            self.become(release, APT)
            self.assertTrue(system.is_debian())

    def test_others_are_named_before_anything_is_installed(self):
        for title, release in FOREIGN.items():
            with self.subTest(title):
                self.become(release, (*APT, *TOOL_CHAIN))
                said = self.refused(packages.install,
                                    [packages.BUILD, packages.BED])
                self.assertIn('installed on Debian 12 and later only, and this '
                              f'is {title}', said)
                self.assertIn('what works here is `scripts/setup --source', said)

    def test_debian_without_its_tools(self):
        self.become(DEBIAN_12, TOOL_CHAIN)
        self.assertIn('this is Debian GNU/Linux 12', self.refused(
            packages.install, [packages.BED]))

    def test_installed_tool_chain_is_enough_to_build(self):
        self.become(FOREIGN['Fedora'], TOOL_CHAIN)
        packages.install([packages.SOURCE, packages.BUILD])
        self.quiet.assert_not_called()

    def test_missing_programs_and_libraries_are_named(self):
        self.become(FOREIGN['Arch'], set(TOOL_CHAIN) - {'ninja', 'pkg-config'},
                    **{'pkg-config': 'test "$2" != glib-2.0'})
        said = self.refused(packages.install, [packages.BUILD])
        self.assertIn('this is Arch Linux', said)
        self.assertIn('ninja, glib-2.0 (library) are missing', said)

    def test_source_goes_on_to_the_release_address(self):
        """Without apt that is no traceback but the next place to look."""
        self.become(FOREIGN['Fedora'])
        upstream = source.Archives(
            SimpleNamespace(name='qemu', title='QEMU', give='give'), '1.0',
            'sid', {'x.tar.xz': '0'})
        said = self.refused(source.find, upstream)
        self.assertRegex(said, 'no folder of archives is named.*'
                         'index is read on Debian.*no checksum is pinned')

    def test_old_meson(self):
        """On a foreign machine the sentence says what to install."""
        self.become(FOREIGN['Fedora'])
        self.patch('prefaultlib.build.directory.system_has_tools',
                   lambda: False)
        said = self.refused(directory.ensure_tools)
        self.assertIn('has no Meson 1.5 or later with pycotap: install both as '
                      'Fedora Linux 43 has them', said)

    def test_new_meson_of_the_system_is_used(self):
        self.become(FOREIGN['Fedora'])
        self.patch('prefaultlib.build.directory.system_has_tools', lambda: True)
        self.patch('prefaultlib.build.directory.MESON',
                   self.root / 'tools/meson.py')
        directory.ensure_tools()
        self.assertEqual(sorted(os.listdir(self.root / 'tools')),
                         ['complete', 'meson.py'])


class Machines(Machine):

    def test_arm64(self):
        self.patch('os.uname', lambda: SimpleNamespace(machine='aarch64'))
        self.assertIn('the test bed needs an x86_64 machine, and this is '
                      'aarch64', self.refused(system.need_x86, 'the test bed needs'))

    def test_path_that_qemu_refuses(self):
        for path in '/a b/c', '/a:b':
            self.assertIn(f'the path {path} has a space or a colon',
                          self.refused(system.need_plain_path, path))
        system.need_plain_path('/a/b')


class Installing(Machine):
    """On Debian, as a user."""

    def setUp(self):
        super().setUp()
        self.patch('os.geteuid', lambda: 1000)

    def test_no_sudo(self):
        self.assertIn('there is no sudo: as root run `apt-get install gcc`',
                      self.refused(debs.install, ['gcc']))

    def test_sudo_without_rights(self):
        self.become(DEBIAN_12, APT, sudo='echo "Sorry, user bob may not run sudo"'
                    ' >&2; exit 1')
        self.assertIn('sudo does not let this user run apt-get (Sorry, user bob '
                      'may not run sudo): as root run',
                      self.refused(debs.install, ['gcc']))

    def test_proxy_of_the_environment_reaches_apt(self):
        """sudo would drop it."""
        self.become(DEBIAN_12, APT, sudo='true')
        with mock.patch.dict(os.environ, http_proxy='http://p:1'):
            debs.install(['gcc'])
        words = self.quiet.call_args[0][0]
        self.assertLess(words.index('http_proxy=http://p:1'),
                        words.index('apt-get'))

    def test_proxy_of_apt_reaches_downloads(self):
        self.become(DEBIAN_12, APT, **{'apt-config': 'echo http://p:2'})
        handlers = source._opener().handlers  # pylint: disable=protected-access
        self.assertIn({'http': 'http://p:2', 'https': 'http://p:2'},
                      [getattr(handler, 'proxies', None)
                       for handler in handlers])

    def test_list_of_mirrors(self):
        """As Debian's cloud images have it."""
        (self.root / 'list').write_text('# mirrors\nhttp://m/debian\n')
        self.become(DEBIAN_12, APT, **{'apt-get': 'echo mirror+file:'
                    f'{self.root}/list stable Debian Debian'})
        self.assertEqual(debs.mirror(), 'http://m/debian')


if __name__ == '__main__':
    unittest.main()
