# SPDX-License-Identifier: GPL-2.0-or-later
"""Domains with the measuring guest, for the tests of libvirt.

Machine pc, SeaBIOS, one vCPU; the guest says READY and writes its memory when an
NMI tells it to.
"""
from common import BedTest
import bed

XML = '''<domain type='{type}'
        xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{name}</name>
  <memory unit='MiB'>{mem}</memory>
  <vcpu>{vcpus}</vcpu>
  {extra}
  <sysinfo type='fwcfg'><entry name='opt/prefault/wait'>1</entry></sysinfo>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel>
  </os>
  <features><acpi/>{features}</features>
  <cpu mode='{cpu}'>{numa}</cpu>
  <devices>
    <emulator>{emulator}</emulator>
    <serial type='file'>
      <source path='{console}'/>
      <target type='isa-debug'><model name='isa-debugcon'/></target>
      <address type='isa' iobase='0x402'/>
    </serial>
    {devices}
  </devices>
  <qemu:commandline>{words}{variables}</qemu:commandline>
</domain>
'''


def element(state, attributes=''):
    """The setting in XML."""
    return (f"<kvm><prefault state='{state}'{attributes}/></kvm>" if state
            else '')


def past_libvirt(state):
    """The setting for a libvirt that does not know it."""
    return f"<qemu:arg value='-machine'/><qemu:arg value='prefault={state}'/>"


POPULATE = 'madvise:MADV_POPULATE_WRITE'
# What domain.state() says of a start that is held, and of one that failed
HELD = ('paused', 'starting up')
FAILED = ('paused', 'api error')


def injecting(machine, *rules):
    """Environment of a QEMU with rules of tests/inject."""
    return ''.join(f"<qemu:env name='{name}' value='{value}'/>"
                   for name, value in (
                       ('LD_PRELOAD', machine.path('inject.so')),
                       ('PREFAULT_INJECT', ';'.join(rules))))


# For 64 MiB 16 times: longer than a daemon takes to be there again
SLOW_MS = 2000


def slow(machine, milliseconds):
    """Environment of a QEMU that takes so long for each 4 MiB it populates."""
    return injecting(machine, f'{POPULATE}:delay-ms={milliseconds}')


class LibvirtTest(BedTest):
    """A test with a shared machine that has libvirt, and its virtqemud."""

    # A look is a virsh of its own, which takes one of L1's CPUs meanwhile
    pace = 0.2
    libvirts = {}
    seen = 0                    # domains that were defined to be seen

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.libvirt = cls.daemon(bed.Libvirt)

    @classmethod
    def daemon(cls, kind, number=1):
        """The virtqemud of the number in the machine, started once."""
        key = cls.machine, number
        if key not in cls.libvirts:
            cls.libvirts[key] = kind(cls.machine, number)
        return cls.libvirts[key]

    def xml(self, name, prefault='on', mem=64, vcpus=1, **parts):
        """The XML of a domain.

        parts: more of XML above
        """
        parts = dict(dict(
            type='kvm', extra='', features=element(prefault), numa='',
            cpu='host-passthrough', devices='', words='', variables='',
            emulator=self.libvirt.emulator,
            kernel=self.machine.path('kernel.elf'),
            console=self.machine.scratch(f'{name}.out')), **parts)
        return XML.format(name=name, mem=mem, vcpus=vcpus, **parts)

    def define(self, name, prefault='on', validate=True, **parts):
        """Define a domain, for the test; see xml()."""
        domain = self.libvirt.define(self.xml(name, prefault, **parts),
                                     validate)
        self.addCleanup(domain.end)
        return domain

    def started(self, name, prefault='on', **parts):
        """A domain that runs: its memory is ready, its firmware has begun."""
        domain = self.define(name, prefault, **parts)
        domain.virsh('start')
        self.runs(domain)
        return domain

    def running(self, name, prefault='on', **parts):
        """A domain whose guest runs and has not written its memory yet."""
        domain = self.define(name, prefault, **parts)
        domain.virsh('start')
        domain.wait_text('READY')
        return domain

    def switches(self):
        """Two paths, and the environment of a QEMU that looks at them.

        While the first is there (machine.write(), put_away()) populating memory
        fails, while the second is there it takes long.
        """
        fails, slowly = self.trigger(), self.trigger()
        return fails, slowly, injecting(
            self.machine, f'{POPULATE}:when={fails}:errno=ENOMEM',
            f'{POPULATE}:when={slowly}:delay-ms={SLOW_MS}')

    def half_way(self, domain):
        """Wait until about half of its memory is done."""
        def half():
            info = self.query(domain)
            self.assertEqual(info['status'], 'active')
            return info['populated'] * 2 > info['total']
        self.until(half, 'half way')

    def runs(self, domain):
        """Wait until libvirt sees that it runs."""
        self.until(lambda: domain.state()[0] == 'running', 'running')

    def sweep_of(self, domain, what):
        """Let the guest write its memory; returns the faults that it took."""
        sweep, faults = domain.sweep()
        print(f'# note: {what}: {faults} faults in {sweep.pages} pages')
        self.assertGreater(sweep.pages, 0)
        return faults

    def watch(self):
        """A Process that prints lifecycle events from now on."""
        watch = self.libvirt.watch('--event', 'lifecycle')

        def sees():
            LibvirtTest.seen += 1
            self.libvirt.define(self.xml(f'seen{self.seen}'))
            return watch.out
        self.until(sees, 'lifecycle events')
        return watch

    @staticmethod
    def events(watch):
        """The events that watch() saw, without definitions."""
        said = [line.text.split(': ')[-1] for line in watch.out]
        return [event for event in said if not event.startswith('Defined ')]

    def assert_events(self, watch, *details):
        """watch() saw these and no others."""
        self.until(lambda: details[-1] in self.events(watch)[-1:],
                   f'event {details[-1]}')
        self.assertEqual(self.events(watch), list(details))

    def assert_says(self, words, *command):
        """virsh fails with these words."""
        with self.assertRaisesRegex(bed.VirshError, words):
            self.libvirt.virsh(*command)
