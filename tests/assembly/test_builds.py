# SPDX-License-Identifier: GPL-2.0-or-later
"""When a build directory is configured, and when libvirt is installed, again.

A configure command and a Meson of one line stand in for the real ones.
"""
import shutil
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from prefaultlib.assemble import project
from prefaultlib.build import directory, libvirt, variants
from prefaultlib.err import Fail


class BuildTest(unittest.TestCase):
    """A folder for everything generated; nothing is said or fetched."""

    def setUp(self):
        self.root = Path(tempfile.mkdtemp(prefix='prefault-builds-'))
        self.addCleanup(shutil.rmtree, self.root)
        for name, value in (('say.step', mock.Mock()),
                            ('paths.BUILD', self.root),
                            ('paths.LOGS', self.root / 'logs'),
                            ('build.directory.ensure_tools', mock.Mock())):
            patcher = mock.patch(f'prefaultlib.{name}', value)
            patcher.start()
            self.addCleanup(patcher.stop)
        self.source = self.root / 'src/tree'
        self.source.mkdir(parents=True)


class Scripted(directory.Build):
    """Its words are a shell script, run to configure it."""

    project = project.LIBVIRT

    def configure_command(self):
        return ['sh', '-ec', *self.words]


COUNT = 'test ! -e left-over; echo x >> ../count; touch left-over'


class TestConfigure(BuildTest):
    """Once, unless the words change; afresh after a failure."""

    def configure(self, script):
        Scripted('variant', self.source, 'folder', [script]).configure()

    def count(self):
        return len((self.root / 'count').read_text().split())

    def test_same_words_configure_once(self):
        self.configure(COUNT)
        self.configure(COUNT)
        self.assertEqual(self.count(), 1)

    def test_other_words_start_in_an_empty_folder(self):
        self.configure(COUNT)
        self.configure(COUNT + ' # again')
        self.assertEqual(self.count(), 2)

    def test_failure_is_one_sentence_and_the_next_run_starts_afresh(self):
        with self.assertRaisesRegex(Fail, r'libvirt \(variant\) cannot be '
                                          r'configured: .*/logs/') as caught:
            self.configure(COUNT + '; false')
        self.assertNotIn('\n', str(caught.exception))
        self.configure(COUNT)
        self.assertEqual(self.count(), 2)


class TestVariants(BuildTest):
    """Each variant has a folder of its own, and the right tree."""

    def test_folders_differ(self):
        folders = [libvirt.VARIANTS[name]
                   for name in libvirt.VARIANTS]
        self.assertEqual(len(set(folders)), len(folders))

    def test_pristine_trees_lie_as_the_patched_ones_do(self):
        """So that ccache takes the objects of one for the other."""
        for pristine, patched in (('pristine', 'default'),
                                  ('libvirt-pristine', 'libvirt')):
            build = variants.VARIANTS[patched]
            self.assertIs(variants.VARIANTS[pristine], build)
            table = sys.modules[build.__module__].VARIANTS
            folders = [row if isinstance(row, str) else row[0]
                       for row in (table[pristine], table[patched])]
            self.assertEqual(folders[0], f'pristine/{folders[1]}')


# Stands for `meson introspect` and `meson install`
MESON = """import json, pathlib, sys
built = pathlib.Path('program')
if sys.argv[1] == 'introspect':
    print(json.dumps({str(built.resolve()): '/usr/bin/program',
                      'program.link': '/usr/bin/link'}))
else:
    root = pathlib.Path(sys.argv[-1])
    (root / 'usr').mkdir(parents=True)
    (root / 'usr/program').write_text(built.read_text())
    if built.read_text() == 'bad':
        sys.exit(1)
"""


class TestInstall(BuildTest):
    """The installed tree is what was built last, whole or made afresh."""

    def setUp(self):
        super().setUp()
        self.build = libvirt.Build('libvirt', self.source)
        self.build.meson = [sys.executable, '-c', MESON]
        self.build.folder.mkdir()
        self.program = self.build.folder / 'program'

    def installed(self, content):
        self.program.write_text(content)
        return (self.build.install() / 'usr/program')

    def test_follows_the_build(self):
        self.assertEqual(self.installed('one').read_text(), 'one')
        self.assertEqual(self.installed('two').read_text(), 'two')

    def test_unchanged_is_left_alone(self):
        before = self.installed('one').stat().st_mtime_ns
        self.assertEqual(self.installed('one').stat().st_mtime_ns, before)

    def test_failed_installation_is_not_taken_for_one(self):
        self.installed('one')
        with self.assertRaisesRegex(Fail, 'cannot be installed'):
            self.installed('bad')
        self.assertEqual(self.installed('one').read_text(), 'one')

    def test_lies_beside_its_build_directory(self):
        self.assertEqual(self.installed('one'),
                         self.root / 'libvirt-root/usr/program')


if __name__ == '__main__':
    unittest.main()
