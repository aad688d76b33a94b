# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt's AppArmor profile of a QEMU, compiled for L1's kernel.

Of the patched tree's own abstraction, TEMPLATE.qemu and what virt-aa-helper would
add for a domain that lies where the bed's files are; with prefault's part and
without.  Debian's apparmor_parser compiles them here; the bed's kernel is Debian's,
which has AppArmor.
"""
import shutil

from prefaultlib import made, paths

from .artifacts import package, run, skip

# Of Debian 12: runs there and on later ones
SUITES = ('bookworm',)
HOOKED = 'libvirt-*/src/security/apparmor'      # below paths.SRC
OURS = paths.ROOT / 'libvirt/src/security/apparmor/prefault'
FOLDER = '/prefault/apparmor'
# {name of the profile: whether prefault's part is there}
PROFILES = {'libvirt-with-prefault': True, 'libvirt-without': False}
DOMAIN = '''  /prefault/** rmix,
  /tmp/** rwk,
'''


def files():
    """{path in L1: compiled profile}."""
    debian = package('apparmor', 'apparmor', SUITES)
    trees = sorted(paths.SRC.glob(HOOKED))
    if not trees:
        skip(f'no {paths.SRC}/{HOOKED}', 'run scripts/setup')
    folder = paths.BED / 'apparmor-profiles'
    key = made.digest([*sorted(trees[-1].iterdir()), OURS, __file__])
    made.ensure(folder, key, lambda: _compile(debian, trees[-1], folder))
    return {f'{FOLDER}/{name}': folder / f'{name}.bin' for name in PROFILES}


def _compile(debian, tree, folder):
    shutil.rmtree(folder, ignore_errors=True)
    for name, whole in PROFILES.items():
        base = folder / name
        shutil.copytree(debian / 'etc/apparmor.d', base)
        shutil.copy(tree / 'libvirt-qemu', base / 'abstractions')
        extra = base / 'abstractions/libvirt-qemu.d'
        extra.mkdir()
        if whole:
            shutil.copy(OURS, extra)
        text = (tree / 'TEMPLATE.qemu').read_text(encoding='utf-8')
        source = base / name
        source.write_text(text.replace('LIBVIRT_TEMPLATE', name).replace(
            '}\n', DOMAIN + '}\n'), encoding='utf-8')
        (base / 'none').touch()
        features = debian / 'usr/share/apparmor-features/features'
        run([debian / 'sbin/apparmor_parser', '--config-file', base / 'none',
             '-K', '-Q', '-b', base, '-I', base, '-M', features,
             '-o', folder / f'{name}.bin', source])
