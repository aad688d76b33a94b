# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's own rules of style: its checkpatch.pl on our files and patches."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prefaultlib.assemble import project, tree
from prefaultlib.paths import ROOT

import ours

# What a complaint begins with: why it is none for us
IGNORED = {
    'Missing Signed-off-by': 'signed off by who sends the series',
}
COMPLAINT = re.compile(r'.+:\d+: (?:ERROR|WARNING): (.+)')
TESTS = ('tests/unit', 'tests/qtest', 'tests/fuzz')


def counts(line):
    """Is a line of checkpatch's output a complaint that counts?

    So is a line that is no complaint: checkpatch has failed.
    """
    said = COMPLAINT.fullmatch(line)
    return bool(line) and not (said and said[1].startswith(tuple(IGNORED)))


class TestStyle(unittest.TestCase):
    """No error and no warning."""

    def setUp(self):
        made = tree.Tree(project.QEMU)
        self.script = made.path / 'scripts/checkpatch.pl'
        if not self.script.is_file():
            self.skipTest('no assembled tree of QEMU: run '
                          f'{project.QEMU.give.split(" --source")[0]}')
        if not shutil.which('perl'):
            self.skipTest('no perl: install it')

    def complaints(self, files, *options):
        """What checkpatch says of files, with paths relative to a checkout."""
        def run(some):
            done = subprocess.run(
                ['perl', self.script, '--no-tree', '--terse', '--no-summary',
                 '--color=never', *options, '--', *some],
                cwd=ROOT, text=True, check=False, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT)
            return done.stdout.splitlines()

        parts = os.cpu_count() or 1
        files = sorted(files, key=lambda name: (ROOT / name).stat().st_size)
        with ThreadPoolExecutor(parts) as pool:
            said = pool.map(run, filter(None, (files[part::parts]
                                               for part in range(parts))))
        return sorted(line for lines in said for line in lines if counts(line))

    def nothing(self, said):
        if said:
            self.fail('\n'.join(['', *said]))

    def test_files(self):
        files = [*ours.c_files(), *(path.relative_to(ROOT) for path in
                                    ours.sources(*TESTS) if path.suffix in ('.c', '.h'))]
        self.nothing(self.complaints(files, '--file'))

    def test_patches(self):
        self.nothing(self.complaints(
            [path.relative_to(ROOT) for path in tree.series(project.QEMU)]))

    def test_it_would_complain(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, 'a.c')
            path.write_text('int a(void)\n{\n\treturn 0;\n}\n')
            self.assertEqual(self.complaints([path], '--file'),
                             [f'{path}:3: ERROR: code indent should never use tabs'])

    def test_a_failure_of_its_own_counts(self):
        self.assertNotEqual(self.complaints(['README.md'], '--nonsense'), [])


if __name__ == '__main__':
    unittest.main()
