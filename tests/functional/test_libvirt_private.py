# SPDX-License-Identifier: GPL-2.0-or-later
"""Launch security 'sw-protected', from XML to a guest with private memory."""
import unittest

from common import takes_qemu
from domains import LibvirtTest

BED = {'libvirt': True, 'private': True}

SECURITY = "<launchSecurity type='sw-protected'{}/>"


@takes_qemu('10.1')
class SwProtected(LibvirtTest):
    """In the bed whose KVM has KVM_X86_SW_PROTECTED_VM."""

    def assert_protected(self, domain):
        """QEMU was told."""
        machine = next(line for line in domain.argv
                       if line.startswith('-machine'))
        self.assertIn('confidential-guest-support=lsec0', machine)
        self.assertTrue(any('sw-protected-vm' in line
                            for line in domain.argv), domain.argv)

    def test_shared(self):
        """Unmodified firmware boots, and the guest takes no fault."""
        domain = self.running('shared', extra=SECURITY.format(
            " initialState='shared'"))
        self.assert_protected(domain)
        self.assertIn("initialState='shared'", domain.dumpxml())
        self.assertIn('conversions', self.query(domain))
        self.assertEqual(self.sweep_of(domain, 'sw-protected, shared'), 0)

    def test_private(self):
        """The default.  Firmware would have to convert what it shares."""
        domain = self.define('private', extra=SECURITY.format(''))
        domain.virsh('start', '--paused')
        self.assert_protected(domain)
        self.assertEqual(domain.qmp('qom-get', path='/objects/lsec0',
                                    property='initial-state').value, 'private')
        domain.virsh('resume')
        self.runs(domain)
        figures = domain.stats('prefault')
        print(f'# note: {figures}')
        self.assertEqual(figures['prefault.status'], 'completed')
        self.assertEqual(figures['prefault.bytes.private_mapped'],
                         figures['prefault.bytes.private'])
        self.assertGreater(figures['prefault.bytes.private'], 32 << 20)

    def test_capabilities(self):
        """libvirt says that this QEMU has it."""
        said = self.libvirt.virsh('domcapabilities', '--emulatorbin',
                                  self.libvirt.emulator)
        self.assertIn('<value>sw-protected</value>', said)


if __name__ == '__main__':
    unittest.main()
