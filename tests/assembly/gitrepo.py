# SPDX-License-Identifier: GPL-2.0-or-later
"""Git repositories of a test's own."""
import shutil
import subprocess

from prefaultlib.assemble.export import ENVIRONMENT

SETTINGS = ('-c', 'user.name=test', '-c', 'user.email=test@prefault.invalid')


def git(folder, *words):
    """Run git in a folder; its output."""
    done = subprocess.run(['git', *SETTINGS, *words], cwd=folder, text=True,
                          env=ENVIRONMENT, capture_output=True, check=False)
    if done.returncode:
        raise AssertionError(f'git {words[0]}: {done.stdout}{done.stderr}')
    return done.stdout


def repository(folder, originals):
    """Make a repository of the pristine files, its one commit `pristine`."""
    shutil.copytree(originals, folder, dirs_exist_ok=True)
    git(folder, 'init', '-q')
    git(folder, 'add', '-Af')
    git(folder, 'commit', '-qm', 'pristine')
    git(folder, 'tag', 'pristine')


def contents(folder):
    """{name: bytes} of the files below a folder but git's."""
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob('*')
            if path.is_file() and path.relative_to(folder).parts[0] != '.git'}
