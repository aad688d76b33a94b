# SPDX-License-Identifier: GPL-2.0-or-later
"""A distribution's libvirt, which has not heard of prefault: -machine goes past it."""
import unittest

from domains import LibvirtTest, past_libvirt

BED = {'libvirt': 'pristine'}

# 64 MiB in huge pages
HUGE = 32


class Unpatched(LibvirtTest):

    def test_machine_option_is_added_to_libvirts_own(self):
        """libvirt's -accel stays as it is, and the guest takes no fault."""
        domain = self.running('on', None, words=past_libvirt('on'))
        self.assertIn('-accel kvm', domain.argv)
        self.assertIn('-machine prefault=on', domain.argv)
        self.assertEqual(self.query(domain)['status'], 'completed')
        self.assertEqual(domain.state(), ('running', 'booted'))
        self.assertEqual(self.sweep_of(domain, 'unpatched libvirt, '
                                       '-machine prefault=on'), 0)

    def test_faults_without_it(self):
        """The measurement sees faults where there are some."""
        domain = self.running('off', None)
        self.assertGreaterEqual(
            self.sweep_of(domain, 'unpatched libvirt, nothing asked for'),
            HUGE - 4)


if __name__ == '__main__':
    unittest.main()
