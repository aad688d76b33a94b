# SPDX-License-Identifier: GPL-2.0-or-later
"""From XML to a running guest, with the patched libvirt and its virsh."""
import re
import unittest

from domains import LibvirtTest, element, past_libvirt, slow

BED = {'libvirt': True}

MIB_OF_RAM = 64
ALL = MIB_OF_RAM << 20
# Firmware's area below 1 MiB, of which parts are ROM
LITTLE = 1 << 20
HUGE = MIB_OF_RAM // 2

UNPATCHED = '/prefault/unpatched/bin/qemu-system-x86_64'
STATES = ['on', 'off', 'auto', 'background']

# Parts of a domain, and what define or start says
REFUSED = (
    ('state', dict(prefault='perhaps'),
     "XML error: Invalid value for attribute 'state' in element 'prefault': "
     "'perhaps'"),
    ('tcg', dict(type='qemu', cpu='maximum'),
     "unsupported configuration: prefault is only supported with domains of "
     "type 'kvm', this one is of type 'qemu'"),
    ('old', dict(emulator=UNPATCHED),
     "unsupported configuration: prefault is not available with this QEMU "
     f"binary '{UNPATCHED}'"),
    ('threads', dict(features=element('on', " threads='0'")),
     "XML error: Invalid value for attribute 'threads' in element 'prefault': "
     "Zero is not permitted"),
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

    def test_attributes(self):
        """Each is an option of QEMU's, and comes out of it again."""
        attributes = (" threads='1' slotZapAll='on' keep='lock' "
                      "restore='none'")
        domain = self.started('attributes', features=element(
            'auto', attributes))
        self.assertIn(f"<prefault state='auto'{attributes}/>",
                      domain.dumpxml())
        self.assertIn('-accel kvm,prefault=auto,prefault-threads=1,'
                      'slot-zap-all=on,prefault-keep=lock,'
                      'prefault-restore=none', domain.argv)
        figures = domain.stats('prefault')
        self.assertEqual(figures['prefault.threads'], 1)
        # libvirt has lifted RLIMIT_MEMLOCK
        self.assertGreaterEqual(figures['prefault.bytes.locked'],
                                figures['prefault.bytes.total'])
        retention = self.query(domain)['retention']
        self.assertEqual(retention['keep'], 'lock')
        self.assertTrue(retention['slot-zap-all'])

    def test_domain_capabilities(self):
        """What this host can do, of each QEMU."""
        for emulator, wanted in (
                (self.libvirt.emulator, STATES),
                (UNPATCHED, None)):
            with self.subTest(emulator):
                said = self.libvirt.virsh('domcapabilities', '--emulatorbin',
                                          emulator)
                found = re.search(r"<prefault supported='yes'>.*?</prefault>",
                                  said, re.S)
                self.assertEqual(found and re.findall('<value>(.+)</value>',
                                                      found[0]), wanted)

    def test_off(self):
        """QEMU's own default, and the guest takes the faults."""
        domain = self.running('off', 'off', mem=MIB_OF_RAM)
        self.assertNotIn('prefault=', ' '.join(domain.argv))
        self.assertEqual(domain.stats('prefault')['prefault.mode'], 'off')
        self.assertGreaterEqual(
            self.sweep_of(domain, "<prefault state='off'/>"), HUGE - 4)

    def test_status_that_any_libvirt_can_read(self):
        """Of a running domain that does not use prefault."""
        for name, state, named in ('plain', None, False), ('own', 'on', True):
            domain = self.started(name, state)
            status = self.machine.read(f'{self.libvirt.folder}/'
                                       f'{self.libvirt.pids}/{name}.xml')
            self.assertIn("<flag name='kvm'/>", status)
            self.assertEqual("<flag name='prefault'/>" in status, named)
            self.assertNotIn("<flag name='sw-protected", status)
            domain.end()

    def test_off_with_a_qemu_without_it(self):
        """Who writes the default down gets the default."""
        domain = self.running('stock', 'off', emulator=self.libvirt.install(
            UNPATCHED, 'stock'))
        self.assertIn("<prefault state='off'/>", domain.dumpxml())

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
        self.assert_hmp_says(domain, r'prefault: +active \(mode on\)\n\[#*\.+\]')
        self.runs(domain)
        self.assert_hmp_says(domain, r'\[#+\] 100%')
        for event in ('PREFAULT_PROGRESS for', 'PREFAULT_COMPLETED for',
                      'RESUME for'):
            self.until(lambda: any(event in line.text for line in events.out),
                       event)
        print('\n'.join(f'# note: {line.text}' for line in events.out))


if __name__ == '__main__':
    unittest.main()
