# SPDX-License-Identifier: GPL-2.0-or-later
"""Pristine files of a version, of whatever is at hand without network."""
import shutil
import subprocess
from pathlib import Path

from prefaultlib.assemble import source, tree


def origin(of):
    """The archive, or the user's tree, of a version; None: none is at hand."""
    own = tree.Tree(of).own_origin()
    return Path(own) if own else source.at_hand(source.Upstream(of))


def names_in(archive):
    """The names of the files in an archive or tree."""
    if archive.is_dir():
        return {str(path.relative_to(archive)) for path in archive.rglob('*')}
    told = subprocess.run(['tar', '-tf', archive], check=True, text=True,
                          capture_output=True).stdout
    return {line.partition('/')[2] for line in told.split('\n')}


def take(archive, names, folder):
    """Unpack, or copy, some of the files."""
    if archive.is_dir():
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(archive / name, folder / name)
        return
    subprocess.run(
        ['tar', '-xf', archive, '-C', folder, '--strip-components=1',
         '--wildcards', '--no-wildcards-match-slash',
         *(f'*/{name}' for name in names)], check=True)
