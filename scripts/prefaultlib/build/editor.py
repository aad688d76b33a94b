# SPDX-License-Identifier: GPL-2.0-or-later
"""compile_commands.json for editors, with the checkout's own files.

QEMU's names the copies in the assembled tree: an editor that has our file open would
not find it there, and a jump would lead to the copy.
"""
import json
from pathlib import Path

from .. import paths
from ..assemble import tree

NAME = 'compile_commands.json'


def translated(commands, copies):
    """The entries, those of the files that are copies for their originals.

    copies: {path of a copy: path of its original}, as text
    """
    for entry in commands:
        copy = (Path(entry['directory']) / entry['file']).resolve()
        if str(copy) in copies:
            original = copies[str(copy)]
            # Our headers before their copies, QEMU's where it has them beside ours
            words = (f' -iquote {paths.ROOT}/include -iquote {copy.parent}'
                     f' -c {original}')
            yield dict(entry, file=original, command=entry['command'].replace(
                f" -c {entry['file']}", words))
        else:
            yield entry


def write_commands(build):
    """Write build/compile_commands.json from that of a build directory."""
    source = build.folder / NAME
    if not source.exists():
        return
    copies = {str((build.source / name).resolve()): str(path)
              for name, path in tree.overlay_files(build.project).items()}
    commands = json.loads(source.read_text(encoding='utf-8'))
    text = json.dumps(list(translated(commands, copies)), indent=1)
    target = paths.BUILD / NAME
    if not target.exists() or target.read_text(encoding='utf-8') != text:
        tree.write(target, text)
