# SPDX-License-Identifier: GPL-2.0-or-later
"""From XML to a running guest, with the patched libvirt and its virsh."""
import re
import unittest

from domains import LibvirtTest, past_libvirt, slow

BED = {'libvirt': True}

MIB_OF_RAM = 64
ALL = MIB_OF_RAM << 20
# Firmware's area below 1 MiB, of which parts are ROM
LITTLE = 1 << 20
HUGE = MIB_OF_RAM // 2

# Parts of a domain, and what define or start says
REFUSED = (
    ('state', dict(prefault='perhaps'),
     "XML error: Invalid value for attribute 'state' in element 'prefault': "
     "'perhaps'"),
    ('tcg', dict(type='qemu', cpu='maximum'),
     "unsupported configuration: prefault is only supported with domains of "
     "type 'kvm', this one is of type 'qemu'"),
    ('old', dict(emulator='/prefault/unpatched/bin/qemu-system-x86_64'),
     "unsupported configuration: prefault is not available with this QEMU "
     "binary '/prefault/unpatched/bin/qemu-system-x86_64'"),
)


class FromXml(LibvirtTest):

    def test_machine_option_goes_past_libvirt(self):
        """Without the element -machine does; see test_libvirt_unpatched, too."""
        domain = self.running('past', None, words=past_libvirt('on'))
        self.assertRegex(' '.join(domain.argv), '-accel kvm( |$)')
        self.assertIn('-machine prefault=on', domain.argv)
        self.assertEqual(self.query(domain)['status'], 'completed')
        self.assertEqual(self.sweep_of(domain, '-machine prefault=on'), 0)

    def test_life_of_a_domain(self):
        """Setting and figures, from define to destroy, by virsh alone."""
        domain = self.define('life', mem=MIB_OF_RAM)
        domain.virsh('start')
        self.runs(domain)
        domain.wait_text('READY')
        self.assertIn('-accel kvm,prefault=on', domain.argv)
        self.assertIn("<prefault state='on'/>", domain.dumpxml())
        figures = domain.stats('prefault')
        print(f'# note: domstats --prefault: {figures}')
        self.assertEqual(figures['prefault.mode'], 'on')
        self.assertEqual(figures['prefault.status'], 'completed')
        self.assertEqual(figures['prefault.bytes.mapped'],
                         figures['prefault.bytes.total'])
        self.assertAlmostEqual(figures['prefault.bytes.total'], ALL,
                               delta=LITTLE)
        self.assertEqual(self.sweep_of(domain, "<prefault state='on'/>"), 0)
        domain.virsh('managedsave')
        self.assertEqual(domain.state(), ('shut off', 'saved'))
        domain.virsh('start')
        self.assert_restored(domain)
        domain.virsh('destroy')
        self.assertEqual(domain.state(), ('shut off', 'destroyed'))

    def assert_restored(self, domain):
        """It goes on, with the setting, once all is mapped."""
        self.runs(domain)
        self.assertEqual(domain.state(), ('running', 'restored'))
        self.assertEqual(len(re.findall(', qemu version: ', domain.log)), 2)
        self.assertIn('-accel kvm,prefault=on', domain.argv)
        self.assertIn("<prefault state='on'/>", domain.dumpxml())
        figures = domain.stats('prefault')
        print(f'# note: after the restore: {figures}')
        self.assertEqual(figures['prefault.trigger'], 'restore')
        self.assertEqual(figures['prefault.bytes.mapped'],
                         figures['prefault.bytes.total'])
        self.assertEqual(self.sweep_of(domain, 'restored'), 0)

    def test_off(self):
        """QEMU is told, and the guest takes the faults."""
        domain = self.running('off', 'off', mem=MIB_OF_RAM)
        self.assertIn('-accel kvm,prefault=off', domain.argv)
        self.assertEqual(domain.stats('prefault')['prefault.mode'], 'off')
        self.assertGreaterEqual(
            self.sweep_of(domain, "<prefault state='off'/>"), HUGE - 4)

    def test_what_is_refused(self):
        """One message each, by define or start, and no QEMU."""
        for name, parts, message in REFUSED:
            with self.subTest(name):
                with self.assertRaises(self.libvirt.Error) as caught:
                    self.define(name, validate=False, **parts).virsh('start')
                said = str(caught.exception)
                print(f'# note: {said.splitlines()[-1]}')
                self.assertIn(message, said)

    def test_progress(self):
        """Events and the monitor's own words, by virsh."""
        domain = self.define('events', mem=MIB_OF_RAM,
                             variables=slow(self.machine, 150))
        events = self.libvirt.spawn('qemu-monitor-event', domain.name,
                                    '--loop', '--timestamp')
        domain.virsh('start')
        self.assertRegex(domain.hmp('info prefault'),
                         r'prefault: +active \(mode on\)\n\[#*\.+\]')
        self.runs(domain)
        self.assertRegex(domain.hmp('info prefault'), r'\[#+\] 100%')
        for event in ('PREFAULT_PROGRESS for', 'PREFAULT_COMPLETED for',
                      'RESUME for'):
            self.until(lambda: any(event in line.text for line in events.out),
                       event)
        print('\n'.join(f'# note: {line.text}' for line in events.out))


if __name__ == '__main__':
    unittest.main()
