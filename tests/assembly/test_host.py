# SPDX-License-Identifier: GPL-2.0-or-later
"""With --host nothing changes this host, and why a test does not run is said.

No KVM is needed: a machine that was not started stands in.
"""
import os
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

import bed
from bed import host


def refusal(call, *words):
    """Why the call skips the test."""
    try:
        call(*words)
    except unittest.SkipTest as skip:
        return str(skip)
    raise AssertionError('it was not skipped')


class Host(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.machine = bed.HostMachine.__new__(bed.HostMachine)
        self.machine._dir = types.SimpleNamespace(name=folder.name)
        self.machine._files = {'guest.bin': Path('/somewhere/guest.bin')}

    def test_what_only_an_emulated_machine_has(self):
        for name in 'load', 'poison', 'assignable', 'tool':
            self.assertEqual(refusal(lambda n=name: getattr(self.machine, n)),
                             f'host: {name}() is for an emulated machine')
        with self.assertRaises(AttributeError):
            self.machine.nonsense()

    def test_writes_outside_its_own_folder(self):
        self.assertEqual(
            refusal(self.machine.write, '/proc/sys/vm/nr_hugepages', '1'),
            'host: it would write to /proc/sys/vm/nr_hugepages')
        with mock.patch('bed.machine.Machine.write') as write:
            self.machine.write(self.machine.scratch('x'), 'text')
        write.assert_called_once()

    def test_module_that_names_another_bed(self):
        # pylint: disable=import-outside-toplevel
        import common
        module = types.ModuleType('a_test')
        module.BED = {'private': True, 'nodes': 2}
        with (mock.patch.dict('sys.modules', a_test=module),
              mock.patch.dict(os.environ, PREFAULT_HOST='1')):
            self.assertEqual(refusal(common.machine_of, 'a_test'),
                             'host: it takes an emulated machine '
                             '(private=True, nodes=2)')
            module.BED = {}
            with mock.patch('bed.cannot_prefault', lambda: 'no reason'):
                self.assertEqual(refusal(common.machine_of, 'a_test'),
                                 'host: no reason')


class Cannot(unittest.TestCase):
    """Why this host's KVM cannot prefault."""

    def why(self, opened=None, answer=0):
        """What is said if opening /dev/kvm raises, or KVM answers this."""
        file = mock.mock_open()
        file.side_effect = opened
        with (mock.patch('builtins.open', file),
              mock.patch('fcntl.ioctl', return_value=answer)):
            return host.cannot_prefault()

    def test_reasons(self):
        self.assertEqual(self.why(answer=1), '')
        self.assertIn('no KVM_CAP_PRE_FAULT_MEMORY', self.why())
        self.assertIn('this host has no /dev/kvm',
                      self.why(FileNotFoundError()))
        self.assertIn('in the group kvm', self.why(PermissionError()))


if __name__ == '__main__':
    unittest.main()
