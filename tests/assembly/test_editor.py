# SPDX-License-Identifier: GPL-2.0-or-later
"""compile_commands.json names this checkout's files, and what else it has to."""
import unittest

from prefaultlib.build import editor

COPY = '/top/build/src/qemu/hw/core/new.c'
ORIGINAL = '/top/hw/core/new.c'


def entry(name):
    return {'directory': '/top/build/qemu', 'file': f'../src/qemu/{name}',
            'output': f'{name}.o',
            'command': f'cc -I../src/qemu -MF {name}.d -o {name}.o '
                       f'-c ../src/qemu/{name}'}


class Translation(unittest.TestCase):

    def setUp(self):
        self.ours, self.theirs = editor.translated(
            [entry('hw/core/new.c'), entry('hw/core/old.c')], {COPY: ORIGINAL})

    def test_file_of_ours_is_the_checkouts(self):
        self.assertEqual(self.ours['file'], ORIGINAL)
        self.assertTrue(self.ours['command'].endswith(f' -c {ORIGINAL}'))
        self.assertIn('-I../src/qemu ', self.ours['command'])

    def test_file_of_theirs_stays(self):
        self.assertEqual(self.theirs, entry('hw/core/old.c'))


if __name__ == '__main__':
    unittest.main()
