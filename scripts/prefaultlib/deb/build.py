# SPDX-License-Identifier: GPL-2.0-or-later
"""A project's packages with prefault, built in a root of the release.

Of libvirt all that the distribution builds; of QEMU what an x86 host runs guests
with, as the emulators of other machines take hours.  No symbols for debuggers, and
the projects' own tests are not run, which scripts/check does.
"""
import os
import shutil
import subprocess
from dataclasses import dataclass, field

from .. import paths, say
from ..assemble import project
from ..build.directory import NINJA_STEP
from ..err import Fail
from . import root, sourcepackage

NEEDED = ('build-essential', 'fakeroot', 'ccache')
PROFILES = ('nocheck', 'pkg.qemu.omit-user', 'pkg.qemu.omit-system-xen')
APPARMOR = ('libvirt/src/security/apparmor/prefault '
            'etc/apparmor.d/abstractions/libvirt-qemu.d')


@dataclass(frozen=True)
class Packaging:
    """What a project's packaging is told.

    installs:    {file of debian/: lines added}; a line may name a file of ours
    left_out:    binary packages that are not built
    rules:       more words for debian/rules
    environment: variables, NAME: value
    withheld:    packages that are built and not kept
    indep:       those that are the same for all architectures are built, too
    """

    installs: dict
    left_out: tuple = ()
    rules: tuple = ()
    environment: dict = field(default_factory=dict)
    withheld: tuple = ()
    indep: bool = False


PACKAGING = {
    'qemu': Packaging(
        installs={'qemu-system-common.install':
                  ('usr/bin/qemu-prefault', APPARMOR)},
        left_out=(*(f'qemu-system-{name}' for name in (
            'arm', 'mips', 'misc', 'ppc', 'riscv', 's390x', 'sparc')),
            'qemu-guest-agent'),
        rules=('system-packages=x86',),
        environment={'QEMU_CONFIGURE_OPTIONS':
                     '--target-list=i386-softmmu,x86_64-softmmu'},
        # Depends on those of all machines
        withheld=('qemu-system',)),
    # AppArmor's snippet comes with QEMU, whichever libvirt there is
    'libvirt': Packaging(
        installs={'libvirt-dev.install':
                  ('usr/include/libvirt/libvirt-domain-prefault.h',),
                  'not-installed':
                  ('etc/apparmor.d/abstractions/libvirt-qemu.d/prefault',)},
        indep=True),            # they want the very same version
}


def prepared(release):
    """The root that packages of a release are built in, ours from now on."""
    place = root.Root(release, 'build')
    place.prepare()
    place.install(*NEEDED)
    return place


def build(package, place, target):
    """Build the packages of a SourcePackage; the paths of those in target.

    place: of prepared()
    """
    of = package.project
    say.step(f'{of.title} {package.version} of {package.suite} becomes '
             f'{package.ours}')
    here = place.folder / 'build'
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir()
    packaging = PACKAGING[of.name]
    tree = here / 'source'
    package.unpack(tree)
    sourcepackage.add_ours(package, tree, here / 'export', packaging)
    say.step('installing in the root what the build takes')
    place.run('apt-get', '-q', '-y', '-t', place.suite, 'build-dep',
              *([] if packaging.indep else ['--arch-only']),
              '-P', ','.join(PROFILES), './source', at='/build')
    _run_build(place, of, packaging)
    return _collect(here, target, packaging)


def index(place, target):
    """Make the folder of packages an archive that apt can install from."""
    folder = place.folder / 'index'
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(target, folder, ignore=lambda _, names: [
        name for name in names if not name.endswith('.deb')])
    place.run('sh', '-ec', 'dpkg-scanpackages . > Packages', at='/index')
    shutil.copy(folder / 'Packages', target)
    shutil.rmtree(folder)


def _run_build(place, of, packaging):
    """dpkg-buildpackage: its words to a log, ninja's progress to people."""
    log = paths.LOGS / f'package-{of.name}.log'
    say.step(f'building in {place.folder}; messages in {log}')
    command = place.command(
        'dpkg-buildpackage', '-b' if packaging.indep else '-B', '-us', '-uc',
        '-P' + ','.join(PROFILES),
        '-R' + ' '.join(['debian/rules', *packaging.rules]),
        at='/build/source', CCACHE_DIR='/var/cache/ccache',
        DH_OPTIONS=' '.join(f'-N{name}' for name in packaging.left_out),
        DEB_BUILD_OPTIONS='nocheck noautodbgsym terse '
                          f'parallel={os.cpu_count()}',
        **packaging.environment)
    with (open(log, 'w', encoding='utf-8') as out,
          subprocess.Popen(command, text=True, errors='replace',
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT) as running):
        try:
            _follow(running.stdout, out, f'building {of.title}')
        except BaseException:
            running.kill()
            raise
        status = running.wait()
    if status:
        raise Fail(f'the packages of {of.title} were not built: the end of '
                   f'{log} says why; then run this again')


def _follow(lines, log, label):
    bar = None
    for line in lines:
        log.write(line)
        step = NINJA_STEP.match(line)
        if step:
            # Each of several builds begins with its first step
            if not bar or step[1] == '1':
                bar = say.Bar(label)
            bar.at(int(step[1]) / int(step[2]), f'of {step[2]} steps')
            if step[1] == step[2]:
                bar.done()


def _collect(here, target, packaging):
    """Copy the packages, in the place of those of other versions."""
    target.mkdir(parents=True, exist_ok=True)
    made = [path for path in sorted(here.glob('*.deb'))
            if path.name.partition('_')[0] not in packaging.withheld]
    for path in made:
        for old in target.glob(f"{path.name.partition('_')[0]}_*.deb"):
            old.unlink()
        shutil.copy(path, target)
    return [target / path.name for path in made]


PROJECTS = {one.name: one for one in project.ALL}
