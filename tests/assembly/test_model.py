# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/model: what models name is in the code, and what they prove can fail.

Models describe the code, and nothing but this keeps them beside it.
"""
import io
import re
import unittest
from unittest import mock

from prefaultlib.check import model, tap
from prefaultlib.err import Fail
from prefaultlib.paths import ROOT

from ours import c_files, code

DOCUMENT = ROOT / 'docs' / 'model.md'
INLINE = re.compile(r'^inline (\w+)\(', re.M)
IN_COMMENT = re.compile(r'\b([a-z]\w+)\(\)')
COMMENT = re.compile(r'/\*.*?\*/', re.S)
MACRO = re.compile(r'^#define ((?:prefault|kvm)_\w+)', re.M)
# What the kernel does, and what only the model needs
NOT_OURS = ('linux_', 'model_')
ROW = re.compile(r'^\| `(\w+)` \| `(\w+)` \| (.+) \| (.+) \| (.+) \|$', re.M)


def called():
    """The functions that our C in QEMU defines, calls or hands on."""
    return {name for path in c_files()
            for name in re.findall(r'\b(\w+)\s*[(,)]', code((ROOT / path).read_text()))}


def named(text):
    """The functions of the code that a model names."""
    found = {*INLINE.findall(text), *MACRO.findall(text),
             *(name for comment in COMMENT.findall(text)
               for name in IN_COMMENT.findall(comment))}
    return {name for name in found if not name.startswith(NOT_OURS)}


class Models(unittest.TestCase):

    def test_functions_exist(self):
        there, count = called(), 0
        for path in sorted(model.FOLDER.iterdir()):
            names = named(path.read_text(encoding='utf-8'))
            count += len(names)
            self.assertEqual(names - there, set(), f'{path.name} names them')
        self.assertGreater(count, 60)
        print(f'# note: models name {count} functions, all of them in the code')

    def test_functions_are_found_in_models(self):
        text = ('inline ledger_x(a)\n{ skip }\n/* early_y(), linux_z() */\n'
                '#define prefault_w (1)\nskip /* one, and\n * late_v() */\n')
        self.assertEqual(named(text),
                         {'ledger_x', 'early_y', 'prefault_w', 'late_v'})

    def test_each_property_is_broken_on_purpose(self):
        broken = {(one['model'], one['property']) for one in model.breakages()}
        there = {(name, one) for name in model.names()
                 for one in model.properties(name)}
        self.assertEqual(there - broken, set(), 'nothing breaks them')
        self.assertEqual(broken - there, set(), 'there are no such properties')

    def test_each_model_asks_for_the_end_of_something(self):
        """Threads that are stuck break no property that is only about states."""
        for name in model.names():
            self.assertIn('<>', ''.join(model.properties(name).values()), name)

    def test_the_document_has_all_of_them(self):
        rows = {(row[0], row[1]): row for row in
                ROW.findall(DOCUMENT.read_text(encoding='utf-8'))}
        self.assertEqual(set(rows), {(name, one) for name in model.names()
                                     for one in model.properties(name)})
        for one in model.breakages():
            said = rows[one['model'], one['property']][4].split('; ')
            self.assertIn(one['name'], said)
        self.assertEqual(sum(len(row[4].split('; ')) for row in rows.values()),
                         len(model.breakages()))

    def test_the_document_names_functions_that_exist(self):
        names = set(IN_COMMENT.findall(DOCUMENT.read_text(encoding='utf-8')))
        self.assertGreater(len(names), 20)
        self.assertEqual(names - called(), set())


SAID = """unreached in proctype Main
\tgate.pml:50, state 9, "closing = 1"
\tgate.pml:75, state 38, "-end-"
\t(2 of 38 states)
unreached in claim closing_ends
\t_spin_nvr.tmp:19, state 13, "-end-"
"""


class Suite(unittest.TestCase):
    """What the suite says without Spin's help."""

    def test_missing_programs_are_named(self):
        with mock.patch('shutil.which', lambda name: None if name == 'spin' else name):
            with self.assertRaisesRegex(Fail, '^spin is missing.* install'):
                model.run(tap.Results(io.StringIO()), None)

    def test_what_is_not_there_is_named(self):
        with mock.patch('shutil.which', str):
            with self.assertRaisesRegex(Fail, 'no property .* begins with a_x: .*deletion'):
                model.run(tap.Results(io.StringIO()), {'gate': ['a_x']})

    def test_steps_that_are_not_taken_are_found(self):
        self.assertEqual(model.unreached(SAID), {'Main, gate.pml:50: "closing = 1"'})

    def test_a_search_that_was_cut_short_is_noticed(self):
        for said in ('error: max search depth too small', 'depth reached 999999, errors: 0',
                     'pan: reached -DMEMLIM bound'):
            self.assertTrue(model.CUT_SHORT.search(said), said)


if __name__ == '__main__':
    unittest.main()
