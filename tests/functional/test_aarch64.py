# SPDX-License-Identifier: GPL-2.0-or-later
"""arm64, where KVM cannot map in advance before Linux 7.4: auto populates, and on
says what is missing.
"""
import re
import unittest

from common import not_on_a_host
from bed.armfiles import Arm64

MIB = 256
# QEMU's own words and status, or what became of the run and of the guest
SCRIPT = f'''
for mode in on auto off; do
    qemu-system-aarch64 -M virt -cpu host -accel kvm,prefault=$mode -m {MIB} \\
        -nodefaults -display none -qmp unix:/tmp/$mode,server=on,wait=off \\
        2>/tmp/said &
    qemu=$!
    while kill -0 $qemu && ! test -S /tmp/$mode; do sleep 1; done
    qemu-prefault --timeout 60 /tmp/$mode > /tmp/result 2>&1
    echo "$mode: qemu-prefault: $?"
    sed "s/^/$mode: /" /tmp/said /tmp/result
    grep VmRSS: /proc/$qemu/status | sed "s/^/$mode: /"
    kill $qemu
done 2>/dev/null
'''


class Aarch64(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        not_on_a_host()
        cls.said = Arm64().run(SCRIPT)
        print('\n'.join(f'# note: {line}' for line in cls.said))

    def of(self, mode):
        """What was said of the QEMU with this mode."""
        return '\n'.join(line for line in self.said
                         if line.startswith(f'{mode}: '))

    def rss(self, mode):
        """MiB that this QEMU has."""
        return int(re.search(r'VmRSS:\s+(\d+) kB', self.of(mode))[1]) // 1024

    def test_on(self):
        self.assertRegex(self.of('on'), 'prefault=on: KVM cannot map guest '
                         'memory in advance: no KVM_CAP_PRE_FAULT_MEMORY, '
                         'which takes Linux 7.4 or later')

    def test_auto(self):
        """All memory is there before the guest runs; none is with off."""
        self.assertIn('qemu-prefault: 0', self.of('auto'))
        done, total = map(int, re.search(r'populated: +(\d+) of (\d+) KiB',
                                         self.of('auto')).groups())
        self.assertEqual(done, total)
        self.assertGreaterEqual(total, MIB << 10)
        self.assertGreater(self.rss('auto'), MIB)
        self.assertLess(self.rss('off'), MIB // 2)


if __name__ == '__main__':
    unittest.main()
