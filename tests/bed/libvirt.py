# SPDX-License-Identifier: GPL-2.0-or-later
"""virtqemud in a machine, and virsh.

    libvirt = bed.Libvirt(bed.shared(libvirt=True))
    domain = libvirt.define(xml)
    domain.virsh('start')
    print(domain.argv, domain.faults())

In the bed it is the privileged daemon of a system, with all that libvirt has by
default: cgroups, a mount namespace for each QEMU, the seccomp sandbox.  On a host
it is a session daemon without rights, in namespaces that end with it.  All that
libvirt writes lies in one folder of the machine's scratch space.
"""
import re
import shlex
import time

from . import artifacts, libvirtfiles
from .domain import Domain
from .link import BedError, BedTimeout

START_SECONDS = 60
# Emulated, on a busy machine; the first command with a QEMU asks it for all it can
COMMAND_SECONDS = 120

# libvirt gives QEMU no -L, so QEMU looks for firmware beside its binary.  A
# script that adds it would hide a changed QEMU from libvirt's cache
EMULATOR = '''mkdir -p {0}/bin {0}/share
ln {1} {0}/bin/ 2>/dev/null || cp {1} {0}/bin/'''
DATA = ('qemu-firmware', 'qemu')        # where below share, in this order

# Folders of a system's libvirt, each on its own folder below $0
SYSTEM = '''hostname bed
for path in etc/libvirt run/libvirt var/lib/libvirt var/cache/libvirt \\
        var/log/libvirt; do
    mkdir -p /$path $0/${path##*var/}
    mount --bind $0/${path##*var/} /$path
done
%s
%s
exec /usr/sbin/virtqemud --pid-file $0/virtqemud.pid'''
# The cgroups of domains of the same name are the same
NO_CGROUPS = 'umount /sys/fs/cgroup'

# No virtlogd.  With the capability libvirt asks for each property of a vCPU by
# itself, 500 QMP commands in each start: 20 s of an emulated machine.  Without it
# one command answers the same
QEMU_CONF = '''stdio_handler = "file"
capability_filters = [ "cpu-unavailable-features" ]
'''
# There is no dmidecode to ask for the host's UUID
DAEMON_CONF = 'host_uuid = "{}"\n'

# PID 1 of the namespace reaps what libvirt leaves to init
SESSION = ('unshare', '--user', '--map-user=1000', '--map-group=1000',
           '--mount', '--mount-proc', '--pid', '--fork', '--kill-child')


class VirshError(Exception):
    """virsh failed; the text is what it said on standard error."""


class Libvirt:
    """One virtqemud and its clients.

    machine: a BedMachine with libvirt, or a HostMachine
    number:  of this daemon in the machine; only the first has cgroups
    """

    def __init__(self, machine, number=1):
        self.machine, self.number = machine, number
        self.folder = machine.scratch(f'lv{number}')
        self._process = None
        self._defined = 0
        self._prepare()
        self.emulator = self.install(machine.path('qemu-system-x86_64'))
        self.start()

    Error = VirshError

    # What differs between a system and a session

    uri = 'qemu:///system'
    client = ('/usr/bin/virsh',)
    etc, run, log = 'etc/libvirt', 'run/libvirt', 'log/libvirt/qemu'
    pids = 'run/libvirt/qemu'
    env = {}
    conf = QEMU_CONF
    beside = ''                 # a command that is run before virtqemud

    def _daemon(self):
        """The command that becomes virtqemud."""
        return ['/bin/unshare', '-m', '/bin/sh', '-ec', SYSTEM % (
            '' if self.number == 1 else NO_CGROUPS, self.beside), self.folder]

    # The daemon

    def _prepare(self):
        """Its folders and configuration."""
        self._sh(f'mkdir -p {self.folder}/{self.etc} '
                 f'{self.folder}/{self.run}')
        self.machine.write(f'{self.folder}/{self.etc}/qemu.conf', self.conf)
        self.machine.write(
            f'{self.folder}/{self.etc}/virtqemud.conf', DAEMON_CONF.format(
                f'c7a5fdbd-edaf-9455-926a-d65c16db180{self.number}'))

        if self.number != 1:    # what the first knows of QEMU takes 10 s to ask
            self._sh(f'cp -r {self.machine.scratch("lv1")}/cache {self.folder}')

    def install(self, qemu, name='qemu'):
        """Put a QEMU where it finds firmware; returns its path there.

        qemu: path in the machine
        """
        folder = f'{self.folder}/{name}'
        self._sh(EMULATOR.format(folder, shlex.quote(qemu)))
        for link, target in zip(DATA, self.machine.firmware()[1::2]):
            self._sh(f'ln -sfn {shlex.quote(target)} {folder}/share/{link}')
        return f'{folder}/bin/qemu-system-x86_64'

    def start(self):
        """Start the daemon; returns when it answers."""
        self._process = self.machine.link.spawn(self._daemon(), self.env)
        self.until(self._answers, START_SECONDS, 'virtqemud')

    def _answers(self):
        if self._process.code is not None:
            raise BedError(f'virtqemud ended: {self._process.tail()}')
        return not self._virsh('uri')[0]

    def stop(self):
        """End the daemon; domains go on."""
        self.machine.link.request('kill', self._process.ident, '15')
        self.machine.link.wait(lambda: self._process.code is not None,
                               START_SECONDS, 'end of virtqemud')

    @property
    def said(self):
        """What the daemon logged so far."""
        return ''.join(line.text + '\n' for line in self._process.err)

    # Clients

    @property
    def connection(self):
        """The URI for clients in the machine."""
        return (f'{self.uri}?socket={self.folder}/{self.run}/virtqemud-sock')

    def virsh(self, *words, timeout=COMMAND_SECONDS):
        """Run a command of virsh; returns what it printed."""
        code, said, errors = self._virsh(*words, timeout=timeout)
        if code:
            raise VirshError(errors.strip())
        return said

    def _virsh(self, *words, timeout=COMMAND_SECONDS):
        return self.machine.run(*self.client, '-q', '-c', self.connection,
                                *map(str, words), env=self.env,
                                timeout=timeout)

    def spawn(self, *words):
        """Start virsh with a command that goes on; returns the Process."""
        return self.machine.link.spawn(
            [*self.client, '-q', '-c', self.connection, *map(str, words)],
            self.env)

    def define(self, xml, validate=True):
        """Define a domain; returns it.

        validate: against libvirt's schema, too
        """
        self._defined += 1
        path = f'{self.folder}/{self._defined}.xml'
        self.machine.write(path, xml)
        self.virsh('define', path, *['--validate'] * validate)
        return Domain(self, re.search('<name>(.+?)</name>', xml)[1])

    def watch(self, *words):
        """Start `virsh event` with the options; returns its Process.

        It may not be there yet for what happens right after.
        """
        return self.spawn('event', '--loop', *words)

    def until(self, condition, timeout, what):
        """Poll until the condition holds; returns it."""
        end = time.monotonic() + timeout
        while not (value := condition()):
            if time.monotonic() > end:
                raise BedTimeout(f'no {what} within {timeout} s; virtqemud '
                                 f'said:\n{self.said[-2000:]}')
            time.sleep(0.1)
        return value

    def _sh(self, script):
        code, _, errors = self.machine.run('/bin/sh', '-ec', script)
        if code:
            raise BedError(f'{script}: {errors}')


class LockingLibvirt(Libvirt):
    """One whose domains take leases of their disks, from virtlockd."""

    conf = QEMU_CONF + 'lock_manager = "lockd"\n'
    # It outlives virtqemud, which knows it by its socket
    beside = ('[ -e $0/virtlockd.pid ] || '
              '/usr/sbin/virtlockd --daemon --pid-file $0/virtlockd.pid')


class HostLibvirt(Libvirt):
    """A session daemon on this host, straight from its build tree.

    machine: a HostMachine
    """

    uri = 'qemu:///session'
    etc, run, log = 'etc/libvirt', 'run/libvirt', 'cache/libvirt/qemu/log'
    pids = 'run/libvirt/qemu/run'

    @property
    def env(self):
        """No folder of the user's."""
        return {'HOME': self.folder, 'XDG_CONFIG_HOME': f'{self.folder}/etc',
                'XDG_RUNTIME_DIR': f'{self.folder}/run',
                'XDG_CACHE_HOME': f'{self.folder}/cache',
                'XDG_DATA_HOME': f'{self.folder}/data'}

    @property
    def client(self):
        return (*SESSION[:4], libvirtfiles.built('tools/virsh'))

    def _prepare(self):
        if self.machine.run(*SESSION, '/bin/true')[0]:
            artifacts.skip('no user and PID namespaces for a libvirt of its own',
                           'allow them to users, and install util-linux')
        super()._prepare()

    def _daemon(self):
        return [*SESSION, '/bin/sh', '-c', '"$0" & wait',
                libvirtfiles.built('src/virtqemud')]
