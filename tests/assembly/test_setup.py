# SPDX-License-Identifier: GPL-2.0-or-later
"""What assembling must refuse, and that the next run recovers.

Every test works on a checkout and a "QEMU" or "libvirt" of a few lines, made in
a folder of its own, without network.
"""
import dataclasses
import hashlib
import os
import shutil
import tarfile
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from prefaultlib import paths
from prefaultlib.assemble import debs, project, source, tree
from prefaultlib.err import Fail

LINES = [f'line {n}' for n in range(1, 21)]
HOOK = """--- a/hw/old.c
+++ b/hw/old.c
@@ -{at},4 +{at},5 @@
 {before}
 line 10
+prefault_hook();
 line 11
 line 12
"""


def hook(at=9, before='line 9'):
    """A patch that inserts one line behind line 10."""
    return HOOK.format(at=at, before=before)


class AssemblyTest(unittest.TestCase):
    """A small checkout, an archive, and a cache that is empty."""

    project = project.QEMU

    def setUp(self):
        self.name = f'{self.project.name}-1.0'
        self.series = set()
        self.root = Path(tempfile.mkdtemp(prefix='prefault-assembly-'))
        self.addCleanup(shutil.rmtree, self.root)
        for silent in ('step', 'info'):
            self.patch(f'prefaultlib.say.{silent}')
        patcher = mock.patch.dict(os.environ)
        patcher.start()
        self.addCleanup(patcher.stop)
        os.environ.pop('PREFAULT_SOURCES', None)
        # What is said elsewhere is for test_system
        self.patch('prefaultlib.assemble.system.is_debian', lambda: True)
        self.patch('prefaultlib.say.Bar')
        self.cache = self.root / 'cache'
        self.archive = self.root / f'{self.name}.tar.gz'
        self.write('upstream-tree/hw/old.c', '\n'.join(LINES) + '\n')
        self.write('upstream-tree/hw/other.c', 'other\n')
        self.pack()
        self.pin(self.digest())
        self.overlay('hw/core/new.c').write_text('new\n')
        self.patches('0001-hook', hook())

    def patch(self, name, *args):
        patcher = mock.patch(name, *args)
        self.addCleanup(patcher.stop)
        return patcher.start()

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def pack(self):
        with tarfile.open(self.archive, 'w:gz') as tar:
            tar.add(self.root / 'upstream-tree', self.name)

    def overlay(self, name):
        """Where this checkout keeps a new file of the project's tree."""
        path = self.root / self.project.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def patches(self, name, text):
        """The series gets a patch more, or one of its patches another text."""
        self.write(f'{self.project.patches}/{name}.patch', text)
        self.series.add(f'{name}.patch')
        self.write_series()

    def no_patch(self, name):
        """The series has one patch less."""
        self.series.remove(f'{name}.patch')
        self.write_series()

    def write_series(self):
        self.write(f'{self.project.patches}/series',
                   '\n'.join(sorted(self.series)) + '\n')

    def digest(self):
        return hashlib.sha256(self.archive.read_bytes()).hexdigest()

    def pin(self, digest):
        self.write(f'{self.project.patches}/upstream',
                   f'version 1.0\nsuite sid\n{digest} {self.archive.name}\n')

    def assemble(self, given=True):
        made = tree.Tree(self.project, self.root)
        return made.assemble(lambda: source.find(
            made.upstream, self.archive if given else None, self.cache))

    def result(self):
        """{name: content} of the assembled tree."""
        top = self.root / 'build/src' / self.name
        return {str(p.relative_to(top)): p.read_text()
                for p in top.rglob('*') if p.is_file()}

    def expected(self):
        hooked = LINES[:10] + ['prefault_hook();'] + LINES[10:]
        return {'hw/old.c': '\n'.join(hooked) + '\n',
                'hw/other.c': 'other\n', 'hw/core/new.c': 'new\n'}

    def times(self):
        top = self.root / 'build/src' / self.name
        return {str(p.relative_to(top)): p.stat().st_mtime_ns
                for p in top.rglob('*') if p.is_file()}

    def assert_recovers(self):
        self.assemble()
        self.assertEqual(self.result(), self.expected())

    def assert_refused(self, regex, given=True):
        """One sentence of one line that matches."""
        with self.assertRaisesRegex(Fail, regex) as caught:
            self.assemble(given)
        self.assertNotIn('\n', str(caught.exception))


class TestTree(AssemblyTest):
    """The tree is what overlay and patches say, and no more is written."""

    def test_overlay_and_patches_are_in(self):
        self.assertTrue(self.assemble())
        self.assertEqual(self.result(), self.expected())

    def test_second_run_writes_nothing(self):
        self.assemble()
        before = self.times()
        self.assertFalse(self.assemble())
        self.assertEqual(self.times(), before)

    def changed_by(self, change):
        """The names of the files that the change and a run write."""
        self.assemble()
        before = self.times()
        change()
        self.assertTrue(self.assemble())
        after = self.times()
        return {n for n in {**before, **after} if before.get(n) != after.get(n)}

    def test_edit_of_an_overlay_file_writes_it_alone(self):
        self.assertEqual(
            self.changed_by(
                lambda: self.overlay('hw/core/new.c').write_text('newer\n')),
            {'hw/core/new.c'})
        self.assertEqual(self.result()['hw/core/new.c'], 'newer\n')

    def test_overlay_file_that_went_away_is_deleted(self):
        (gone,) = self.changed_by(self.overlay('hw/core/new.c').unlink)
        self.assertNotIn(gone, self.result())

    def test_change_of_a_patch_writes_its_files_alone(self):
        self.assertEqual(
            self.changed_by(lambda: self.patches(
                '0001-hook', hook().replace('hook()', 'call()'))),
            {'hw/old.c'})
        self.assertIn('prefault_call();', self.result()['hw/old.c'])
        self.assertNotIn('hook', self.result()['hw/old.c'])

    def test_patch_that_went_away_is_taken_back(self):
        self.assertEqual(self.changed_by(lambda: self.no_patch('0001-hook')),
                         {'hw/old.c'})
        self.assertEqual(self.result()['hw/old.c'], '\n'.join(LINES) + '\n')

    def test_new_pin_unpacks_again(self):
        self.assemble()
        self.write('upstream-tree/hw/other.c', 'next\n')
        self.pack()
        self.pin(self.digest())
        self.assemble()
        self.assertEqual(self.result(),
                         dict(self.expected(), **{'hw/other.c': 'next\n'}))


class TestGivenTree(AssemblyTest):
    """--source TREE: a version that has no archive, or the user's own."""

    def setUp(self):
        super().setUp()
        self.given = self.root / 'upstream-tree'
        self.write('upstream-tree/meson.build', '')
        self.write('upstream-tree/VERSION', f'{self.project.base}.3\n')
        self.write('upstream-tree/build-aux/kept', '')
        for name in '.git/HEAD', 'build/objects', 'other/build.ninja':
            self.write(f'upstream-tree/{name}', '')
        self.write(f'{self.project.patches}/upstream', 'version 1.0\n')

    def assemble(self, given=True, build=None):
        made = tree.Tree(self.project, self.root, build)
        words = source.choose(str(self.given)) if given else None
        return made.assemble(lambda: source.find(made.upstream, words,
                                                 self.cache), anew=given)

    def expected(self):
        return dict(super().expected(), **{
            'meson.build': '', 'build-aux/kept': '',
            'VERSION': f'{self.project.base}.3\n'})

    def test_it_is_taken_without_what_is_no_source(self):
        self.assert_recovers()
        self.assertFalse(self.assemble(given=False))

    def test_what_changed_in_it_is_taken_too(self):
        self.assemble()
        self.write('upstream-tree/hw/other.c', 'newer\n')
        self.assertTrue(self.assemble())
        self.assertEqual(self.result(),
                         dict(self.expected(), **{'hw/other.c': 'newer\n'}))

    def test_its_patched_files_are_kept_aside_anew(self):
        self.assemble()
        self.write('upstream-tree/hw/old.c', '\n'.join(['new', *LINES]) + '\n')
        self.assemble()
        self.assertTrue(self.result()['hw/old.c'].startswith('new\n'))

    def test_the_one_to_compare_with_follows(self):
        self.assemble(build=self.root / 'build/pristine')
        self.assemble()
        made, other = (tree.Tree(self.project, self.root, build) for build in
                       (None, self.root / 'build/pristine'))
        self.assertEqual(made.own_origin(), str(self.given))
        self.assertTrue(other.is_older_than(made))
        self.assertFalse(made.is_older_than(other))

    def test_of_another_version(self):
        for version, base in (('8.2.1', '8.2'), ('10.0.92', '10.1')):
            self.write('upstream-tree/VERSION', f'{version}\n')
            self.assert_refused(f'is a tree of version {base}, and that of')
        self.write('upstream-tree/VERSION', f'{self.project.base}.3\n')
        self.assert_recovers()

    def test_none_is_given(self):
        self.assert_refused(r'no archive of .* 1\.0 is pinned yet: .*--source',
                            given=False)
        self.assert_recovers()


class TestRefusals(AssemblyTest):
    """A clear sentence each; nothing half done; the next run recovers."""

    def test_patch_that_is_not_there(self):
        name = self.root / self.project.patches / '0001-hook.patch'
        name.rename(f'{name}.away')
        self.assert_refused('0001-hook.patch cannot be read .*series names it')
        Path(f'{name}.away').rename(name)
        self.assert_recovers()

    def test_patch_that_does_not_apply(self):
        self.assemble()
        self.patches('0002-bad', hook().replace('line 11', 'no such line'))
        self.assert_refused(r'0002-bad\.patch does not apply .*hw/old\.c')
        self.assertEqual(self.result(), self.expected())
        self.no_patch('0002-bad')
        self.assert_recovers()

    def test_patch_that_needs_fuzz(self):
        self.patches('0001-hook', hook(before='line nine'))
        self.assert_refused('does not apply without fuzz')
        self.patches('0001-hook', hook())
        self.assert_recovers()

    def test_patch_with_an_offset_is_fine(self):
        self.patches('0001-hook', hook(at=5))
        self.assert_recovers()

    def test_patch_of_no_upstream_file(self):
        self.patches('0002-bad', hook().replace('old.c', 'nowhere.c'))
        self.assert_refused(r'0002-bad\.patch does not apply')

    def test_patch_that_creates_a_file(self):
        self.patches('0002-bad', '--- /dev/null\n+++ b/hw/created.c\n'
                                 '@@ -0,0 +1 @@\n+prefault\n')
        self.assert_refused(r'0002-bad\.patch creates .*into the overlay')
        self.no_patch('0002-bad')
        self.assert_recovers()

    def test_overlay_shadows_upstream(self):
        self.overlay('hw/other.c').write_text('ours\n')
        self.assert_refused(r'hw/other\.c shadows .*rename')
        self.assertEqual(self.result()['hw/other.c'], 'other\n')
        self.overlay('hw/other.c').unlink()
        self.assert_recovers()

    def test_wrong_checksum_of_a_given_archive(self):
        self.pin('0' * 64)
        self.assert_refused(f'accepted one of {self.project.title} 1.0')
        self.pin(self.digest())
        self.assert_recovers()

    def test_given_path_is_no_file(self):
        self.archive = self.root / 'missing.tar.gz'
        self.assert_refused('is no file')

    def test_archive_that_does_not_unpack(self):
        intact = self.archive.read_bytes()
        self.archive.write_bytes(intact[:len(intact) // 2])
        self.pin(self.digest())
        self.assert_refused('cannot be unpacked')
        self.assertEqual(self.result(), {})
        self.archive.write_bytes(intact)
        self.pin(self.digest())
        self.assert_recovers()

    def test_too_little_disk(self):
        usage = SimpleNamespace(free=1 << 30)
        with self.assertRaisesRegex(Fail, r'1\.0 GiB of free .* 3\.0 GiB are'):
            tree.check_disk(self.root / 'build/src', 3 << 30, lambda _: usage)
        tree.check_disk(self.root / 'build/src', 1 << 30, lambda _: usage)

    def test_malformed_upstream_file(self):
        self.write(f'{self.project.patches}/upstream', 'version\n')
        self.assert_refused('upstream is malformed')


class TestDownload(AssemblyTest):
    """Where the archive comes from; the package index does not answer."""

    def setUp(self):
        super().setUp()
        self.patch('prefaultlib.assemble.debs.apt',
                   mock.Mock(side_effect=Fail('no index')))
        self.served = self.root / f'{self.name}.tar.xz'
        shutil.copy(self.archive, self.served)
        self.write(f'{self.project.patches}/upstream',
                   f'version 1.0\nsuite sid\n'
                   f'{self.digest()} {self.served.name}\n')
        self.project = dataclasses.replace(self.project,
                                           releases=f'file://{self.root}')

    def assert_recovers(self):
        self.assemble(given=False)
        self.assertEqual(self.result(), self.expected())

    def test_release_address_then_cache(self):
        self.assert_recovers()
        self.served.unlink()
        shutil.rmtree(self.root / 'build')
        self.assert_recovers()

    def test_no_network(self):
        away = self.served.rename(self.root / 'away')
        self.assert_refused('no index.*cannot be downloaded.*--source', False)
        away.rename(self.served)
        self.assert_recovers()

    def test_wrong_checksum_of_a_download(self):
        self.served.write_bytes(b'not it')
        self.assert_refused('not an accepted one.*download was removed',
                            False)
        self.assertEqual(list(self.cache.iterdir()), [])
        shutil.copy(self.archive, self.served)
        self.assert_recovers()

    def test_damaged_cache_is_replaced(self):
        self.cache.mkdir()
        (self.cache / self.served.name).write_bytes(b'damaged')
        self.assert_recovers()

    def test_given_archive_is_there_for_the_pristine_tree(self):
        self.served.unlink()
        self.assemble(given=True)
        self.archive.unlink()
        shutil.rmtree(self.root / 'build')
        self.assert_recovers()

    def test_interrupted_download_is_not_used(self):
        self.cache.mkdir()
        (self.cache / (self.served.name + '.partial')).write_bytes(b'half')
        self.assert_recovers()

    def test_folder_comes_before_the_network(self):
        """Its archive is used and kept; a wrong one is passed over."""
        folder = self.root / 'archives'
        folder.mkdir()
        shutil.move(self.served, folder)
        self.patch('prefaultlib.paths.sources', lambda: folder)
        self.patch('prefaultlib.assemble.source._copy_url',
                   mock.Mock(side_effect=AssertionError('network')))
        self.assert_recovers()
        shutil.rmtree(self.root / 'build')
        shutil.rmtree(folder)
        self.assert_recovers()

    def test_folder_with_a_wrong_archive(self):
        self.served.rename(self.root / 'away')
        folder = self.root / 'archives'
        folder.mkdir()
        (folder / self.served.name).write_bytes(b'not it')
        self.patch('prefaultlib.paths.sources', lambda: folder)
        self.assert_refused('not an accepted one', False)

    def test_option_source_takes_both(self):
        self.patch('os.environ', {})
        self.assertEqual(source.choose(self.archive), self.archive)
        self.assertIsNone(paths.sources())
        self.assertIsNone(source.choose(self.root))
        self.assertEqual(paths.sources(), self.root)

    def test_package_index_is_searched_by_checksum(self):
        self.patch('prefaultlib.assemble.debs.apt', mock.Mock(return_value=[]))
        self.patch('prefaultlib.assemble.debs.mirror',
                   mock.Mock(return_value=f'file://{self.root}/'))
        name = self.project.name
        entry = f'Package: {name}\nDirectory: pool\n {self.digest()} 1 x\n'
        self.patch('prefaultlib.assemble.debs.proxy', lambda: '')
        run = self.patch('subprocess.run', mock.Mock(
            return_value=SimpleNamespace(stdout=f'Package: x\n\n{entry}')))
        (self.root / 'pool').mkdir()
        self.served.rename(self.root / 'pool' / self.served.name)
        found = source.find(tree.Tree(self.project, self.root).upstream,
                            None, self.cache)
        self.assertEqual(found, self.cache / self.served.name)
        self.assertEqual(run.call_args[0][0][-2:], ['showsrc', name])
        debs.apt.assert_called_once_with('sid', source=True)


class TestLibvirtTree(TestTree):
    """The same of libvirt, whose overlay has a folder of its own."""

    project = project.LIBVIRT


class TestLibvirtRefusals(TestRefusals):
    project = project.LIBVIRT


class TestLibvirtDownload(TestDownload):
    project = project.LIBVIRT


class TestBoth(AssemblyTest):
    """QEMU and libvirt are assembled side by side."""

    def test_neither_sees_the_other(self):
        self.assemble()
        qemu, before = self.expected(), self.times()
        self.project, self.name = project.LIBVIRT, 'libvirt-1.0'
        self.archive = self.root / 'libvirt-1.0.tar.gz'
        self.write('upstream-tree/hw/other.c', 'libvirt\'s\n')
        self.pack()
        self.pin(self.digest())
        self.patches('0001-hook', hook())
        self.assemble()
        ours = dict(qemu, **{'hw/other.c': 'libvirt\'s\n'})
        del ours['hw/core/new.c']
        self.assertEqual(self.result(), ours)
        self.project, self.name = project.QEMU, 'qemu-1.0'
        self.assertFalse(self.assemble())
        self.assertEqual(self.times(), before)


class TestInterruption(AssemblyTest):
    """Stopped before any rename or removal, the next run makes it whole."""

    def interrupt_everywhere(self, prepare, then=lambda: None):
        """Interrupt at step 1, 2, ... until a run gets through.

        @prepare: called before each interrupted run, @then: after it
        """
        for step in range(1, 100):
            shutil.rmtree(self.root / 'build', ignore_errors=True)
            prepare()
            through = self.interrupted_at(step)
            then()
            self.assert_recovers()
            if through:
                return step
        self.fail('no run got through')

    def interrupted_at(self, step):
        """Run with an interruption; tell whether it was not reached."""
        left = [step]

        def stop_at(call):
            def wrapper(*args, **kwargs):
                left[0] -= 1
                if not left[0]:
                    raise KeyboardInterrupt
                return call(*args, **kwargs)
            return wrapper

        with (mock.patch('os.replace', stop_at(os.replace)),
              mock.patch('shutil.rmtree', stop_at(shutil.rmtree)),
              mock.patch('shutil.copyfile', stop_at(shutil.copyfile))):
            try:
                self.assemble()
            except KeyboardInterrupt:
                return False
        return True

    def test_first_run(self):
        self.assertGreater(self.interrupt_everywhere(lambda: None), 10)

    def test_run_after_a_change_of_everything(self):
        def prepare():
            self.overlay('hw/core/new.c').write_text('older\n')
            self.overlay('hw/core/gone.c').write_text('gone\n')
            self.patches('0001-hook', hook().replace('hook()', 'call()'))
            self.assemble()
            self.overlay('hw/core/gone.c').unlink()
            self.overlay('hw/core/new.c').write_text('new\n')
            self.patches('0001-hook', hook())

        self.assertGreater(self.interrupt_everywhere(prepare), 8)

    def test_overlay_file_that_existed_only_then(self):
        brief = self.overlay('hw/core/brief.c')

        def prepare():
            self.assemble()
            brief.write_text('brief\n')

        self.assertGreater(self.interrupt_everywhere(prepare, brief.unlink),
                           4)


@unittest.skipUnless(shutil.which('dpkg'), 'host: it has no dpkg')
class TestDebs(AssemblyTest):
    """Packages from the cache need no network; the newest is taken."""

    def test_newest_of_the_cache(self):
        for version in ('1.9', '1.10', '1.10~rc1'):
            self.write(f'cache/debs/thing_{version}_all.deb', '')
        self.patch('prefaultlib.paths.CACHE', self.cache)
        self.assertEqual(debs.fetch('th.ng').name, 'thing_1.10_all.deb')

    def test_of_one_version(self):
        self.write('cache/debs/thing_1_all.deb', '')
        self.write('cache/debs/thing_2_all.deb', '')
        self.patch('prefaultlib.paths.CACHE', self.cache)
        self.assertEqual(debs.fetch('thing', version='1').name, 'thing_1_all.deb')
        with self.no_index(), self.assertRaisesRegex(Fail, "'thing' of version 3 "):
            debs.fetch('thing', ('sid',), '3')

    def test_later_than_the_cache(self):
        """What is there already is not fetched again."""
        self.write('cache/debs/thing_1_all.deb', '')
        self.patch('prefaultlib.paths.CACHE', self.cache)
        for version in '1', '2':
            with mock.patch('prefaultlib.assemble.debs._search',
                            return_value=[('thing', version)]), \
                    mock.patch('prefaultlib.assemble.debs._download') as download:
                deb = debs.fetch('thing', ('sid',), later=True)
            if version == '1':
                download.assert_not_called()
                self.assertEqual(deb.name, 'thing_1_all.deb')
            else:
                self.assertEqual(deb, download.return_value)

    def no_index(self):
        """No suite can be looked at."""
        return mock.patch('prefaultlib.assemble.debs.apt', side_effect=Fail('no index'))

    def test_folder_of_the_user(self):
        """Needs no network, and nothing is removed from it."""
        self.patch('prefaultlib.paths.CACHE', self.cache)
        self.patch('prefaultlib.paths.sources', lambda: self.root / 'own')
        self.write('own/thing_2_all.deb', 'damaged')
        deb = debs.fetch('thing')
        self.assertEqual(deb, self.root / 'own/thing_2_all.deb')
        with self.assertRaisesRegex(Fail, 'cannot be unpacked.*replace'):
            debs.unpack(deb, self.root / 'unpacked')
        self.assertTrue(deb.exists())

    def test_no_network(self):
        self.patch('prefaultlib.paths.CACHE', self.cache)
        with self.no_index(), self.assertRaisesRegex(Fail, "no package matches 'thing'"):
            debs.fetch('thing', ('sid',))


if __name__ == '__main__':
    unittest.main()
