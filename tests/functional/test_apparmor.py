# SPDX-License-Identifier: GPL-2.0-or-later
"""In libvirt's AppArmor profile: what prefault needs is allowed, by our part of it.

The profiles are libvirt's own, with libvirt/src/security/apparmor/prefault and
without; the kernel is Debian's, which enforces them.
"""
import re
import unittest

from common import MIB
from resources import ResourceTest

BED = {'apparmor': True}

WITH, WITHOUT = 'libvirt-with-prefault', 'libvirt-without'
DENIED = re.compile(r'apparmor="DENIED" .*profile="(\S+)" name="(\S+)"')


class AppArmor(ResourceTest):

    def confined(self, profile, mem='128M', **how):
        """A guest on machine pc in the profile, with its firmware."""
        return self.guest('on', machine='pc', kernel=True, wait=True, mem=mem,
                          prefix=self.machine.confined(profile), **how)

    def denied(self, profile):
        """What the kernel has denied it."""
        said = self.machine.run('/bin/dmesg')[1]
        return sorted({name for who, name in DENIED.findall(said)
                       if who == profile})

    def swept(self, profile):
        """Faults after firmware, and what QEMU said."""
        qemu = self.confined(profile)
        self.assertIn(profile, self.machine.read(
            f'/proc/{qemu.process.pid}/attr/apparmor/current'))
        qemu.qmp('cont')
        qemu.wait_text('READY', 120)
        self.refilled(qemu)
        _, faults = qemu.sweep()
        said = qemu.stderr
        qemu.quit()
        print(f'# note: {profile}: {faults} faults after firmware; denied: '
              f'{", ".join(self.denied(profile)) or "nothing"}')
        return faults, said

    def test_with_our_part(self):
        """No denial, no fault, no warning."""
        faults, said = self.swept(WITH)
        self.assertEqual(faults, 0)
        self.assertNotIn('pagemap', said)
        self.assertEqual(self.denied(WITH), [])

    def test_without_it(self):
        """The profile is in force, and what is missing shows."""
        faults, said = self.swept(WITHOUT)
        self.assertGreater(faults, 0)
        self.assertIn('no /proc/self/pagemap', said)
        self.assertTrue([name for name in self.denied(WITHOUT)
                         if name.endswith('/pagemap')])

    def refused(self, profile, **limits):
        """What QEMU says of a guest of 512 MiB in a cgroup with the limits."""
        cgroup = self.cgroup(self.new_path('vm').rpartition('/')[2], **limits)
        qemu = self.guest(
            'on', mem='512M', connect=False,
            prefix=['/bin/sh', '-ec', f'echo $$ > {cgroup}/cgroup.procs\n'
                    'exec "$0" "$@"', *self.machine.confined(profile)])
        qemu.wait_exit()
        return qemu.stderr

    def test_limits_are_seen(self):
        """memtune's hard_limit and soft_limit, before memory is taken."""
        for knob in 'memory_max', 'memory_high':
            with self.subTest(knob):
                self.assertRegex(
                    self.refused(WITH, **{knob: 256 * MIB}),
                    rf'prefault=on: guest memory takes .*\({knob.replace("_", ".")}'
                    f' {256 * MIB}')
        self.assertEqual(self.denied(WITH), [])

    def test_huge_pages_are_seen(self):
        """Of each node's pool."""
        folder = self.hugepages(8)
        qemu = self.guest(
            'on', '-object', f'memory-backend-file,id=m,size=64M,share=on,'
            f'reserve=off,mem-path={folder}', mem='64M',
            machine='microvm,memory-backend=m', connect=False,
            prefix=self.machine.confined(WITH))
        qemu.wait_exit()
        self.assertRegex(qemu.stderr, 'prefault=on: .*huge')
        self.assertEqual(self.denied(WITH), [])


if __name__ == '__main__':
    unittest.main()
