# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/check runs for the words that it is given, and in which order."""
import re
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from prefaultlib import paths
from prefaultlib.assemble import packages
from prefaultlib.check import choice, functional, suites
from prefaultlib.err import Fail

# words: what is run
CASES = (
    ('unit', {'unit': None}),
    ('qtest unit', {'unit': None, 'qtest': None}),
    ('functional/test_start', {'functional': {'test_start': []}}),
    ('functional/test_start:Start.test_x functional/test_start:Other',
     {'functional': {'test_start': ['Start.test_x', 'Other']}}),
    ('functional/test_start:Start functional/test_start',
     {'functional': {'test_start': []}}),
    ('functional/test_start functional/test_start:Start',
     {'functional': {'test_start': []}}),
    ('functional functional/test_start', {'functional': None}),
    ('functional/test_start functional', {'functional': None}),
    ('unit/test-prefault-plan:/prefault/plan/empty',
     {'unit': {'test-prefault-plan': ['/prefault/plan/empty']}}),
    ('quick', {'assembly': None, 'unit': None,
               'functional': {'test_first_writes': []}}),
)
REFUSED = (
    ('nonsense', 'there is no suite nonsense: choose from assembly, unit.*quick'),
    ('functional/test_nonsense', 'suite functional has no file test_nonsense: '
     'choose from .*test_start'),
    ('libvirt/x', 'suite libvirt has no file x: it runs as a whole'),
)


class Choice(unittest.TestCase):

    def test_words(self):
        for words, wanted in CASES:
            with self.subTest(words):
                found = choice.parse(words.split(), suites.SUITES)
                self.assertEqual(list(found.items()), list(wanted.items()))

    def test_refusals(self):
        for words, why in REFUSED:
            with self.subTest(words):
                with self.assertRaisesRegex(Fail, why):
                    choice.parse(words.split(), suites.SUITES)

    def test_a_suite_needs_what_it_uses_and_no_more(self):
        """Assembly builds nothing, and so no build directory is made."""
        with (mock.patch('prefaultlib.assemble.packages.install') as install,
              mock.patch('prefaultlib.build.directory.setup_top') as top):
            def needed(**wanted):
                suites.set_up(wanted)
                return install.call_args[0][0]

            for debian, more in (True, {packages.DOCS}), (False, set()):
                with mock.patch('prefaultlib.assemble.system.is_debian',
                                return_value=debian):
                    self.assertEqual(needed(assembly=None),
                                     {packages.SOURCE, *more})
            top.assert_not_called()
            qemu = {packages.SOURCE, packages.BUILD}
            self.assertEqual(needed(unit=None), qemu)
            top.assert_called_once()
            self.assertEqual(needed(functional={'test_start': []}),
                             qemu | {packages.BED})
            self.assertEqual(needed(functional={'test_private': []}),
                             qemu | {packages.BED, packages.KVM})


    def test_meson_knows_the_suites(self):
        text = (paths.ROOT / 'meson.build').read_text(encoding='utf-8')
        named = re.search(r'foreach suite : \[(.*?)\]', text, re.S)[1]
        self.assertEqual(sorted(re.findall(r"'([\w-]+)'", named)),
                         sorted(suites.SUITES))

    def test_all_of_a_suite(self):
        """What the files of this checkout need is what can be built."""
        self.assertEqual(functional.needs(), set(suites.BED_PARTS))
        for name in (functional.LONGEST + functional.FIRST + functional.ALONE
                     + functional.LATER):
            self.assertIn(name, [name for folder in ('functional', 'intel', 'assembly')
                                 for name in functional.names(folder)])


class Order(unittest.TestCase):
    """Two processes, each of which keeps to one kind of bed while it can."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        patcher = mock.patch.object(paths, 'ROOT', Path(folder.name))
        patcher.start()
        self.addCleanup(patcher.stop)
        self.ran = []
        for name, text in (('plain', ''), ('plain2', ''),
                           ('private', "BED = {'private': True}\n"),
                           ('private2', "BED = {'private': True}\n"),
                           ('virt', "BED = {'libvirt': True}\n"),
                           ('hold', ''),
                           ('needy', "A, B = 1, 2\nNEEDS = ('kvm',)\n")):
            path = paths.ROOT / f'tests/functional/test_{name}.py'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'import os\n{text}')

    def run_file(self, file, session, _results, _skip_fails):
        self.ran.append((session, file.path.stem.removeprefix('test_')))

    def test_kinds_stay_together_and_the_usual_one_comes_last(self):
        with mock.patch.object(functional.File, 'run',
                               lambda file, *words: self.run_file(file, *words)):
            functional.run(None, 'functional')
        self.assertEqual([name for _, name in self.ran],
                         ['virt', 'private', 'private2', 'needy', 'plain',
                          'plain2', 'hold'])
        # hold is alone in its process
        self.assertEqual(len({session for session, _ in self.ran}), 2)

    def test_a_process_keeps_to_its_kind(self):
        """Also where another process has taken the one before."""
        virt, private, plain = (
            functional.File('functional', f'test_{name}')
            for name in ('virt', 'private2', 'plain'))
        left = [virt, private, plain]
        last = functional.File('functional', 'test_private')
        taken = []
        while last:
            last = functional.take(left, last)
            taken.append(last)
        self.assertEqual(taken, [private, virt, plain, None])

    def test_a_kind_is_booted_once_while_there_are_others(self):
        virt, private, plain = (
            functional.File('functional', f'test_{name}')
            for name in ('virt', 'private2', 'plain'))
        other = functional.File('functional', 'test_virt')
        left = [virt, private, plain]
        taken = [functional.take(left, None, [other, None]) for _ in range(4)]
        self.assertEqual(taken, [private, plain, virt, None])

    def test_needs(self):
        for name, needs in (('plain', set()), ('private', {'kvm'}),
                            ('virt', {'libvirt'}), ('needy', {'kvm'})):
            self.assertEqual(functional.needs({f'test_{name}': []}), needs)


if __name__ == '__main__':
    unittest.main()
