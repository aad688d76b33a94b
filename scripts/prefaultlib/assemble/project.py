# SPDX-License-Identifier: GPL-2.0-or-later
"""The upstream projects that we extend: what is not the same for all of them.

Each has one pinned version, patches, and an overlay: our new files, which lie
in this checkout as they lie in the project's tree.
"""
from dataclasses import dataclass


@dataclass(frozen=True)
class Project:
    """Paths are relative to a checkout.

    name:     of its Debian source package, its releases and its folders
    title:    what people call it
    patches:  folder of the patches, and of `upstream`, which pins the version
    top:      folder that the overlay's names are relative to
    overlay:  folders of new files below top
    pristine: patterns of the patches that the tree for comparison has, too
    suite:    the Debian suite whose source index lists the pinned version
    releases: address of the release archives
    give:     the command that takes an archive from the user
    """

    name: str
    title: str
    patches: str
    top: str
    overlay: tuple
    pristine: tuple
    suite: str
    releases: str
    give: str


QEMU = Project(
    name='qemu', title='QEMU', patches='patches/qemu/10.2',
    top='', overlay=('accel', 'hw', 'include', 'qapi', 'tests/unit',
                     'tests/qtest'),
    # The first lets a tree without firmware build; it emulates the test bed.
    pristine=('patches/qemu/10.2/0001-*.patch', 'patches/bed/10.2/*.patch'),
    suite='sid', releases='https://download.qemu.org',
    give='scripts/setup --source PATH')

LIBVIRT = Project(
    name='libvirt', title='libvirt', patches='patches/libvirt/11.3',
    top='libvirt', overlay=('',), pristine=(),
    suite='trixie', releases='https://download.libvirt.org',
    give='scripts/build --variant libvirt --source PATH')

ALL = (QEMU, LIBVIRT)
