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
              'functional': 'functional/{}.py', 'model': 'model/{}.pml',
              'fuzz': 'fuzz/{}.c'}


def mutations():
    for path in sorted(LIST.glob('*.json')):
        yield from json.loads(path.read_text(encoding='utf-8'))


def source_of(mutation):
    """The file that it changes: a model, ours, or of the assembled tree; None: there is no
    such tree."""
    if mutation['suite'] == 'model':
        return paths.ROOT / mutation['file']
    of = project.LIBVIRT if mutation['suite'] == 'libvirt' else project.QEMU
    assembled = tree.Tree(of).path
    return tree.overlay_files(of).get(mutation['file']) or (
        assembled / mutation['file'] if assembled.exists() else None)


def names_test(text, test):
    """Whether a file has the test: a property of a model, Class.test_name, or a
    path's end, as GLib's tests are named below their program's own beginning.
    """
    if f'\nltl {test} ' in text:
        return True
    if '.' in test:
        name, _, method = test.partition('.')
        return f'class {name}(' in text and f'def {method}(' in text
    parts = test.split('/')
    return any(f'"{"/".join(parts[i:])}' in text or
               f'"/{"/".join(parts[i:])}' in text
               for i in range(1, len(parts)))


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
                self.assertTrue(path.exists(), mutation['test'])
                # A fuzzer is one test
                self.assertTrue(mutation['suite'] == 'fuzz' or names_test(
                    path.read_text(encoding='utf-8'), test), mutation['test'])

    def test_names_are_different(self):
        names = [mutation['name'] for mutation in mutations()]
        self.assertEqual(len(names), len(set(names)))


if __name__ == '__main__':
    unittest.main()
