# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk for L1: a clean Debian whose QEMU and libvirt apt has replaced by ours.

scripts/package made the packages, in build/packages; nothing else of this checkout
is in it.
"""
import os
import shutil
import unittest
from functools import partial
from pathlib import Path

from prefaultlib import err
from prefaultlib.assemble.tree import check_disk
from prefaultlib.deb.root import PATH, Root

from .artifacts import made, paths, run, skip

SUITE = 'trixie'
PACKAGES = paths.BUILD / 'packages' / SUITE
# What people have before: Debian's, with all that these recommend
THEIRS = ('qemu-system-x86', 'libvirt-daemon-system', 'libvirt-clients')
ARCHIVE = 'deb [trusted=yes] file:/packages ./\n'
FOLDER = '/debian'              # where L1 mounts it
DISK_MIB = 3072


def disk():
    """The path of the disk's image, ext4, made once of these packages."""
    if not os.environ.get('PREFAULT_LONG'):
        raise unittest.SkipTest('long: packages are installed for `scripts/check '
                                '--long` only')
    if not (PACKAGES / 'Packages').exists():
        skip(f'no packages in {PACKAGES}', 'run scripts/package as root')
    image = paths.BED / 'debian.img'
    try:
        check_disk(paths.BED, 2 * DISK_MIB << 20)
        made.ensure(image, made.digest([*sorted(PACKAGES.iterdir()),
                                        Path(__file__)]),
                    partial(_install, image))
    except err.Fail as fail:
        skip(f'no Debian with our packages: {fail}', 'it takes root')
    return image


def _install(image):
    """Debian's packages, then an upgrade; what apt prints is in a log."""
    root = Root(SUITE, 'installed')
    root.remove()
    root.prepare()
    root.run('apt-get', '-q', '-y', 'install', '--install-recommends', *THEIRS)
    shutil.copytree(PACKAGES, root.folder / 'packages', dirs_exist_ok=True)
    root.write('etc/apt/sources.list.d/prefault.list', ARCHIVE)
    root.run('apt-get', '-q', 'update')
    # Nothing is removed by that, or it does not take ours
    root.run('apt-get', '-q', '-y', 'upgrade')
    root.run('apt-get', 'clean')
    image.unlink(missing_ok=True)
    run([shutil.which('mke2fs', path=PATH), '-q', '-t', 'ext4', '-d',
         root.folder, image, f'{DISK_MIB}M'])
    root.remove()
