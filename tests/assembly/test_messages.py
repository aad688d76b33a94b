# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/troubleshooting.md has every message of the product, and no other.

A message there is an item of a list, or a cell of a table, that is nothing but code of
several words.  Rows below a heading that names an enumeration of QAPI begin with its
values.
"""
import re
import tempfile
import unittest
from pathlib import Path

from prefaultlib.paths import ROOT

import messages

PAGE = ROOT / 'docs/troubleshooting.md'
SCHEMA = ROOT / 'qapi/prefault.json'
ITEM = re.compile(r'^\* `([^`]+)`$', re.M)
CELL = re.compile(r'(?<=\|) `([^`|]+)` (?=\|)')
ROW = re.compile(r'^ *\| `([\w-]+)` \|', re.M)
SECTION = re.compile(r'^(?=#{1,6} )', re.M)
NAMED = re.compile(r'^#.*`(Prefault\w+)`')
ENUM = re.compile(r"\{ 'enum': '(\w+)',\s*'data': \[([^]]*)\]")
ENUMS = ('PrefaultSkipReason', 'PrefaultOwedReason', 'PrefaultStatus',
         'PrefaultTrigger', 'PrefaultExit')
# First cells that are names, and no messages
SYMPTOMS = '## Symptoms'


def sections(text):
    """[(heading, text)] of a page, those of symptoms left out."""
    found, skipping = [], False
    for part in SECTION.split(text):
        heading = part.partition('\n')[0]
        if re.match('##? ', heading):
            skipping = heading == SYMPTOMS
        if not skipping:
            found.append((heading, part))
    return found


def told(text):
    """[message] of a page, in order."""
    return [' '.join(message.split())
            for heading, part in sections(text) if not NAMED.match(heading)
            for message in ITEM.findall(part) + CELL.findall(part)
            if messages.has_words(message)]


def told_values(text):
    """{enumeration: [value]} of a page."""
    return {NAMED.match(heading)[1]: ROW.findall(part)
            for heading, part in sections(text) if NAMED.match(heading)}


def values(text):
    """{enumeration: [value]} of a schema."""
    return {name: re.findall(r"'([\w-]+)'", data)
            for name, data in ENUM.findall(text)}


def differences(page, sources):
    """[sentence] of what the page has not, or has and is not in the sources."""
    have = set(told(page))
    for message, files in sorted(sources.items()):
        if message not in have:
            yield f'{", ".join(files)} says: {message}'
    for message in sorted(have - sources.keys()):
        yield f'nothing says: {message}'


class TestPage(unittest.TestCase):
    """The page as it stands."""

    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.text = PAGE.read_text(encoding='utf-8')

    def test_has_every_message_and_no_other(self):
        found = list(differences(self.text, messages.collect()))
        print(f'# note: {len(set(told(self.text)))} messages and parts of them')
        if found:
            self.fail(f'{PAGE.name}: ' + '\n'.join(found))

    def test_has_each_message_once(self):
        said = told(self.text)
        self.assertEqual([x for x in set(said) if said.count(x) > 1], [])

    def test_has_every_value_of_the_enumerations(self):
        schema = values(SCHEMA.read_text(encoding='utf-8'))
        self.assertEqual(told_values(self.text),
                         {name: schema[name] for name in ENUMS})


class TestReading(unittest.TestCase):
    """What is read of sources and of a page."""

    def read(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, 'made-up.c')
            path.write_text(text, encoding='utf-8')
            return sorted(messages.collect([path]))

    def test_literals_side_by_side_are_one(self):
        self.assertEqual(self.read('error_setg(errp, "it is "\n    "%s" "here");'),
                         ['it is ...here'])

    def test_placeholders(self):
        self.assertEqual(
            self.read('warn_report("memory at 0x%" HWADDR_PRIx ", %" PRIu64 " of %zu: '
                      '%1$s%s, %03d %%", a);'), ['memory at 0xN, N of N: ..., N %'])

    def test_macros(self):
        text = ('#define WHY "because it " \\\n    "is"\n#define X "Linux %d"\n'
                '#define X "no Linux"\nerror_report(WHY ": so");\nf("takes " X);\n')
        self.assertEqual(self.read(text), ['Linux N', 'because it is: so',
                                           'no Linux', 'takes ...'])

    def test_both_sides_of_a_choice(self):
        self.assertEqual(self.read('f(a ? "it is one" : "it is two");'),
                         ['it is one', 'it is two'])

    def test_tables(self):
        self.assertEqual(self.read('x[] = { [A] = "it is one", "it is two" };'),
                         ['it is one', 'it is two'])

    def test_no_messages(self):
        self.assertEqual(self.read(
            '/* "it is one" */ sscanf(text, "it is %d", &x); f("word"); f("");\n'
            'printf("some figures\\n"); c = \'"\'; f("%s %d");'), [])

    def test_page(self):
        text = ('# A\n\n* `it is one`\n\n  | `it is two` | do |\n| `word` | |\n'
                '* `it is` not one\n## Symptoms\n| `it is no` | |\n### B\n'
                '* `it is no`\n## Why (`PrefaultX`)\n| `some-word` | |\n')
        self.assertEqual(told(text), ['it is one', 'it is two'])
        self.assertEqual(told_values(text), {'PrefaultX': ['some-word']})

    def test_both_ways(self):
        self.assertEqual(
            list(differences('* `it is one`\n', {'it is two': ['a.c']})),
            ['a.c says: it is two', 'nothing says: it is one'])


if __name__ == '__main__':
    unittest.main()
