# SPDX-License-Identifier: GPL-2.0-or-later
"""A distribution's own source package, with our patches in its series.

The distribution's patches stay, ours follow them; its packaging stays but for the
lines that name our files.
"""
import email
import re
import shutil
import subprocess

from .. import paths, say
from ..assemble import debs, export, project, source
from ..err import Fail

TARBALLS = re.compile(r'\.(orig|debian)\.tar\.\w+$')
COMPONENT = re.compile(r'\.orig-[\w-]+\.tar\.\w+$')
OURS = 'prefault'               # folder below debian/patches
GIVE = 'PREFAULT_SOURCES names a folder that has it'
ENTRY = '''{source} ({version}) {suite}; urgency=medium

  * Pre-fault guest memory: patches of prefault {ours}.

 -- {sender}  {date}

'''


def find(of, release):
    """The newest SourcePackage of a project, of any base, that a release has.

    Of a stable release also among what mends it: where its security archive has a
    newer one, people have that.
    """
    suites = ([release] if release.endswith('-backports') else
              debs.with_updates(release))
    entries = [entry for suite in suites for entry in _listed(of, suite)]
    if not entries:
        raise Fail(f'{release} has no source package {of.name}: choose a release '
                   'that has, by --release')
    best = debs.newest(entries, lambda entry: entry.version)
    best.check()
    return best


def _listed(of, suite):
    shown = subprocess.run(
        ['apt-cache', *debs.apt(suite, source=True), 'showsrc',
         '--only-source', of.name], capture_output=True, text=True, check=False)
    return [SourcePackage(of, suite, text)
            for text in shown.stdout.split('\n\n') if text.strip()]


class SourcePackage:
    """What a suite's index lists of a project.

    version: of the package
    files:   {name: sha256} of its archives, upstream's and the packaging
    whole:   there are no others
    """

    def __init__(self, of, suite, entry):
        """@of:    the project, of any base
        @entry: of the index
        """
        entry = email.message_from_string(entry.lstrip())
        self.name = of.name
        self.suite = suite
        self.version = entry['Version']
        listed = [line.split() for line in
                  entry['Checksums-Sha256'].strip().splitlines()]
        self.files = {name: digest for digest, _, name in listed
                      if TARBALLS.search(name)}
        self.whole = not any(COMPONENT.search(name) for *_, name in listed)
        self.project = of.at('.'.join(self.upstream.split('.')[:2]))

    @property
    def upstream(self):
        """Of the project, as its version has it: 10.0.13+ds."""
        return self.version.rpartition('-')[0].rpartition(':')[2]

    @property
    def ours(self):
        """The version of what is made of it.

        What the distribution appends next, +deb13u1 or +b1, sorts after +0.
        """
        return f'{self.version}+0prefault{project.version()}'

    def check(self):
        """Fail unless there are patches for it."""
        bases = self.project.known_bases()
        if self.project.base not in bases:
            raise Fail(f'{self.suite} has {self.project.title} {self.version}, '
                       f"and there are patches for {', '.join(bases)}: choose "
                       'another release, by --release')
        if not self.whole:
            raise Fail(f'{self.suite} has {self.project.title} {self.version} in '
                       'more than one archive, which is not known here: choose '
                       'another release, by --release')

    def unpack(self, target):
        """Fetch it and unpack it at the folder target, patches not applied."""
        shutil.rmtree(target, ignore_errors=True)
        for name, digest in sorted(self.files.items(), key=_packaging_last):
            say.info(f'unpacking {name}')
            tarball = source.find(source.Archives(
                self.project, self.version, self.suite, {name: digest}, GIVE))
            source.extract(tarball, target / 'debian' if _is_packaging(name)
                           else target)


def _is_packaging(name):
    return '.debian.tar.' in name


def _packaging_last(item):
    return _is_packaging(item[0])


def add_ours(package, tree, at, packaging):
    """Put our patches, our lines of packaging and a new version in its tree.

    tree:      unpacked, patches not applied
    at:        a folder for the patches as mail
    packaging: its Packaging
    """
    made = export.write(package.project, at)
    if not package.upstream.startswith(
            source.Upstream(package.project).version):
        say.info(f'the patches of {made.folder.name} will be tried on '
                 f'{package.upstream}')
    patches = tree / 'debian/patches' / OURS
    patches.mkdir(parents=True)
    with open(tree / 'debian/patches/series', 'a', encoding='utf-8') as series:
        for name in made.names:
            shutil.copy(made.folder / name, patches)
            series.write(f'{OURS}/{name}\n')
    for name, lines in packaging.installs.items():
        _install(tree, name, lines)
    _new_version(package, tree)


def _install(tree, name, lines):
    """Add lines to a file of debian/, and the files of ours that they name."""
    debian, text = tree / 'debian', ''
    for line in lines:
        ours = paths.ROOT / line.split()[0]
        if ours.is_file():
            (debian / OURS).mkdir(exist_ok=True)
            shutil.copy(ours, debian / OURS)
            line = f'debian/{OURS}/{ours.name} {line.split()[1]}'
        text += f'{line}\n'
    # Some are made from another, when the build begins
    path = next((path for path in (debian / f'{name}.in', debian / name)
                 if path.exists()), None)
    if not path:
        raise Fail(f'the packaging has no {debian / name}: its lines in '
                   'scripts/prefaultlib/deb/build.py are for another version')
    with open(path, 'a', encoding='utf-8') as file:
        file.write(text)


def _new_version(package, tree):
    sender, date = export.sender(package.project)
    path = tree / 'debian/changelog'
    entry = ENTRY.format(source=package.name, version=package.ours,
                         suite=package.suite, ours=project.version(),
                         sender=f'{sender[0]} <{sender[1]}>', date=date)
    path.write_text(entry + path.read_text(encoding='utf-8'), encoding='utf-8')
