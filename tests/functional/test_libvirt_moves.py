# SPDX-License-Identifier: GPL-2.0-or-later
"""Save and restore, snapshots and migration keep the setting, or change it."""
import unittest

from domains import HELD, LibvirtTest, element, injecting, slow
import bed

BED = {'libvirt': True}

COMMANDLINE = ("<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/"
               "qemu/1.0'>{}</qemu:commandline>")
EARLY = ("domain 'early' is starting up, its memory is being mapped: wait until "
         "it runs, or suspend it")
ON, OFF = "<prefault state='on'/>", "<prefault state='off'/>"


class Moves(LibvirtTest):

    def assert_kept(self, domain, reason):
        """It runs with the setting, in XML as on QEMU's command line."""
        self.runs(domain)
        self.assertEqual(domain.state(), ('running', reason))
        self.assertIn(ON, domain.dumpxml())
        self.assertIn('-incoming defer', domain.argv)
        self.assertIn('-accel kvm,prefault=on', domain.argv)
        self.assertEqual(domain.stats('prefault')['prefault.mode'], 'on')

    def assert_changed(self, domain):
        """It runs without prefault; the guest saw nothing of that."""
        self.runs(domain)
        self.assertIn(OFF, domain.dumpxml())
        self.assertEqual(domain.stats('prefault')['prefault.mode'], 'off')

    def test_save_and_restore(self):
        """The setting is no guest ABI: other XML changes it."""
        path, xml = map(self.machine.scratch, ('saved', 'other.xml'))
        domain = self.started('saves')
        domain.virsh('save', path)
        saved = self.libvirt.virsh('save-image-dumpxml', path)
        self.assertIn(ON, saved)
        self.libvirt.virsh('restore', path)
        self.assert_kept(domain, 'restored')
        domain.virsh('save', path)
        self.machine.write(xml, saved.replace(ON, OFF))
        self.libvirt.virsh('restore', path, '--xml', xml)
        self.assert_changed(domain)

    def test_snapshot(self):
        """Of memory, reverted."""
        path = self.machine.scratch('snapshot')
        domain = self.started('snaps')
        domain.virsh('snapshot-create-as', 'one', '--memspec',
                     f'{path},snapshot=external')
        self.assertIn(ON, domain.virsh('snapshot-dumpxml', 'one'))
        domain.virsh('snapshot-revert', 'one')
        self.assert_kept(domain, 'from snapshot')

    def test_snapshot_while_the_start_is_held(self):
        """Reverted to, it runs."""
        path = self.machine.scratch('early')
        domain = self.early('snapped', 400)
        domain.virsh('snapshot-create-as', 'one', '--memspec',
                     f'{path},snapshot=external')
        self.assertIn('<state>running</state>',
                      domain.virsh('snapshot-dumpxml', 'one'))
        domain.virsh('destroy')
        domain.virsh('snapshot-revert', 'one')
        self.runs(domain)

    def test_migration_that_is_held_there(self):
        """restore='hold': to libvirt it starts up, and can be suspended."""
        _, slowly, variables = self.switches()
        domain = self.started('holds', variables=variables, features=element(
            'on', " restore='hold'"))
        self.machine.write(slowly, '')
        there = self.migrate(domain)
        self.assertEqual(there.state(), HELD)
        self.other().stop()
        self.other().start()
        self.assertEqual(there.state(), HELD)
        there.virsh('suspend')
        self.assertEqual(there.state(), ('paused', 'user'))
        self.put_away(slowly)
        there.virsh('resume')
        self.runs(there)

    def other(self):
        """A second virtqemud."""
        return self.daemon(bed.Libvirt, 2)

    def migrate(self, domain, *options):
        """Migrate to the other virtqemud; returns the domain there."""
        self.libvirt.virsh(
            'migrate', '--live', *options, '--domain', domain.name,
            '--desturi', self.other().connection,
            '--migrateuri', f"unix://{self.machine.scratch('migration')}")
        there = bed.Domain(self.other(), domain.name)
        self.addCleanup(there.end)
        self.assertEqual(domain.state(), ('shut off', 'migrated'))
        return there

    def test_migration(self):
        """To another daemon, with the setting as it was."""
        domain = self.started('moves')
        self.assert_kept(self.migrate(domain), 'migrated')

    def test_migration_with_another_setting(self):
        """As for a host that cannot prefault: the setting is no guest ABI."""
        domain = self.started('changes')
        xml = self.machine.scratch('other.xml')
        self.machine.write(xml, domain.dumpxml('--migratable').replace(ON, OFF))
        self.assert_changed(self.migrate(domain, '--xml', xml))

    def test_migration_to_a_host_that_cannot_map(self):
        """It is taken as with 'auto' there, and the domain's log says so."""
        domain = self.started('lesser')
        xml = self.machine.scratch('other.xml')
        # Only QEMU on the other side has the environment
        self.machine.write(xml, domain.dumpxml('--migratable').replace(
            '</domain>', COMMANDLINE.format(injecting(
                self.machine, 'ioctl:KVM_CHECK_EXTENSION/236:return=0')) +
            '</domain>'))
        there = self.migrate(domain, '--xml', xml)
        self.runs(there)
        self.assertIn('prefault=on: KVM cannot map guest memory in advance',
                      there.log)
        self.assertIn('its memory cannot be mapped',
                      there.stats('prefault')['prefault.left_out'])

    def early(self, name, milliseconds=1000):
        """A domain whose start is held, for long."""
        domain = self.define(name, variables=slow(self.machine, milliseconds))
        domain.virsh('start')
        self.assertEqual(domain.state(), HELD)
        return domain

    def test_migration_while_the_start_is_held(self):
        """Refused: it would stay paused there.  Suspended, it comes over."""
        domain = self.early('early')
        with self.assertRaisesRegex(bed.VirshError, EARLY):
            self.migrate(domain)
        self.assertEqual(domain.state(), HELD)
        domain.virsh('suspend')
        there = self.migrate(domain)
        self.assertEqual(there.state(), ('paused', 'user'))
        there.virsh('resume')
        there.wait_text('READY')
        self.assertEqual(there.stats('prefault')['prefault.trigger'],
                         'restore')


if __name__ == '__main__':
    unittest.main()
