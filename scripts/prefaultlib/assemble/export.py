# SPDX-License-Identifier: GPL-2.0-or-later
"""Our changes to a project as mail: new files, by folder, then the hooks.

New files come first, a commit for each part of the overlay, so that each commit
builds: nothing compiles them before the hooks do.  The same checkout gives the
same mail, whoever exports it.
"""
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .. import paths
from ..err import Fail
from . import project, source, tree

# (folders of the project's tree, subject), in the order of the mails; no folder is
# in another
PARTS = {
    'qemu': (
        (('qapi',), 'qapi: describe prefault'),
        (('include',), "include: add prefault's interfaces"),
        (('hw/core', 'hw/i386'),
         'hw/core: populate and map guest memory before it is used'),
        (('accel',), 'accel/kvm: map guest memory by KVM_PRE_FAULT_MEMORY'),
        (('tools',), 'tools: add a program that follows prefault'),
        (('tests/unit',), 'tests/unit: test prefault by itself'),
        (('tests/fuzz',), 'tests/fuzz: fuzz parts of prefault'),
        (('tests/qtest',), "tests/qtest: test prefault's options and query"),
    ),
    'libvirt': (
        (('include', 'src/conf'), "conf: add prefault's part of a domain"),
        (('src/qemu',), 'qemu: follow prefault'),
        (('src/security',), "security: let QEMU read what prefault asks for"),
        (('tests',), 'tests: test prefault'),
    ),
}
BODY = 'New files of prefault {version}; nothing compiles them yet.'
# Whoever runs git in it needs no settings of git's, and theirs change nothing
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items()
       if not name.startswith('GIT_')},         # those of a hook
    'GIT_CONFIG_GLOBAL': os.devnull, 'GIT_CONFIG_NOSYSTEM': '1'}
FORMAT = ('format-patch', '--zero-commit', '-N', '--no-signature', '--no-stat',
          '--abbrev=8', '-q')


@dataclass
class Export:
    """What was written.

    folder:  of the patches and `series`
    names:   of the patches, in order
    mailbox: all of them
    """

    folder: Path
    names: list
    mailbox: Path


def write(of, folder, root=paths.ROOT):
    """Write a project's patches for its base below folder; an Export."""
    upstream = source.Upstream(of, root)
    # Not the name that an archive of theirs unpacks to
    name = f'prefault-{of.name}-{upstream.version}'
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob('*.patch'):
        old.unlink()
    mails = _new_files(of, root) + [
        (patch.stem[5:], patch.read_text(encoding='utf-8'))
        for patch in tree.series(of, root)]
    names = [f'{number:04}-{stem}.patch'
             for number, (stem, _) in enumerate(mails, 1)]
    for patch, (_, text) in zip(names, mails):
        (target / patch).write_text(text, encoding='utf-8')
    (target / 'series').write_text('\n'.join(names) + '\n')
    mailbox = folder / f'{name}.mbox'
    mailbox.write_text(''.join(text for _, text in mails), encoding='utf-8')
    return Export(target, names, mailbox)


def parts(of, root=paths.ROOT):
    """[(subject, {name in the project's tree: path})] of the new files."""
    found = {subject: {} for _, subject in PARTS[of.name]}
    for name, path in tree.overlay_files(of, root).items():
        subject = next((subject for folders, subject in PARTS[of.name]
                        for folder in folders if name.startswith(f'{folder}/')),
                       None)
        if not subject:
            raise Fail(f'{path} is in no part of the export: give it one in '
                       'scripts/prefaultlib/assemble/export.py')
        found[subject][name] = path
    return [(subject, files) for subject, files in found.items() if files]


def _new_files(of, root):
    """[(name, mail)], a commit for each part, made in a repository of its own."""
    name_address, date = sender(of, root)
    with tempfile.TemporaryDirectory(prefix='prefault-export-') as folder:
        def git(*words):
            done = subprocess.run(
                ['git', *words], cwd=folder, text=True, capture_output=True,
                env=dict(ENVIRONMENT, GIT_AUTHOR_DATE=date,
                         GIT_COMMITTER_DATE=date), check=False)
            if done.returncode:
                raise Fail(f'git {words[0]} failed: {done.stderr.strip()}')
            return done.stdout
        git('init', '-q')
        for key, value in zip(('name', 'email'), name_address):
            git('config', f'user.{key}', value)
        git('commit', '-q', '--allow-empty', '-m', 'pristine')
        mails = []
        for subject, files in parts(of, root):
            for name, path in files.items():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, Path(folder) / name)
            git('add', '-Af')
            git('commit', '-q', '-m', subject, '-m',
                BODY.format(version=project.version(root)))
            mails.append((re.sub(r'\W+', '-', subject.partition(':')[0]),
                          git(*FORMAT, '-1', '--stdout')))
        return mails


def sender(of, root=paths.ROOT):
    """((name, address), date) of a project's first patch, and so of the mail."""
    text = tree.series(of, root)[0].read_text(encoding='utf-8')
    name, address = re.search(r'^From: (.*) <(.*)>$', text, re.M).groups()
    return (name, address), re.search(r'^Date: (.*)$', text, re.M)[1]
