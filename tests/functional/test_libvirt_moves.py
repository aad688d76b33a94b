# SPDX-License-Identifier: GPL-2.0-or-later
"""Save and restore, snapshots and migration keep the setting."""
import unittest

from domains import LibvirtTest, slow
import bed

BED = {'libvirt': True}

DIFFERS = ("State of KVM feature 'prefault' differs: source: 'on', "
           "destination: 'off'")
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

    def test_save_and_restore(self):
        """And it cannot be changed on the way."""
        path, xml = map(self.machine.scratch, ('saved', 'other.xml'))
        domain = self.started('saves')
        domain.virsh('save', path)
        saved = self.libvirt.virsh('save-image-dumpxml', path)
        self.assertIn(ON, saved)
        self.machine.write(xml, saved.replace(ON, OFF))
        self.assert_says(DIFFERS, 'restore', path, '--xml', xml)
        self.libvirt.virsh('restore', path)
        self.assert_kept(domain, 'restored')

    def test_snapshot(self):
        """Of memory, reverted."""
        path = self.machine.scratch('snapshot')
        domain = self.started('snaps')
        domain.virsh('snapshot-create-as', 'one', '--memspec',
                     f'{path},snapshot=external')
        self.assertIn(ON, domain.virsh('snapshot-dumpxml', 'one'))
        domain.virsh('snapshot-revert', 'one')
        self.assert_kept(domain, 'from snapshot')

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
        """To another daemon, and no other setting is taken there."""
        domain = self.started('moves')
        xml = self.machine.scratch('other.xml')
        self.machine.write(xml, domain.dumpxml('--migratable').replace(ON, OFF))
        with self.assertRaisesRegex(bed.VirshError, DIFFERS):
            self.migrate(domain, '--xml', xml)
        self.assertEqual(domain.state(), ('running', 'booted'))
        self.assert_kept(self.migrate(domain), 'migrated')

    def test_migration_while_the_start_is_held(self):
        """A paused domain comes over, and resumes."""
        domain = self.define('early', variables=slow(self.machine, 1000))
        domain.virsh('start')
        there = self.migrate(domain)
        self.assertEqual(there.state()[0], 'paused')
        there.virsh('resume')
        there.wait_text('READY')
        self.assertEqual(there.stats('prefault')['prefault.trigger'],
                         'restore')


if __name__ == '__main__':
    unittest.main()
