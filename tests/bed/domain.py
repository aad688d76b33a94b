# SPDX-License-Identifier: GPL-2.0-or-later
"""A domain of libvirt, with the measuring guest or without."""
import json
import re

from .link import Line
from .qemu import Figures, QmpError, Reply, sweeps

WAIT_SECONDS = 120


class Domain(Figures):
    """A domain of a Libvirt, by its name."""

    def __init__(self, libvirt, name):
        self.libvirt, self.name = libvirt, name
        self.machine = libvirt.machine
        self.link = self.machine.link

    def virsh(self, command, *words, **how):
        """Run a command of virsh on the domain; returns what it printed."""
        return self.libvirt.virsh(command, self.name, *words, **how)

    def end(self):
        """Destroy it, if it is there; its definition stays."""
        try:
            self.virsh('destroy')
        except self.libvirt.Error:
            pass

    def state(self):
        """(state, reason) as libvirt sees it, for instance ('running',
        'booted')."""
        said = self.virsh('domstate', '--reason').strip()
        return re.fullmatch(r'(.+) \((.+)\)', said).groups()

    def dumpxml(self, *options):
        """Its XML."""
        return self.virsh('dumpxml', *options)

    def stats(self, group):
        """{name: value} of a group of domstats, numbers as int."""
        found = re.findall(r'^ +(\S+)=(.*)$',
                           self.virsh('domstats', f'--{group}'), re.M)
        return {name: int(value) if value.isdigit() else value
                for name, value in found}

    # QEMU

    @property
    def pid(self):
        """QEMU's process."""
        return int(self.machine.read(
            f'{self.libvirt.folder}/{self.libvirt.pids}/{self.name}.pid'))

    @property
    def log(self):
        """Command lines and messages of each QEMU that it had."""
        return self.machine.read(
            f'{self.libvirt.folder}/{self.libvirt.log}/{self.name}.log')

    @property
    def argv(self):
        """The command line of the last QEMU, lines as in the log."""
        last = re.split(r'^.*: starting up .*$', self.log, flags=re.M)[-1]
        return [line.removesuffix(' \\') for line in last.splitlines()
                if line.startswith('-')]

    def qmp(self, command, **arguments):
        """Run a QMP command past libvirt; returns Reply(value, None, None).

        An argument's '_' stands for '-'.  An error answer raises QmpError.
        """
        message = {'execute': command}
        if arguments:
            message['arguments'] = {name.replace('_', '-'): value
                                    for name, value in arguments.items()}
        answer = json.loads(self.virsh('qemu-monitor-command',
                                       json.dumps(message)))
        if 'error' in answer:
            raise QmpError(answer['error'])
        return Reply(answer['return'], None, None)

    def hmp(self, line):
        """The text that a monitor command prints."""
        return self.virsh('qemu-monitor-command', '--hmp', line)

    # The guest

    @property
    def console(self):
        """The file that the guest's debug console is written to."""
        return self.machine.scratch(f'{self.name}.out')

    @property
    def debugcon(self):
        """What the guest wrote to the debug console so far."""
        return self.machine.read(self.console)

    def wait_text(self, text, timeout=WAIT_SECONDS):
        """Wait for the text on the debug console."""
        self.libvirt.until(lambda: text in self.debugcon, timeout,
                           f"'{text}' from the guest")

    @property
    def sweeps(self):
        """Result of each completed sweep; see Qemu.sweeps."""
        return sweeps([Line(0, text) for text in self.debugcon.splitlines()])

    def sweep(self, timeout=WAIT_SECONDS):
        """Let the guest write all its RAM; see Qemu.sweep()."""
        before, done = self.faults(), len(self.sweeps)
        self.virsh('inject-nmi')
        self.libvirt.until(lambda: len(self.sweeps) > done, timeout,
                           f'sweep {done + 1} of the guest')
        return self.sweeps[-1], self.faults() - before
