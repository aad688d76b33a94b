# SPDX-License-Identifier: GPL-2.0-or-later
"""Made-up XML of a domain's <prefault>: libvirt's schema and its parser agree, but
for differences that are named here, and what is taken comes out again.

Elements are made of the schema's attributes and values.  The domain has no KVM: of
a state other than off the daemon says so once it has parsed it.
"""
import os
import random
import tempfile
import unittest
import xml.etree.ElementTree as ET
from pathlib import Path
from xml.sax.saxutils import quoteattr

from prefaultlib import paths
from prefaultlib.assemble import project, tree

from daemon import CLIENT, DAEMON, Daemon, can_run

SEED = 1
DOCUMENTS = 6000 if os.environ.get('PREFAULT_LONG') else 400
RNG = '{http://relaxng.org/ns/structure/1.0}'
UUID = '8c0f3c38-33b5-4f4b-a7d2-1b6f3a2f7f11'
DOMAIN = f'''<domain type='qemu'>
  <name>fuzz</name><uuid>{UUID}</uuid><memory unit='MiB'>16</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><kvm>{{}}</kvm></features>
  <devices><emulator>{paths.QEMU}</emulator></devices>
</domain>
'''
NUMBERS = ['1', '8', '4294967295', '4294967296', '99999999999999999999', '0', '-1',
           '+8', ' 8', '8 ', '08', '0x10', '8k', '', '1.0']
NO_SCHEMA = 'failed to validate against schema'
NO_PARSER = 'XML error'
NO_KVM = "only supported with domains of type 'kvm'"
UINT_MAX = (1 << 32) - 1


def schema():
    """{attribute of <prefault>: its values, or None for a number}."""
    path = tree.Tree(project.LIBVIRT).path / 'src/conf/schemas/domaincommon.rng'
    kvm = ET.parse(path).getroot().find(f".//{RNG}element[@name='prefault']")
    return {attribute.get('name'): [value.text for value in
                                    attribute.iter(f'{RNG}value')] or None
            for attribute in kvm.iter(f'{RNG}attribute')}


class Maker:
    """Makes elements, the same each time."""

    def __init__(self, attributes):
        self.random = random.Random(SEED)
        self.attributes = attributes

    def value(self, values):
        if values is None:
            return self.random.choice(NUMBERS[:2] * 5 + NUMBERS)
        word = self.random.choice(values)
        return word if self.random.random() < 0.9 else self.random.choice([
            word.upper(), f' {word}', f'{word}\t', '', 'default', word[:-1], 'ä',
            '<&', "'\"", self.random.choice(['hold', 'on', 'lock', '1'])])

    def element(self):
        """(text, {attribute: value}, content, is it twice there)."""
        given = {name: self.value(values)
                 for name, values in self.attributes.items()
                 if self.random.random() < (0.95 if name == 'state' else 0.3)}
        if self.random.random() < 0.5 and 'state' in given:
            given['state'] = 'off'          # what can be looked at afterwards
        if self.random.random() < 0.05:
            given[self.random.choice(['mode', 'Threads', 'slot-zap-all'])] = 'on'
        content = self.random.choice([''] * 30 + ['on', '<threads/>', ' <!-- -->'])
        words = list(given.items())
        self.random.shuffle(words)
        text = ''.join(f' {name}={quoteattr(value)}' for name, value in words)
        twice = self.random.random() < 0.03
        return (f'<prefault{text}>{content}</prefault>' * (1 + twice), given,
                content, twice)


def difference(attributes, given, content, twice):
    """Why schema and parser may differ: what only one of them minds, or None."""
    if set(given) - set(attributes):
        return 'an attribute that does not exist: the parser passes over it'
    if content.strip() and not content.strip().startswith('<!--'):
        return 'content: the parser passes over it'
    if twice:
        return 'two elements: the parser takes the last'
    for name, value in given.items():
        if attributes[name] is None and value.strip().isdigit():
            if int(value) > UINT_MAX:
                return 'a number of more than 32 bits: the schema has no end'
            if value[0] == ' ':
                return 'white space before a number: the parser skips it'
        if attributes[name] is None and value == '+8':
            return 'a sign before a number: the parser takes it'
        if attributes[name] and value.strip() != value:
            return 'white space beside a word: the schema strips it'
    return None


@unittest.skipUnless(DAEMON.exists() and CLIENT.exists(),
                     'no libvirt is built: run `ninja -C build libvirt`')
class TestXml(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        if not can_run():
            raise unittest.SkipTest('host: no user and PID namespaces for a libvirt '
                                    'of its own: allow them, install util-linux')
        cls.attributes = schema()
        make = Maker(cls.attributes)
        cls.made = [make.element() for _ in range(DOCUMENTS)]
        cls.answers = list(zip(cls.made, cls.ask([text for text, *_ in cls.made])))

    @classmethod
    def ask(cls, texts):
        """[(what is said with the schema, without it, the element then)]."""
        with tempfile.TemporaryDirectory() as folder, Daemon() as daemon:
            commands = []
            for number, text in enumerate(texts):
                path = Path(folder) / f'{number}.xml'
                path.write_text(DOMAIN.format(text), encoding='utf-8')
                commands += [f'define {path} --validate', f'define {path}',
                             "dumpxml fuzz --xpath '//kvm/prefault'",
                             'undefine fuzz']
            said = daemon.run(commands)
            if not daemon.is_up():
                raise AssertionError('the daemon has crashed')
        return list(zip(said[::4], said[1::4], said[2::4]))

    def test_schema_and_parser_agree(self):
        taken, named = 0, set()
        for one, (checked, parsed, _) in self.answers:
            by_schema, by_parser = NO_SCHEMA not in checked, NO_PARSER not in parsed
            taken += by_parser
            for said in checked, parsed:
                self.assertTrue(not said or NO_SCHEMA in said or NO_PARSER in said or
                                NO_KVM in said, f'{one[0]}: {said}')
            if by_schema != by_parser:
                why = difference(self.attributes, *one[1:])
                self.assertIsNotNone(why, f'{one[0]}: {checked} / {parsed}')
                named.add(why)
        self.assertGreater(taken, DOCUMENTS // 4)
        print(f'# note: {DOCUMENTS} elements, {taken} parsed; {len(named)} known '
              'differences')

    def test_an_error_names_what_is_wrong(self):
        for one, (_, parsed, _) in self.answers:
            if NO_PARSER in parsed:
                self.assertIn("'prefault'", parsed, one[0])
                self.assertTrue(any(f"'{name}'" in parsed
                                    for name in self.attributes), parsed)

    def test_what_is_taken_comes_out(self):
        """Once more, it is the same."""
        taken = [(one[1], out) for one, (_, parsed, out) in self.answers
                 if not parsed]
        self.assertGreater(len(taken), DOCUMENTS // 10)
        for given, out in taken:
            wanted = {name: str(int(value)) if self.attributes[name] is None
                      else value for name, value in given.items()
                      if name in self.attributes}
            self.assertEqual(ET.fromstring(out).attrib, wanted, out)
        outs = [out for _, out in taken]
        for (checked, _, again), out in zip(self.ask(outs), outs):
            self.assertEqual((checked, again), ('', out))


if __name__ == '__main__':
    unittest.main()
