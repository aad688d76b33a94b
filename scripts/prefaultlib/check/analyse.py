# SPDX-License-Identifier: GPL-2.0-or-later
"""clang-tidy on our C files, a result for each.

It follows the paths through a function, and knows the attributes and the inline
functions of QEMU's and GLib's headers, since it compiles as they were compiled.
.clang-tidy at the top says which checks, and why not others.
"""
import json
import os
import re
import shlex
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

from .. import paths
from ..build import editor, variants
from ..err import Fail
from . import programs

TOOL = 'clang-tidy-19'        # Debian 12 and 13 have it: the findings are the same
TIMEOUT = 300
FOLDERS = ('accel', 'hw', 'tools')
COMMANDS = 'compile_commands.json'
# Of gcc's own, or of no concern where nothing is written
NOT_CLANGS = re.compile(r'ccache|-ftrivial-auto-var-init=.*|-fzero-call-used-regs=.*'
                        r'|-MD')


def files():
    """{name that may be chosen: path} of our C files."""
    return {str(path.relative_to(paths.ROOT)): path for folder in FOLDERS
            for path in sorted((paths.ROOT / folder).rglob('*.c'))}


def entries():
    """{path: its entry of compile_commands.json, for clang}."""
    build = variants.configured('default')
    build.build()               # headers that are generated
    editor.write_commands(build)
    found = {}
    for entry in json.loads((paths.BUILD / COMMANDS).read_text(encoding='utf-8')):
        words = [word for word in shlex.split(entry['command'])
                 if not NOT_CLANGS.fullmatch(word)]
        # One of several that compile it
        found[entry['file']] = dict(entry, command=shlex.join(words))
    return found


def run(results, chosen=None):
    """Analyse all files, or those that are chosen by files()'s names."""
    if not shutil.which(TOOL):
        raise Fail(f'no {TOOL}: install the package {TOOL}')
    known = entries()
    wanted = [(name, path) for name, path in files().items()
              if str(path) in known and (chosen is None or name in chosen)]
    if not wanted:
        raise Fail(f'{COMMANDS} has none of these files: run ninja -C build')
    folder = paths.BUILD / 'analyse'
    folder.mkdir(exist_ok=True)
    (folder / COMMANDS).write_text(json.dumps(
        [known[str(path)] for _, path in wanted]), encoding='utf-8')

    def analyse(item):
        name, path = item
        since = time.monotonic()
        done = programs.bounded([TOOL, '-p', folder, '--quiet', path], TIMEOUT)
        results.add(f'analyse/{name}', *(
            ('FAIL', time.monotonic() - since, '', done.stdout.splitlines())
            if done.returncode else ('ok', time.monotonic() - since)))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(analyse, wanted))
