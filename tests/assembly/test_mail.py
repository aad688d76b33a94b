# SPDX-License-Identifier: GPL-2.0-or-later
"""The patches are mail: `git am` takes them, and makes of them what setup makes.

Checked in a repository of its own that holds the pristine files which the series
touches, as they were kept aside when the tree was assembled.
"""
import email
import email.policy
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from prefaultlib.assemble import project, tree

# Whoever runs this needs no settings of git's, and theirs change nothing
SETTINGS = ('-c', 'user.name=test', '-c', 'user.email=test@prefault.invalid')
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items()
       if not name.startswith('GIT_')},         # those of a hook
    'GIT_CONFIG_GLOBAL': os.devnull, 'GIT_CONFIG_NOSYSTEM': '1'}
# First words of subjects, after `component: `
VERBS = ('accept', 'add', 'build', 'check', 'compile', 'convert', 'describe',
         'give', 'keep', 'let', 'map', 'move', 'pass', 'remove', 'rename', 'stop',
         'take', 'tell', 'treat', 'use')
SHORT = 76          # characters of a subject, as git's own tools show it


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


def letter(patch):
    """(From, Date, message) of a mail, its subject without [PATCH]."""
    mail = email.message_from_string(patch.read_text(encoding='utf-8'),
                                     policy=email.policy.default)
    body = mail.get_payload().partition('diff --git ')[0].strip()
    subject = (mail['Subject'] or '').removeprefix('[PATCH] ')
    return str(mail['From']), str(mail['Date']), f'{subject}\n\n{body}'


def commits(folder):
    """(author, date, message) of each commit that is not pristine, in order."""
    told = git(folder, 'log', '--reverse', '--format=%an <%ae>%x00%aD%x00%B%x01',
               'pristine..')
    return [tuple(part.strip() for part in entry.split('\0'))
            for entry in told.split('\1')[:-1]]


def contents(folder):
    """{name: bytes} of the files below a folder but git's."""
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob('*')
            if path.is_file() and path.relative_to(folder).parts[0] != '.git'}


class TestQemuSeries(unittest.TestCase):
    """QEMU's series, as a maintainer would get it."""

    project = project.QEMU

    def setUp(self):
        self.tree = tree.Tree(self.project)
        self.series = tree.series(self.project)

    def folder(self):
        """A folder for this test."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        return Path(made.name)

    def taken(self):
        """A repository in which `git am` took the whole series."""
        if not shutil.which('git'):
            self.skipTest('no git: install it')
        if not self.tree.originals.is_dir():
            self.skipTest(f'no assembled tree of {self.project.title}: run '
                          f'{self.project.give.split(" --source")[0]}')
        folder = self.folder()
        repository(folder, self.tree.originals)
        git(folder, 'am', '-q', *map(str, self.series))
        return folder

    def test_each_patch_becomes_one_commit(self):
        """With its sender, date, subject and text."""
        self.assertEqual(commits(self.taken()), list(map(letter, self.series)))

    def test_git_makes_the_files_that_setup_makes(self):
        by_setup = self.folder()
        by_git = self.taken()
        shutil.copytree(self.tree.originals, by_setup, dirs_exist_ok=True)
        for patch in self.series:
            tree.apply(patch, by_setup)
        self.assertEqual(contents(by_git), contents(by_setup))

    def test_subjects_say_where_and_do_what(self):
        """`component: verb ...`, on one line of a log."""
        for patch in self.series:
            subject = letter(patch)[2].splitlines()[0]
            self.assertRegex(subject, rf'^\S.*: ({"|".join(VERBS)}) .*[^.]$',
                             patch.name)
            self.assertLessEqual(len(subject), SHORT, patch.name)

    def test_each_says_why(self):
        for patch in self.series:
            self.assertNotEqual(letter(patch)[2].partition('\n\n')[2], '',
                                f'{patch.name} has a subject only')


class TestLibvirtSeries(TestQemuSeries):
    """The same of libvirt's."""

    project = project.LIBVIRT


if __name__ == '__main__':
    unittest.main()
