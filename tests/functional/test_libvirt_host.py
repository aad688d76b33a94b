# SPDX-License-Identifier: GPL-2.0-or-later
"""From XML to a guest on this host's own KVM, in a session of a user."""
import unittest

from domains import LibvirtTest
import bed

NEEDS = ('libvirt',)


class Host(LibvirtTest):

    @classmethod
    def setUpClass(cls):
        cls.machine = bed.HostMachine()
        cls.addClassCleanup(cls.machine.close)
        cls.libvirt = cls.daemon(bed.HostLibvirt)

    def test_on(self):
        """It runs, or libvirt shows what QEMU says that the host cannot do."""
        domain = self.define('on')
        if self.machine.can_prefault():
            domain.virsh('start')
            self.assertEqual(self.query(domain)['mode'], 'on')
        else:
            self.assert_says('prefault=on: KVM cannot map guest memory in '
                             'advance: .*prefault=auto does what this host',
                             'start', 'on')
            self.assertEqual(domain.state(), ('shut off', 'failed'))
        self.assertIn('-accel kvm,prefault=on', domain.argv)

    def test_auto(self):
        """It does what the host can, and domstats says what it cannot."""
        domain = self.running('auto', 'auto')
        self.assertIn('-accel kvm,prefault=auto', domain.argv)
        self.assertEqual(domain.state(), ('running', 'booted'))
        figures = domain.stats('prefault')
        self.assertEqual(figures['prefault.mode'], 'auto')
        self.assertEqual(figures['prefault.status'], 'completed')
        self.assertEqual(figures['prefault.bytes.populated'],
                         figures['prefault.bytes.total'])
        if not self.machine.can_prefault():
            self.assertEqual(figures['prefault.bytes.mapped'], 0)
            self.assertIn('no KVM_CAP_PRE_FAULT_MEMORY',
                          figures['prefault.left_out'])


if __name__ == '__main__':
    unittest.main()
