# SPDX-License-Identifier: GPL-2.0-or-later
"""A project's pristine source: find the archive, verify it, unpack it.

Searched in this order: our cache, the folder that the user names
(paths.sources()), the package index, the upstream release address; or only what
the user gives, an archive or a source tree.  No archive is unpacked that does
not have one of the checksums in the project's file `upstream`; a tree is the
user's own, and taken as it is.  An archive is in the cache, and a tree at its
final place, only when it is whole.
"""
import hashlib
import os
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

from .. import paths, say
from ..err import Fail
from . import debs, system

BLOCK = 1 << 20
STALL_SECONDS = 60
KEYS = ('version', 'suite')
TREE = 'tree '      # begins the stamp of a source tree, its path follows
# What people have in a source tree beside sources, on top or anywhere
BUILD_FOLDER = 'build'
NO_SOURCE = ('.git', '__pycache__')


class Archives:
    """Archives of which one is wanted, whichever is found.

    version:  of the project
    suite:    the Debian suite whose source index lists it, '' if none does
    archives: {name: sha256}
    give:     how the user gives one
    """

    def __init__(self, project, version, suite, archives, give=None):
        self.project = project
        self.give = give or project.give
        self.version = version
        self.suite = suite
        self.archives = archives
        self.title = f'{project.title} {version}'

    def accepts(self, stamp):
        """Tell whether an archive or a tree with this stamp() may be used."""
        return stamp in self.archives.values() or stamp.startswith(TREE)


class Upstream(Archives):
    """The pinned base of a project; without archives it takes a source tree.

    The file has a line `version X`, perhaps a line `suite X`, then lines
    `sha256 name`.
    """

    def __init__(self, project, root=paths.ROOT):
        path = Path(root) / project.patches / 'upstream'
        try:
            lines = path.read_text(encoding='utf-8').splitlines()
        except OSError as error:
            raise Fail(f'{path} cannot be read ({error.strerror}): it pins '
                       f'the version of {project.title}; there are '
                       f"{', '.join(project.known_bases(root))}") from error
        words = [line.split() for line in lines if line.strip()]
        if (not words or words[0][0] != 'version'
                or any(len(w) != 2 for w in words)):
            raise Fail(f'{path} is malformed: it needs a line `version X`, '
                       'perhaps `suite X`, then lines `sha256 archive-name`')
        named = {key: value for key, value in words if key in KEYS}
        super().__init__(project, named['version'], named.get('suite', ''),
                         {name: digest for digest, name in words
                          if digest not in KEYS})


def sha256(path):
    """The file's sha256 in hexadecimal digits."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def is_tree(path):
    """Tell whether a path is a source tree."""
    return (Path(path) / 'meson.build').is_file()


def stamp(origin):
    """What tells an archive, or a source tree, from another."""
    return (f'{TREE}{origin.resolve()}' if origin.is_dir() else sha256(origin))


def choose(path):
    """Take the PATH of an option --source: return it if it is to be find()'s
    @given; of a folder make paths.sources(), also for what we start."""
    if not path or not Path(path).is_dir() or is_tree(path):
        return path
    os.environ['PREFAULT_SOURCES'] = str(Path(path).resolve())
    return None


def find(upstream, given=None, cache=None):
    """Return the path of an archive whose checksum is accepted, or of a tree.

    @given: the user's own archive or tree: used, or refused, and nothing else
            is tried; of an archive the cache gets a copy, for the other trees
            of this version
    @cache: folder of archives, paths.CACHE if None
    """
    cache = cache or paths.CACHE
    if given:
        return _given(upstream, Path(given), cache)
    if not upstream.archives:
        raise Fail(f'no archive of {upstream.title} is pinned yet: give its '
                   f'source tree, {upstream.give}, or choose another '
                   f'version by `scripts/setup --base`')
    for name in upstream.archives:
        if _cached(upstream, cache / name):
            return cache / name
    reasons = []
    for fetch in (_from_folder, _from_index, _from_release):
        try:
            return fetch(upstream, cache)
        except Fail as fail:
            say.info(f'not there: {fail}')
            reasons.append(str(fail))
    raise Fail(f'the source of {upstream.title} was found nowhere; '
               f"{'; '.join(reasons)}; check the network and run this "
               f'again, or give an archive: {upstream.give}')


def at_hand(upstream, cache=None):
    """The path of an accepted archive that takes no network, or None."""
    folders = [cache or paths.CACHE, *filter(None, [paths.sources()])]
    return next((folder / name for folder in folders
                 for name in upstream.archives
                 if (folder / name).is_file()
                 and upstream.accepts(sha256(folder / name))), None)


def unpack(origin, target):
    """Unpack or copy what find() found at the folder target: all or nothing."""
    say.step(f"{'copying' if origin.is_dir() else 'unpacking'} {origin.name}")
    partial = target.with_name(target.name + '.partial')
    shutil.rmtree(partial, ignore_errors=True)
    if origin.is_dir():
        # Files keep their times, so that only what changed is compiled anew
        shutil.copytree(origin, partial, symlinks=True, ignore=lambda at, names: [
            name for name in names if name in NO_SOURCE
            or (name == BUILD_FOLDER and Path(at) == origin)
            or (Path(at) / name / 'build.ninja').exists()])
    else:
        extract(origin, partial)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(partial, target)


def extract(archive, target):
    """Unpack what an archive has in its one folder at a new folder target."""
    target.mkdir(parents=True)
    done = subprocess.run(
        ['tar', '-xf', str(archive), '-C', str(target), '--no-same-owner',
         '--strip-components=1'],
        capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(target, ignore_errors=True)
        raise Fail(f'{archive} cannot be unpacked '
                   f"({(done.stderr.strip().splitlines() or ['?'])[-1]}): "
                   'see that there is disk space, then run this again')


def _given(upstream, path, cache):
    if is_tree(path):
        _check_base(upstream, path)
        return path
    if not path.is_file():
        raise Fail(f'--source {path} is no file and no folder: give the archive '
                   f"itself, one of {', '.join(upstream.archives)}, a folder "
                   'that holds it, or a source tree')
    return _keep(upstream, path, cache)


def _check_base(upstream, path):
    """Fail if a tree is of another version than the base in use."""
    named = path / 'VERSION'
    text = (named if named.exists() else path / 'meson.build').read_text(
        encoding='utf-8')
    found = re.search(r"^(?:\s*version: ')?(\d+)\.(\d+)\.(\d+)", text, re.M)
    major, minor, micro = map(int, found.groups()) if found else (0, 0, 0)
    # 11.0.50 and later led to 11.1
    base = f'{major}.{minor + (micro >= 50)}'
    if base != upstream.project.base:
        raise Fail(f'--source {path} is a tree of version {base}, and that of '
                   f'{upstream.project.title} {upstream.project.base} is '
                   'wanted: give such a tree, or choose another by '
                   '`scripts/setup --base`')


def _keep(upstream, path, cache):
    """Copy the user's archive to the cache; returns the copy."""
    digest = sha256(path)
    if not upstream.accepts(digest):
        raise Fail(_wrong(upstream, path, digest) +
                   ': give an unchanged archive of that version, or unpack '
                   'it and give the folder')
    kept = cache / next(name for name, accepted in upstream.archives.items()
                        if accepted == digest)
    if not _cached(upstream, kept):
        cache.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(kept.name + '.partial')
        shutil.copyfile(path, partial)
        os.replace(partial, kept)
    return kept


def _from_folder(upstream, cache):
    """Take it from the folder that the user names, if it is there."""
    folder = paths.sources()
    if not folder:
        raise Fail('no folder of archives is named (PREFAULT_SOURCES, --source)')
    for name in upstream.archives:
        if (folder / name).is_file():
            say.step(f'taking {name} from {folder}')
            return _keep(upstream, folder / name, cache)
    raise Fail(f"{folder} holds no {' and no '.join(upstream.archives)}")


def _wrong(upstream, path, digest):
    return (f'{path} has the sha256 {digest[:16]}..., which is not an '
            f'accepted one of {upstream.title}')


def _cached(upstream, path):
    """Tell whether the cache holds it; throw out what is damaged."""
    if not path.is_file():
        return False
    digest = sha256(path)
    if upstream.accepts(digest):
        return True
    say.info(_wrong(upstream, path, digest) + ': removed from the cache')
    path.unlink()
    return False


def _from_index(upstream, cache):
    """Fetch the orig tarball that a source package index lists.

    The index is searched for our checksum, not for a version of the package:
    the packaging around the archive may change as it likes.
    """
    project = upstream.project
    system.need_debian('a source package index is read')
    words = debs.apt(upstream.suite, source=True)
    shown = subprocess.run(['apt-cache', *words, 'showsrc', project.name],
                           capture_output=True, text=True, check=False)
    for name, digest in upstream.archives.items():
        entry = next((e for e in shown.stdout.split('\n\n') if digest in e),
                     None)
        folder = entry and re.search(r'^Directory: (\S+)$', entry, re.M)
        if folder:
            archive = debs.mirror_of(upstream.suite).rstrip('/')
            uri = f'{archive}/{folder[1]}/{name}'
            return _download(upstream, uri, digest, cache / name)
    raise Fail(f'the source index of Debian {upstream.suite} does not list '
               f'{upstream.title} any more')


def _from_release(upstream, cache):
    project = upstream.project
    name = f'{project.name}-{upstream.version}.tar.xz'
    if name not in upstream.archives:
        raise Fail(f'no checksum is pinned for {name}')
    return _download(upstream, f'{project.releases}/{name}',
                     upstream.archives[name], cache / name)


def _download(upstream, uri, expected, target):
    """Download to the cache under a passing name, verify, then rename."""
    say.step(f'downloading {uri}')
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + '.partial')
    try:
        _copy_url(uri, partial)
        digest = sha256(partial)
    except OSError as error:
        raise Fail(f'{uri} cannot be downloaded ({error})') from error
    if digest != expected:
        partial.unlink()
        raise Fail(_wrong(upstream, uri, digest) +
                   '; the download was removed')
    os.replace(partial, target)
    return target


def _copy_url(uri, target):
    bar = say.Bar('downloading')
    with (_opener().open(uri, timeout=STALL_SECONDS) as answer,
          open(target, 'wb') as file):
        size = int(answer.headers.get('Content-Length') or 0)
        while block := answer.read(BLOCK):
            file.write(block)
            if size:
                bar.at(file.tell() / size, f'of {size >> 20} MB')
    bar.done()


def _opener():
    """As apt gets at the network: a proxy may be named in its own place only."""
    named = {} if urllib.request.getproxies() else {
        scheme: debs.proxy() for scheme in ('http', 'https') if debs.proxy()}
    return urllib.request.build_opener(
        *([urllib.request.ProxyHandler(named)] if named else []))
