# SPDX-License-Identifier: GPL-2.0-or-later
"""The upstream projects that we extend: what is not the same for all of them.

Each has an overlay, our new files, which lie in this checkout as they lie in the
project's tree; and for each version that it fits, its base, a folder of patches.
QEMU's base is chosen by `scripts/setup --base`.
"""
import dataclasses
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from .. import paths

BASE = '10.2'       # of QEMU, if nobody chooses


@dataclass(frozen=True)
class Project:
    """Paths are relative to a checkout.

    name:     of its Debian source package, its releases and its folders
    title:    what people call it
    bases:    folder of a folder for each base
    base:     the one in use: it has `upstream`, which pins the version, and
              `series`, the names of the patches in order, relative to it
    top:      folder that the overlay's names are relative to
    overlay:  folders of new files below top, or patterns of such files
    pristine: patterns of the patches that the tree for comparison has, too
    releases: address of the release archives
    give:     the command that takes an archive from the user
    """

    name: str
    title: str
    bases: str
    base: str
    top: str
    overlay: tuple
    pristine: tuple
    releases: str
    give: str

    @property
    def patches(self):
        """The folder of the base in use."""
        return f'{self.bases}/{self.base}'

    def at(self, base):
        """The same project with another base."""
        return dataclasses.replace(self, base=base)

    def known_bases(self, root=paths.ROOT):
        """The bases that there are patches for, in order."""
        return sorted((path.parent.name for path in
                       (Path(root) / self.bases).glob('*/upstream')),
                      key=lambda name: [int(n) for n in name.split('.')])


def version(root=paths.ROOT):
    """Ours, as meson.build has it."""
    text = (Path(root) / 'meson.build').read_text(encoding='utf-8')
    return re.search(r"^project\('prefault', version: '(.+?)'", text, re.M)[1]


def chosen_base():
    """QEMU's base of this run, or of build/, which scripts/setup made."""
    try:
        options = json.loads((paths.BUILD / 'options.json').read_text())
    except OSError:
        options = {}
    return os.environ.get('PREFAULT_BASE') or options.get('base', BASE)


QEMU = Project(
    name='qemu', title='QEMU', bases='patches/qemu', base=chosen_base(),
    top='', overlay=('accel', 'hw', 'include', 'qapi', 'tools', 'tests/unit',
                     'tests/qtest', 'tests/fuzz/*.[ch]'),
    # The first lets a tree without firmware build; it emulates the test bed.
    pristine=('patches/qemu/10.2/0001-*.patch', 'patches/bed/*.patch'),
    releases='https://download.qemu.org',
    give='scripts/setup --source PATH')

LIBVIRT = Project(
    name='libvirt', title='libvirt', bases='patches/libvirt', base='11.3',
    top='libvirt', overlay=('',), pristine=(),
    releases='https://download.libvirt.org',
    give='scripts/build --variant libvirt --source PATH')

ALL = (QEMU, LIBVIRT)
