# SPDX-License-Identifier: GPL-2.0-or-later
"""Our Debian packages, which apt put in the place of Debian's: a guest of that QEMU,
by hand and by that libvirt.
"""
import json
import unittest

from common import BedTest, RUN_SECONDS
from prefaultlib.assemble import project
from bed import linuxfiles
from bed.debianfiles import FOLDER

BED = {'debian': True, 'linux': True}

MIB = 256
IN_IT = ('/bin/chroot', FOLDER)
QEMU = dict(prefix=IN_IT, binary='/usr/bin/qemu-system-x86_64')
# libvirt as a system starts it, but for systemd, and for the private /dev of each
# QEMU, which is not made in a chroot
DAEMON = '''echo 'namespaces = []' >> /etc/libvirt/qemu.conf
virtlogd -d
libvirtd -d'''
DOMAIN = f'''<domain type='kvm'>
<name>packaged</name><memory unit='MiB'>{MIB}</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type>
<kernel>/prefault/kernel.elf</kernel></os>
<features><kvm><prefault state='on'/></kvm></features>
<cpu mode='host-passthrough'/>
<devices><memballoon model='none'/></devices>
</domain>'''


class Packaged(BedTest):

    def sh(self, script, *words, timeout=RUN_SECONDS):
        """What a command in that Debian prints; it must succeed."""
        code, said, errors = self.machine.run(
            *IN_IT, '/bin/sh', '-ec', script, *words, timeout=timeout)
        self.assertEqual(code, 0, f'{script}: {errors}')
        return said

    def of_package(self, machine, prefault='on', *extra):
        """A guest of that QEMU, with the firmware that it finds."""
        return self.guest(prefault, *extra, machine=machine, kernel=True, wait=True,
                          mem=f'{MIB}M', **QEMU)

    def test_versions(self):
        """All that is installed of both is ours, and nothing was removed."""
        installed = dict(line.split() for line in self.sh(
            'dpkg-query -W -f "\\${Package} \\${Version}\\n"').splitlines())
        ours = f'+0prefault{project.version()}'
        for name in ('qemu-system-x86', 'qemu-system-gui', 'qemu-block-extra',
                     'qemu-utils', 'libvirt0', 'libvirt-daemon-driver-qemu'):
            self.assertTrue(installed[name].endswith(ours), installed[name])
        version = installed['qemu-system-x86']
        self.assertEqual([name for name, known in installed.items()
                          if known == version.removesuffix(ours) and
                          name != 'qemu-system-data'], [])
        self.assertIn(version, self.sh('qemu-system-x86_64 --version'))
        print(f'# note: {version}')

    def test_guest(self):
        """With Debian's SeaBIOS: no fault but below 1 MiB."""
        for machine in 'pc', 'q35':
            with self.subTest(machine):
                qemu = self.of_package(machine)
                self.let_run(qemu)
                self.assert_all_mapped(qemu, MIB, f'{machine}, packaged')
                qemu.kill()

    def test_linux(self):
        """With a network, whose device has a ROM; no fault once init runs."""
        qemu = self.linux_guest('', '-smp', '2', '-nic', 'user,model=virtio',
                                mib=1024, **QEMU)
        qemu.wait_text(linuxfiles.UP, RUN_SECONDS)
        self.refilled(qemu)
        before = qemu.faults()
        qemu.wait_text(linuxfiles.SAID, RUN_SECONDS)
        faults = qemu.faults() - before
        print(f'# note: Linux with two vCPUs, packaged: {faults} faults')
        self.assertLessEqual(faults, 8)

    def test_without(self):
        """The measurement sees faults where there are some."""
        qemu = self.of_package('pc', None)
        self.let_run(qemu)
        _, faults = qemu.sweep()
        self.assertGreater(faults, MIB // 2 - 8)

    def test_follower(self):
        socket = self.machine.scratch('follow')
        qemu = self.of_package('pc', 'on', '-qmp',
                               f'unix:{socket},server=on,wait=off')
        self.let_run(qemu)
        self.assertIn('status:    completed',
                      self.sh('qemu-prefault --status "$0"', socket))

    def test_apparmor(self):
        """Our part of libvirt's profile belongs to a package."""
        path = '/etc/apparmor.d/abstractions/libvirt-qemu.d/prefault'
        self.assertIn('qemu-system-common', self.sh(f'dpkg -S {path}'))
        self.assertIn('pagemap', self.sh(f'cat {path}'))

    def monitor(self, command, **arguments):
        """QMP's answer, by virsh."""
        text = json.dumps({'execute': command, 'arguments': arguments})
        return json.loads(self.sh(
            'virsh -q qemu-monitor-command packaged "$0"', text))['return']

    def test_libvirt(self):
        """A domain with libvirt's element, by virsh, of both packages."""
        self.sh(DAEMON)
        self.until(lambda: not self.machine.run(
            *IN_IT, '/usr/bin/virsh', 'uri', timeout=RUN_SECONDS)[0],
            'libvirtd answers')
        self.sh('cat > /root/domain.xml <<E\n' + DOMAIN + '\nE')
        self.sh('virsh define /root/domain.xml && virsh start packaged')
        self.addCleanup(self.sh, 'virsh destroy packaged')
        self.until(lambda: 'prefault.status=completed' in self.sh(
            'virsh domstats --prefault packaged'), 'completed')
        self.until(lambda: 'running' in self.sh('virsh domstate packaged'),
                   'running')
        self.assertNotIn('error', self.monitor('query-prefault'))


if __name__ == '__main__':
    unittest.main()
