# SPDX-License-Identifier: GPL-2.0-or-later
"""A disk for L1: a clean Debian in which our packages were installed by apt.

scripts/package made the packages, in build/packages; nothing else of this checkout
is in it.
"""
import os
import shutil
import unittest

from prefaultlib.deb.root import Root

from .artifacts import TESTS, made, paths, run, skip

PACKAGES = paths.BUILD / 'packages'
SUITE = 'trixie'
# What apt is told to install of these, and libvirt's clients
NAMES = ('qemu-system-x86', 'qemu-system-common', 'libvirt-daemon-driver-qemu',
         'libvirt-daemon', 'libvirt-clients')
FOLDER = '/debian'              # where L1 mounts it
DISK_MIB = 2048


def debs():
    """The packages, those of NAMES and what else of ours they need."""
    found = sorted(PACKAGES.glob('*.deb'))
    if not os.environ.get('PREFAULT_LONG'):
        raise unittest.SkipTest('long: packages are installed for `scripts/check '
                                '--long` only')
    there = {path.name.partition('_')[0] for path in found}
    missing = [name for name in NAMES if name not in there]
    if missing:
        skip(f"no {', '.join(missing)} in {PACKAGES}",
             'run scripts/package as root')
    return found


def disk():
    """The path of the disk's image, ext4, made once of these packages."""
    found = debs()
    image = paths.BED / 'debian.img'
    made.ensure(image, made.digest(found, [TESTS]),
                lambda: _install(found, image))
    return image


def _install(found, image):
    """In a root of its own, which apt fills: what it prints is in a log."""
    root = Root(SUITE, 'installed')
    root.remove()
    root.prepare()
    folder = root.folder / 'packages'
    folder.mkdir()
    for path in found:
        shutil.copy(path, folder)
    # What is not named comes from there where it has the same version
    root.install(*(f'./packages/{path.name}' for path in found
                   if path.name.partition('_')[0] in NAMES
                   or path.name.startswith('libvirt')))
    image.unlink(missing_ok=True)
    run(['mke2fs', '-q', '-t', 'ext4', '-d', root.folder, image,
         f'{DISK_MIB}M'])
