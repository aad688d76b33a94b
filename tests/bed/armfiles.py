# SPDX-License-Identifier: GPL-2.0-or-later
"""arm64: our QEMU for it, and an emulated machine with EL2 whose Linux has KVM.

All in a clean Debian that has arm64's packages beside its own, so that nothing of
that is installed here: the cross compiler and libraries, Debian's own QEMU as L0, a
kernel for L1.  L1 runs a script from its initramfs; what that prints is all that
comes out.  Takes root, and minutes, once.
"""
import os
import shutil
import subprocess
import unittest

from prefaultlib import err
from prefaultlib.assemble import debs, project, tree
from prefaultlib.build import qemu
from prefaultlib.deb.root import Root, need_root

from .artifacts import cpio, made, skip

SUITE = 'trixie'
CROSS = 'aarch64-linux-gnu-'
NEEDED = ('gcc', 'libc6-dev', 'make', 'ninja-build', 'meson', 'pkgconf', 'ccache',
          'python3-venv', 'python3-pycotap', 'flex', 'bison',
          'device-tree-compiler', 'gcc-aarch64-linux-gnu',
          'libc6-dev-arm64-cross', 'libc6-dev:arm64', 'libglib2.0-dev:arm64',
          'libfdt-dev:arm64', 'zlib1g-dev:arm64', 'libpcre2-dev:arm64',
          'qemu-system-arm')
# Of the kernels the newest that the mirror has
DOWNLOAD = '''rm -f *.deb
for name in $(apt-cache pkgnames linux-image-6.12 |
              grep '[0-9]+deb13-cloud-arm64$' | sort -rV); do
    apt-get -q download $name:arm64 && break
done
apt-get -q download busybox-static:arm64'''
# Only `virt`, and only by KVM; one file, so that L1 takes no libraries
WORDS = [f'--cross-prefix={CROSS}', '--static', '--disable-tcg', '--enable-kvm',
         '--target-list=aarch64-softmmu', '--without-default-features',
         '--with-devices-aarch64=minimal',
         '--enable-fdt=system', '--disable-docs', '--disable-install-blobs']
BUILT = ('qemu-system-aarch64', qemu.FOLLOWER)
L0 = ['qemu-system-aarch64', '-M', 'virt,virtualization=on,gic-version=3',
      '-cpu', 'cortex-a76', '-smp', '2', '-m', '2G', '-nodefaults', '-display',
      'none', '-serial', 'stdio', '-no-reboot', '-kernel', '/build/l1/kernel',
      '-initrd', '/build/l1/initramfs', '-append',
      'console=ttyAMA0 quiet panic=-1']
BOOT_SECONDS = 300
INIT = '''#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
{}
poweroff -f
'''


class Arm64:
    """What boots, made once of this checkout's QEMU."""

    def __init__(self):
        if not os.environ.get('PREFAULT_LONG'):
            raise unittest.SkipTest('long: arm64 is built for `scripts/check '
                                    '--long` only')
        self.root = Root(SUITE, 'arm64')
        self.here = self.root.folder / 'build'
        self.source = tree.Tree(project.QEMU).path
        try:
            need_root()
            self._make_root()
            self._make_qemu()
            self.files = self._unpack()
        except err.Fail as fail:
            skip(f'no arm64: {fail}', 'it takes root and the network once')

    def _make_root(self):
        def make():
            self.root.remove()
            self.root.prepare()
            self.root.run('dpkg', '--add-architecture', 'arm64')
            self.root.run('apt-get', '-q', 'update')
            self.root.install(*NEEDED)
            (self.here / 'debs').mkdir(parents=True)
            self.root.run('sh', '-ec', DOWNLOAD, at='/build/debs')
        made.ensure(self.root.folder.with_name(
            self.root.folder.name + '-ready'), made.digest([], NEEDED), make)

    def _make_qemu(self):
        """Of the assembled tree, as it is now."""
        def make():
            for name in 'source', 'arm':
                shutil.rmtree(self.here / name, ignore_errors=True)
            shutil.copytree(self.source, self.here / 'source', symlinks=True)
            (self.here / 'arm').mkdir()
            self.root.run('../source/configure', *WORDS, at='/build/arm')
            self.root.run('ninja', *BUILT, at='/build/arm')
        ours = tree.overlay_files(project.QEMU).values()
        made.ensure(self.here / 'arm', made.digest(
            [*ours, *tree.series(project.QEMU)], WORDS), make)

    def _unpack(self):
        """{path in L1: file}"""
        folder = self.here / 'l1'
        shutil.rmtree(folder, ignore_errors=True)
        for deb in (self.here / 'debs').glob('*.deb'):
            debs.unpack(deb, folder / 'unpacked')
        shutil.copy(next((folder / 'unpacked/boot').glob('vmlinuz-*')),
                    folder / 'kernel')
        files = {'/bin/busybox': folder / 'unpacked/usr/bin/busybox'}
        for name in BUILT:
            program = name.rpartition('/')[2]
            self.root.run(f'{CROSS}strip', '-o', f'/build/l1/{program}',
                          f'/build/arm/{name}')
            files[f'/bin/{program}'] = folder / program
        return files

    def run(self, script):
        """The lines that L1 prints while it runs a script of busybox's."""
        content = {name: path.read_bytes() for name, path in self.files.items()}
        content['/init'] = INIT.format(script).encode()
        (self.here / 'l1/initramfs').write_bytes(cpio(content))
        done = subprocess.run(self.root.command(*L0), text=True, timeout=BOOT_SECONDS,
                              errors='replace', stdin=subprocess.DEVNULL,
                              capture_output=True, check=False)
        return done.stdout.splitlines() + done.stderr.splitlines()
