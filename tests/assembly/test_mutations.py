# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/mutations: each still finds its text and its test.

Where trees are assembled also in files of QEMU's and libvirt's own.
"""
import json
import unittest

from prefaultlib import paths
from prefaultlib.assemble import project, tree

LIST = paths.ROOT / 'tests/mutations'
TEST_FILES = {'unit': 'unit/{}.c', 'qtest': 'qtest/{}.c',
              'functional': 'functional/{}.py'}


def mutations():
    for path in sorted(LIST.glob('*.json')):
        yield from json.loads(path.read_text(encoding='utf-8'))


def source_of(mutation):
    """The file that it changes: ours, or of the assembled tree, or None."""
    of = project.LIBVIRT if mutation['suite'] == 'libvirt' else project.QEMU
    ours = tree.overlay_files(of).get(mutation['file'])
    theirs = tree.Tree(of).path / mutation['file']
    return ours or (theirs if theirs.exists() else None)


class Mutations(unittest.TestCase):

    def test_each_applies(self):
        """Its text is in its file, once."""
        for mutation in mutations():
            path = source_of(mutation)
            if path:
                found = path.read_text(encoding='utf-8').count(mutation['from'])
                with self.subTest(mutation['name']):
                    self.assertEqual(found, 1, f"{mutation['file']}: "
                                     f"{mutation['from']}")

    def test_each_has_a_test(self):
        for mutation in mutations():
            name = TEST_FILES.get(mutation['suite'])
            if not name:
                continue
            program, _, test = mutation['test'].partition(':')
            path = paths.ROOT / 'tests' / name.format(program)
            with self.subTest(mutation['name']):
                last = test.rpartition('.' if path.suffix == '.py' else '/')[2]
                self.assertTrue(path.exists() and last in path.read_text(
                    encoding='utf-8'), mutation['test'])

    def test_names_are_different(self):
        names = [mutation['name'] for mutation in mutations()]
        self.assertEqual(len(names), len(set(names)))


if __name__ == '__main__':
    unittest.main()
