# SPDX-License-Identifier: GPL-2.0-or-later
"""What `ninja -C build install` installs runs as it lies there."""
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

from prefaultlib import paths
from prefaultlib.assemble import project
from prefaultlib.build import directory

QUIT = '{"execute": "qmp_capabilities"} {"execute": "quit"}'


class Installed(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        subprocess.run([paths.ROOT / 'scripts/build', '--install'], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
                       env=dict(os.environ, DESTDIR=folder.name))
        prefix = directory.top_options()['prefix']
        cls.bin = Path(folder.name + prefix) / 'bin'

    def run_in(self, program, *words, typed='', folder=None):
        """What an installed program prints; it must end with 0."""
        done = subprocess.run([(folder or self.bin) / program, *words], input=typed,
                              text=True, capture_output=True, check=False,
                              timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, '')
        return done.stdout

    def test_versions(self):
        for program in 'qemu-system-x86_64', 'qemu-prefault':
            self.assertIn(f'(prefault {project.version()})',
                          self.run_in(program, '--version'))

    def test_firmware_is_found(self):
        """Without -L, of each machine that has its own; where built, too."""
        for folder in self.bin, paths.QEMU_BUILD:
            for machine in 'pc', 'q35', 'microvm':
                with self.subTest(folder=folder, machine=machine):
                    said = self.run_in(
                        'qemu-system-x86_64', '-M', machine, '-accel', 'tcg',
                        '-S', '-nodefaults', '-display', 'none', '-qmp',
                        'stdio', typed=QUIT, folder=folder)
                    self.assertIn('"SHUTDOWN"', said)


if __name__ == '__main__':
    unittest.main()
