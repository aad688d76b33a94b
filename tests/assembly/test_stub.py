# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU without prefault, on hosts other than Linux: nothing is missing."""
import json
import re
import shlex
import subprocess
import unittest

from prefaultlib import paths
from prefaultlib.paths import ROOT

STUB = ROOT / 'hw/core/prefault/stub.c'
COMMANDS = paths.BUILD / 'compile_commands.json'


class TestStub(unittest.TestCase):

    def test_each_function_that_qemu_calls_has_a_stub(self):
        face = (ROOT / 'include/hw/core/prefault.h').read_text(encoding='utf-8')
        schema = (ROOT / 'qapi/prefault.json').read_text(encoding='utf-8')
        wanted = set(re.findall(r'^\w[\w *]*\b(prefault_\w+)\(', face, re.M))
        wanted |= {'qmp_' + name.replace('-', '_') for name in
                   re.findall(r"'command': '([\w-]+)'", schema)}
        self.assertGreater(len(wanted), 8)
        stubs = set(re.findall(r'^\w[\w *]*\b(\w+)\(',
                               STUB.read_text(encoding='utf-8'), re.M))
        self.assertEqual(stubs, wanted)

    def test_it_compiles(self):
        """As the file beside it does, on this host."""
        commands = (json.loads(COMMANDS.read_text()) if COMMANDS.exists()
                    else [])
        entry = next((entry for entry in commands if entry['file'].endswith(
            'hw/core/prefault/lifecycle.c')), None)
        if not entry:
            self.skipTest('no build of QEMU: run scripts/setup and ninja -C '
                          'build')
        words = shlex.split(entry['command'])
        words[words.index('-o') + 1] = '/dev/null'
        for option in '-MF', '-MQ':
            del words[words.index(option):words.index(option) + 2]
        words = [str(STUB) if word.endswith('lifecycle.c') else word
                 for word in words if word not in ('-MD', 'ccache')]
        done = subprocess.run([*words, '-Werror'], cwd=entry['directory'],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == '__main__':
    unittest.main()
