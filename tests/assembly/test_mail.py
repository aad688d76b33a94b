# SPDX-License-Identifier: GPL-2.0-or-later
"""The patches are mail: `git am` takes them, and makes of them what setup makes.

Checked in a repository of its own that holds the pristine files which the series
touches, as they were kept aside when the tree was assembled.
"""
import email
import email.policy
import shutil
import tempfile
import unittest
from pathlib import Path

from prefaultlib.assemble import project, tree

from gitrepo import contents, git, repository

# First words of subjects, after `component: `
VERBS = ('accept', 'add', 'build', 'check', 'compile', 'convert', 'describe',
         'give', 'keep', 'let', 'map', 'move', 'pass', 'remove', 'rename', 'stop',
         'take', 'tell', 'treat', 'use')
SHORT = 76          # characters of a subject, as git's own tools show it


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
