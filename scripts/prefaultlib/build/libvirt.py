# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt's build directories, and beside each what it would install.

Nothing of it is installed on this machine: build/libvirt-root holds the
installed tree, stripped, for the test bed.
"""
import os
import shutil

from .. import made, paths
from ..assemble import project
from ..err import Fail
from . import directory

# Of libvirt's drivers QEMU's and what it needs, without a user of its own.
# Without optimisation it compiles in a third of the time, and all that it is
# asked to do here takes no time.
WORDS = ['-Doptimization=0', '-Ddebug=false', '-Dauto_features=disabled',
         '-Dsystem=true', '-Dprefix=/usr', '-Dlibdir=lib64',
         '-Ddriver_qemu=enabled', '-Ddriver_remote=enabled',
         '-Ddriver_libvirtd=enabled', '-Djson_c=enabled', '-Dlibnl=enabled',
         '-Dnumactl=enabled', '-Dtests=enabled', '-Ddocs=disabled',
         '-Dno_git=true', '-Dqemu_user=root', '-Dqemu_group=root']

# name: directory.  Both have the same words, so that only our files differ.
VARIANTS = {'libvirt': 'libvirt', 'libvirt-pristine': 'pristine/libvirt'}


class Build(directory.Build):
    """One variant's build directory."""

    project = project.LIBVIRT

    def __init__(self, variant, source):
        """@source: the assembled tree"""
        super().__init__(variant, source, VARIANTS[variant], WORDS)

    def configure_command(self):
        return [*self.meson, 'setup', *self.words,
                os.path.relpath(self.source, self.folder)]

    def default_targets(self):
        """All that would be installed; libvirt's `all` has its tests, too."""
        return sorted({self.relative(name)
                       for target in self.introspect('targets')
                       if target['installed']
                       for name in target['filename']})

    def install(self):
        """Bring the installed tree up to date with the build; its folder."""
        root = self.folder.with_name(self.folder.name + '-root')
        # Links between these have no file here
        key = made.digest(sorted(
            name for name in self.introspect('installed')
            if os.path.isfile(name)))
        made.ensure(root, key, lambda: self._install_in(root))
        return root

    def _install_in(self, root):
        shutil.rmtree(root, ignore_errors=True)
        log = paths.LOGS / f'install-{self.variant}.log'
        if directory.run_logged(
                [*self.meson, 'install', '--no-rebuild', '--strip',
                 '--destdir', str(root)],
                log, self.folder, directory.environment()):
            raise Fail(f'libvirt cannot be installed in {root}: the end of '
                       f'{log} says why; then run this again')
