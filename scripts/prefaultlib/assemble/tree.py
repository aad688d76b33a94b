# SPDX-License-Identifier: GPL-2.0-or-later
"""An assembled tree: a pristine project, our overlay, our patches.

Guarantees: a file is written only if its content changes, so that nothing is
compiled without need; a mistake in overlay or patches is found before the tree
is touched; an interruption at any point is repaired by the next run.

How: the patched files' originals are kept aside.  The patches are applied to
copies of these, in a folder of their own, and only the finished results are
moved into the tree.
"""
import os
import re
import shutil
import subprocess
from pathlib import Path

from .. import made, paths, say
from ..err import Fail
from . import source

# Assembled tree, build directories and caches with some room to spare.
DISK_NEEDED = 3 << 30
SHOWN = 20          # names of files that are told


class Tree:
    """One assembled tree and what it is made of; see the module's text."""

    def __init__(self, project, root=paths.ROOT, build=None):
        self.project = project
        self.root = Path(root)
        self.upstream = source.Upstream(project, root)
        self.src = (build or self.root / 'build') / 'src'
        self.path = self.src / f'{project.name}-{self.upstream.version}'
        state = self.src / f'{self.path.name}-state'
        self.originals = state / 'originals'    # of every file ever patched
        self.scratch = state / 'scratch'
        self.incoming = state / 'incoming'      # a file not whole yet
        self.upstream_list = state / 'upstream.files'
        self.overlay_list = state / 'overlay.files'
        self.unpacked = state / 'unpacked'      # what it was, source.stamp()

    def assemble(self, find, anew=False):
        """Bring the tree up to date; return whether anything changed.

        @find: called without arguments for the archive or tree if one is needed
        @anew: there may be a newer one
        """
        with made.locked(self.src / f'{self.project.name}-lock'):
            fresh = self._ensure_unpacked(find, anew)
            overlay = self._overlay()
            self._check_shadows(overlay)
            patched = self._patch_in_scratch()
            changed = self._sync_overlay(overlay)
            changed += self._sync_patched(patched)
            shutil.rmtree(self.scratch, ignore_errors=True)
        if changed and not fresh:
            say.step(f'updated in {self.path.name}: '
                     + (' '.join(changed) if len(changed) <= SHOWN else
                        f'{len(changed)} files'))
        return bool(changed) or fresh

    def _overlay(self):
        return overlay_files(self.project, self.root)

    def _series(self):
        return series(self.project, self.root)

    def is_of(self):
        """The stamp of what the tree was made of, '' if there is none."""
        return (self.unpacked.read_text().strip()
                if self.path.is_dir() and self.unpacked.exists() else '')

    def own_origin(self):
        """The user's source tree that it was made of, or None."""
        stamp = self.is_of()
        return (stamp.removeprefix(source.TREE)
                if stamp.startswith(source.TREE) else None)

    def is_older_than(self, other):
        """Tell whether it was unpacked before another one that is there."""
        return self.is_of() and (self.unpacked.stat().st_mtime_ns <
                                 other.unpacked.stat().st_mtime_ns)

    def _ensure_unpacked(self, find, anew):
        if not anew and self.upstream.accepts(self.is_of()):
            return False
        check_disk(self.src, DISK_NEEDED)
        origin = find()
        shutil.rmtree(self.upstream_list.parent, ignore_errors=True)
        self.upstream_list.parent.mkdir(parents=True)
        source.unpack(origin, self.path)
        names = sorted(str(p.relative_to(self.path))
                       for p in self.path.rglob('*') if not p.is_dir())
        write(self.upstream_list, '\n'.join(names) + '\n')
        write(self.unpacked, source.stamp(origin) + '\n')
        return True

    def _check_shadows(self, overlay):
        theirs = set(read_lines(self.upstream_list))
        shadows = sorted(theirs.intersection(overlay))
        if shadows:
            raise Fail(f'the overlay file {shadows[0]} shadows one of '
                       f"{self.upstream.title}'s own: rename it, or change "
                       f'that file by a patch in {self.project.patches}')

    def _patch_in_scratch(self):
        """Apply the patches to originals; return the patched files' names."""
        patches = self._series()
        touched = set(read_lines(self.upstream_list)) & {
            name for patch in patches for name in patched_files(patch)}
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        for name in sorted(touched | self._kept_originals()):
            copy(self._original(name), self.scratch / name,
                 self.incoming)
        for patch in patches:
            apply(patch, self.scratch)
        return sorted(touched | self._kept_originals())

    def _kept_originals(self):
        return {str(p.relative_to(self.originals))
                for p in self.originals.rglob('*') if p.is_file()}

    def _original(self, name):
        """The pristine file, kept aside before the tree's is first changed."""
        kept = self.originals / name
        if not kept.exists():
            copy(self.path / name, kept, self.incoming)
        return kept

    def _sync_patched(self, names):
        return [name for name in names
                if replace_if_changed(self.scratch / name, self.path / name,
                                      self.incoming)]

    def _sync_overlay(self, overlay):
        """Copy what changed, delete what went away; return their names."""
        known = set(read_lines(self.overlay_list))
        write(self.overlay_list, '\n'.join(sorted(known | set(overlay))))
        gone = sorted(known - set(overlay))
        changed = [name for name, path in sorted(overlay.items())
                   if replace_if_changed(path, self.path / name,
                                      self.incoming)]
        for name in gone:
            (self.path / name).unlink(missing_ok=True)
        write(self.overlay_list, '\n'.join(sorted(overlay)))
        return changed + gone


class Pristine(Tree):
    """A project as it is but for the patches it names, for comparison."""

    def __init__(self, project):
        # One level down, so that paths from its build directory to its
        # sources are those of the patched tree, and ccache hits (QEMU's).
        super().__init__(project, build=paths.PRISTINE)

    def _overlay(self):
        return {}

    def _series(self):
        return [patch for pattern in self.project.pristine
                for patch in sorted(self.root.glob(pattern))]


def series(project, root=paths.ROOT):
    """The project's patches, in order."""
    folder = Path(root) / project.patches
    return [Path(os.path.normpath(folder / name))
            for name in read_lines(folder / 'series')]


def overlay_files(project, root=paths.ROOT):
    """{name in the project's tree: path} of every file of the overlay."""
    top = Path(root) / project.top
    return {str(path.relative_to(top)): path
            for one in project.overlay
            for path in sorted(top.glob(one) if '*' in one
                               else (top / one).rglob('*'))
            if path.is_file() and not path.name.startswith('.')
            and not path.name.endswith(('~', '.orig', '.rej'))}


def patched_files(patch):
    """The names of the files that a patch changes."""
    try:
        text = patch.read_text(encoding='utf-8')
    except OSError as error:
        raise Fail(f'{patch} cannot be read ({error.strerror}), and a series '
                   'names it: restore it from git') from error
    if re.search(r'^(---|\+\+\+) /dev/null', text, re.M):
        raise Fail(f'the patch {patch} creates or removes a file: put new '
                   'files into the overlay, and leave what is upstream\'s')
    return re.findall(r'^\+\+\+ b/(\S+)', text, re.M)


def apply(patch, folder):
    """Apply one patch to the files below folder, without fuzz."""
    done = subprocess.run(
        ['patch', '-p1', '-F0', '--no-backup-if-mismatch', '--batch',
         '--forward', '-r', '-', '-d', str(folder), '-i',
         str(patch.resolve())],
        capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    where = re.search(r'^Hunk #\d+ FAILED at \d+', done.stdout, re.M)
    names = re.findall(r'^patching file (\S+)', done.stdout, re.M)
    what = (f'{where[0]} of {names[-1]}' if where and names else
            (done.stdout + done.stderr).strip().replace('\n', '; '))
    raise Fail(f'the patch {patch} does not apply without fuzz ({what}): '
               'make it fit the pinned version; the assembled tree is unchanged')


def check_disk(folder, needed, usage=shutil.disk_usage):
    """Fail if less than needed bytes are free where folder lies."""
    while not folder.exists():
        folder = folder.parent
    free = usage(folder).free
    if free < needed:
        raise Fail(f'{folder} has {free / 2**30:.1f} GiB of free disk space '
                   f'and {needed / 2**30:.1f} GiB are needed: make room, '
                   'then run this again')


def replace_if_changed(new, old, incoming):
    """Make old's content new's, as copy() does; tell if there was need."""
    if old.is_file() and old.read_bytes() == new.read_bytes():
        return False
    keep_mode = old if old.exists() else new
    mode = keep_mode.stat().st_mode & 0o777
    copy(new, old, incoming)
    old.chmod(mode)
    return True


def copy(old, new, incoming):
    """Copy a file by way of incoming: it is whole or not there.

    Its time is now.
    """
    new.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(old, incoming)
    os.replace(incoming, new)


def write(path, text):
    """Write a text file; it is whole or not there."""
    partial = path.with_name(path.name + '.new')
    partial.write_text(text, encoding='utf-8')
    os.replace(partial, path)


def read_lines(path):
    """The file's lines, none if there is no such file."""
    return path.read_text(encoding='utf-8').split() if path.exists() else []
