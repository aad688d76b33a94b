# SPDX-License-Identifier: GPL-2.0-or-later
"""Made-up QMP commands and options: QEMU takes what the schema has, and says of
everything else in one sentence what is wrong.

Commands are those of qapi/prefault.json, options the properties that QEMU lists.
No KVM is needed: this is about arguments.
"""
import os
import random
import re
import unittest
from functools import partial

import qapi
from process import Ended, Qemu

SEED = 1
LONG = 30 if os.environ.get('PREFAULT_LONG') else 1
COMMANDS = 400 * LONG
SETTINGS = 500 * LONG
STARTS = 40 * LONG
THREADS_MAX = 4096

# What else there is in a guest's life while commands come
AROUND = ('stop', 'cont', 'system_reset', 'query-status')
MACHINES = (('none', 'qtest'), ('q35,prefault=auto', 'tcg'),
            ('pc,prefault=background,prefault-keep=lock', 'tcg'))
NUMBERS = ['0', '1', '8', '4096', '4097']
NAME = re.compile(r'prefault|slot-zap-all')


class Maker:
    """Makes values and arguments, the same each time."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.words = sorted({word for values in qapi.enumerations().values()
                             for word in values})

    def text(self, likely=()):
        """A string: a word that means something somewhere, near it, or any.

        likely: those that mean something here
        """
        word = self.random.choice([*likely] * 8 + self.words + NUMBERS)
        return word if self.random.random() < 0.5 else self.random.choice([
            word.upper(), f' {word}', f'{word} ', word[:-1],
            word + word, '', '-' + word, '0x10', '8k', '1e3', '4294967297',
            'ä', '%s%n', 'a' * 5000, str(self.random.randrange(-9, 9999))])

    def value(self, likely=()):
        """A JSON value."""
        text = partial(self.text, likely)
        return self.random.choice([
            text, text, text, text, text, lambda: True, lambda: False,
            lambda: None, lambda: self.random.randrange(-9, 1 << 64),
            lambda: 1.5, lambda: [self.text()],
            lambda: {self.text(): self.text()}])()

    def arguments(self, known):
        """None, or a dictionary of known arguments and others."""
        if self.random.random() < 0.5:
            return None
        names = [*known, 'mode', 'prefault', self.text()]
        return {name: self.value() for name in
                self.random.sample(names, self.random.randrange(len(names)))}


def likely_words(kind):
    """Some values that an option of this type takes."""
    return {'bool': ['on', 'off'], 'uint32': NUMBERS}.get(kind) or \
        qapi.enumerations()[kind]


def number(text):
    """The number that the command line has, or the text that is none."""
    return (int(text, 0) if re.fullmatch(r'\s*\+?(0x[0-9a-f]+|\d+)', text, re.A)
            else text)


def is_valid(name, kind, value):
    """Whether an option takes a value; @kind: the type that QEMU lists."""
    if kind == 'bool':
        return isinstance(value, bool)
    if name == 'prefault-threads':
        return type(value) is int and 1 <= value <= THREADS_MAX
    return isinstance(value, str) and value in qapi.enumerations()[kind]


class TestQmp(unittest.TestCase):

    def setUp(self):
        self.make = Maker(SEED)

    def check_sentence(self, said, *names):
        """One line that names something of what was given."""
        self.assertEqual(len(said.splitlines()), 1, said)
        self.assertTrue(any(name in said for name in names), f'{said}: {names}')

    def properties(self, qemu, kind):
        """{option of ours: its type}."""
        listed = qemu.ask('qom-list-properties', {'typename': kind})['return']
        return {one['name']: one['type'] for one in listed
                if NAME.match(one['name'])}

    def check_commands(self, qemu):
        """Any arguments at any moment: an answer, and prefault's state after it."""
        known, refused = qapi.commands(), 0
        for _ in range(COMMANDS):
            command = self.make.random.choice([*known, *known, *AROUND])
            arguments = (self.make.arguments(known[command])
                         if command in known else None)
            answer = qemu.ask(command, arguments)
            if 'error' in answer:
                refused += 1
                self.check_sentence(answer['error']['desc'], 'refault', 'memory',
                                    'locked', *(arguments or {}))
            else:
                self.assertFalse(set(arguments or {}) - set(known.get(command, {})),
                                 command)
            self.assertIn('return', qemu.ask('query-prefault'))
        return refused

    def test_commands(self):
        for machine, accel in MACHINES:
            with self.subTest(machine), Qemu('-machine', machine, '-m', '64',
                                             '-accel', accel) as qemu:
                refused = self.check_commands(qemu.connect())
                self.assertGreater(refused, COMMANDS // 5)
                print(f'# note: -machine {machine}: {COMMANDS} commands, '
                      f'{refused} refused')

    def test_properties(self):
        """Before the machine is made options may change: what is taken is what
        the schema has, and is there afterwards; else nothing has changed."""
        taken = 0
        with Qemu('-machine', 'none', '-accel', 'qtest', '--preconfig') as qemu:
            qemu.connect()
            options = self.properties(qemu, 'none-machine')
            self.assertGreater(len(options), 4)
            for _ in range(SETTINGS):
                name = self.make.random.choice(sorted(options))
                value = self.make.value(likely_words(options[name]))
                if options[name] == 'uint32' and value in NUMBERS:
                    value = int(value)
                taken += self.check_property(qemu, name, options[name], value)
        self.assertGreater(taken, SETTINGS // 10)
        print(f'# note: {SETTINGS} settings of {len(options)} options, {taken} '
              'taken')

    def check_property(self, qemu, name, kind, value):
        """Set one; return whether it was taken."""
        where = {'path': '/machine', 'property': name}
        before = qemu.ask('qom-get', where)['return']
        answer = qemu.ask('qom-set', {**where, 'value': value})
        now = qemu.ask('qom-get', where)['return']
        valid = is_valid(name, kind, value)
        self.assertEqual('return' in answer, valid, f'{name}={value!r}: {answer}')
        if not valid:
            self.assertEqual(now, before, f'{name}={value!r}')
            self.check_sentence(answer['error']['desc'], name)
        else:
            self.assertEqual(now, value)
        return valid

    def test_nothing_changes_later(self):
        with Qemu('-machine', 'none', '-accel', 'qtest') as qemu:
            qemu.connect()
            for name in self.properties(qemu, 'none-machine'):
                where = {'path': '/machine', 'property': name}
                before = qemu.ask('qom-get', where)
                for value in 'on', '8', False:
                    answer = qemu.ask('qom-set', {**where, 'value': value})
                    self.check_sentence(answer['error']['desc'], name)
                self.assertEqual(qemu.ask('qom-get', where), before)

    def test_command_line(self):
        """It starts with the value, or ends with a sentence and status 1."""
        with Qemu('-machine', 'none', '-accel', 'qtest') as qemu:
            options = self.properties(qemu.connect(), 'none-machine')
        started = 0
        for _ in range(STARTS):
            name = self.make.random.choice(sorted(options))
            value = self.make.text(likely_words(options[name]))
            started += self.check_start(name, options[name], value)
        print(f'# note: {STARTS} command lines, {started} started')
        self.assertGreater(started, STARTS // 10)

    def check_start(self, name, kind, value):
        """Start one; return whether it came up."""
        valid = (value in ('on', 'off') if kind == 'bool' else
                 is_valid(name, kind, number(value) if kind == 'uint32' else value))
        try:
            # A comma would begin another option
            with Qemu('-machine', f"none,{name}={value.replace(',', ',,')}",
                      '-accel', 'qtest') as qemu:
                qemu.connect()
                now = qemu.ask('qom-get', {'path': '/machine', 'property': name})
                self.assertTrue(valid, f'{name}={value!r}')
                self.assertEqual(now['return'], {
                    'bool': value == 'on', 'uint32': number(value)}.get(kind, value))
        except Ended as ended:
            self.assertEqual(ended.status, 1, f'{name}={value!r}: {ended}')
            self.assertTrue(not valid or (name, value) == ('prefault', 'on'),
                            f'{name}={value!r}: {ended}')
            self.check_sentence(ended.said, name)
            return False
        return True


if __name__ == '__main__':
    unittest.main()
