# SPDX-License-Identifier: GPL-2.0-or-later
"""This host's own KVM: what it can do, and a machine that is this host.

A test that would change the host, or needs what only an emulated machine has, is
skipped there and says so.
"""
import atexit
import fcntl
import os
import subprocess
import tempfile
import unittest

from . import artifacts
from .emulated import die_with_parent
from .machine import CAP_PRE_FAULT_MEMORY, BedMachine, Machine

KVM = '/dev/kvm'
KVM_CHECK_EXTENSION = 0xae03


def cannot_prefault():
    """Why this host's KVM cannot prefault, as half a sentence; '' if it can."""
    try:
        with open(KVM, 'rb+', buffering=0) as kvm:
            can = fcntl.ioctl(kvm, KVM_CHECK_EXTENSION, CAP_PRE_FAULT_MEMORY) > 0
    except FileNotFoundError:
        return f'this host has no {KVM}'
    except PermissionError:
        return (f'this user may not open {KVM} (to be in the group kvm helps, '
                'after the next login)')
    except OSError as error:
        return f'{KVM} cannot be opened ({error.strerror})'
    return '' if can else ("this host's KVM has no KVM_CAP_PRE_FAULT_MEMORY, "
                           'which takes Linux 6.11 and nested paging')


class HostMachine(Machine):
    """This host's own KVM, whatever it can do."""

    kind = 'host'

    def __init__(self):
        if not os.access(KVM, os.R_OK | os.W_OK):
            artifacts.skip(f'no usable {KVM}', 'load kvm, or be in its group')
        self._files = artifacts.programs()
        self._files['qemu-system-x86_64'] = artifacts.qemu()
        self._files['qemu-prefault'] = artifacts.follower()
        self._dir = tempfile.TemporaryDirectory(prefix='prefault-')
        theirs = self._open(lambda: '')
        self._agent = subprocess.Popen(
            [self._files['agent']], stdin=theirs, cwd=self._dir.name,
            preexec_fn=die_with_parent, start_new_session=True)
        theirs.close()
        self.agent_pid = self._agent.pid
        self.link.wait(lambda: self.link.hello, 10, 'the agent')

    def __getattr__(self, name):
        if hasattr(BedMachine, name):
            raise unittest.SkipTest(f'host: {name}() is for an emulated machine')
        raise AttributeError(name)

    def path(self, name):
        if name.startswith('fw/'):
            name = name.removeprefix('fw/')
            return str(artifacts.ovmf()[name] if name in artifacts.OVMF
                       else artifacts.firmware(name))
        return str(self._files[name])

    def scratch(self, name):
        return f'{self._dir.name}/{name}'

    def write(self, path, text):
        if not path.startswith(self.scratch('')):
            raise unittest.SkipTest(f'host: it would write to {path}')
        super().write(path, text)

    def firmware(self):
        return [str(word) for folder in artifacts.FIRMWARE_DIRS
                for word in ('-L', folder)]

    def close(self):
        atexit.unregister(self.close)
        self.link.close()
        try:
            self._agent.wait(10)
        except subprocess.TimeoutExpired:
            self._agent.kill()
            self._agent.wait()
        self._dir.cleanup()
