# SPDX-License-Identifier: GPL-2.0-or-later
"""The libvirt under test on disk, and what of it L1 needs.

A *root* is what its installation with DESTDIR left: build/libvirt-root, patched,
and build/pristine/libvirt-root.  It is built for the prefix /usr, so in L1 each
file lies where it lies below the root.  PREFAULT_BED_LIBVIRT names another root
for the patched one.
"""
import os
import unittest
from pathlib import Path

from .artifacts import libraries, paths, pristine_qemu, stripped

WANTED = ('usr/sbin/virtqemud', 'usr/bin/virsh', 'usr/sbin/virtlockd',
          'usr/lib*/**/lockd.so',
          'usr/lib*/**/libvirt_driver_qemu.so', 'usr/lib*/**/libvirt_iohelper',
          'usr/share/libvirt/cpu_map/*.xml', 'usr/share/libvirt/schemas/*.rng')
# Wherever its build put them, in L1 they lie where the loader looks
LIBRARIES = 'usr/**/libvirt*.so.0'
LIBRARY_DIR = '/usr/lib'
# A QEMU that has not heard of prefault, with the same libraries
UNPATCHED = '/prefault/unpatched/bin/qemu-system-x86_64'


def root(pristine=False):
    """The folder below which libvirt is installed."""
    path = paths.BUILD / ('pristine/libvirt-root' if pristine else
                          'libvirt-root')
    if not pristine:
        path = Path(os.environ.get('PREFAULT_BED_LIBVIRT') or path)
    if not (path / 'usr/sbin/virtqemud').exists():
        if pristine and not os.environ.get('PREFAULT_LONG'):
            raise unittest.SkipTest('long: an unpatched libvirt is built for '
                                    '`scripts/check --long` only')
        raise unittest.SkipTest(f'no libvirt in {path} (run scripts/check '
                                'functional, which builds it)')
    return path


def built(name):
    """The path of a program in the patched libvirt's build tree, where it finds
    what belongs to it without being installed."""
    path = paths.BUILD / 'libvirt' / name
    if not path.exists():
        raise unittest.SkipTest(f'no {path} (run scripts/check functional, '
                                'which builds it)')
    return str(path)


def files(folder):
    """{path in L1: file} of the libvirt below a root, all it needs, and the
    unpatched QEMU."""
    found = {f'/{path.relative_to(folder)}': path.resolve()
             for pattern in WANTED for path in sorted(folder.glob(pattern))}
    own = sorted(folder.glob(LIBRARIES))
    env = {'LD_LIBRARY_PATH': ':'.join({str(path.parent) for path in own})}
    needed = {}
    for path in [*found.values(), *own]:
        if '.' not in path.name or '.so' in path.name:
            needed |= libraries(path, env)
    found |= {f'{LIBRARY_DIR}/{path.name}': path.resolve() for path in own}
    found[UNPATCHED] = stripped(pristine_qemu())
    return found | {name: path for name, path in needed.items()
                    if path not in found.values()}
