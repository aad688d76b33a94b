# SPDX-License-Identifier: GPL-2.0-or-later
"""Starts that fail, and domains that reboot: libvirt hears of it, none is stuck.

A fake reboot is libvirt's: it keeps QEMU, which has shut down or crashed, resets
it and lets it go on.  To libvirt it runs throughout.
"""
import unittest

from domains import FAILED, HELD, LibvirtTest
import bed

BED = {'libvirt': True}

# Ports of machine pc, and what a guest writes there to shut down and to crash
# A byte: the register is two wide, and QEMU 11.1 takes no more than that
SOFT_OFF = 'o /b 0x605 0x20'
PANIC = 'o /b 0x505 1'
RESTARTS = ("<on_poweroff>restart</on_poweroff>"
            "<on_crash>restart</on_crash>")
PVPANIC = "<panic model='isa'/>"
DISK = """<disk type='file' device='disk'>
  <driver name='qemu' type='raw'/><source file='{}'/>
  <target dev='vda' bus='virtio'/>
</disk>"""


class Switched(LibvirtTest):
    """Domains whose memory can be had or not, at once or slowly."""

    def failed(self, name, **parts):
        """A domain whose start has failed, and how to let it succeed."""
        fails, slow, variables = self.switches()
        domain = self.define(name, variables=variables, **parts)
        self.machine.write(fails, '')
        domain.virsh('start')
        self.until(lambda: domain.state() == FAILED, 'told that it failed')
        return domain, fails, slow

    def assert_resumes(self, domain, fails):
        """Once there is memory it runs, with all of it mapped."""
        self.put_away(fails)
        domain.virsh('resume')
        self.runs(domain)
        self.assertEqual(self.query(domain)['status'], 'completed')


class Starts(Switched):

    def test_start_that_fails(self):
        """A lifecycle event, a reason, and resume tries again."""
        watch = self.watch()
        domain, fails, _ = self.failed('fails')
        self.assert_events(watch, 'Started Booted', 'Suspended API error')
        self.assertIn('populating guest memory',
                      domain.stats('prefault')['prefault.error'])
        self.assertIn('does not run', self.libvirt.said)
        domain.virsh('resume')
        self.until(lambda: domain.state() == FAILED, 'failed again')
        self.assert_resumes(domain, fails)

    def test_start_that_fails_while_the_daemon_is_away(self):
        """It is found out afterwards."""
        fails, slow, variables = self.switches()
        domain = self.define('away', variables=variables)
        self.machine.write(slow, '')
        domain.virsh('start')
        self.assertEqual(domain.state(), HELD)
        self.libvirt.stop()
        self.machine.write(fails, '')
        self.put_away(slow)
        # The failure: QEMU says so in its log
        self.until(lambda: 'prefault' in domain.log.split('starting up')[-1]
                   .split('-msg')[-1], 'failed')
        self.libvirt.start()
        self.assertEqual(domain.state(), FAILED)
        self.assert_resumes(domain, fails)

    def test_start_that_is_cancelled(self):
        """As one that fails."""
        _, slow, variables = self.switches()
        domain = self.define('cancels', variables=variables)
        self.machine.write(slow, '')
        domain.virsh('start')
        domain.qmp('prefault-cancel')
        self.until(lambda: domain.state() == FAILED, 'told')
        self.assert_resumes(domain, slow)

    def rebooting(self, name):
        """A domain that runs and restarts when it powers off or crashes."""
        fails, slow, variables = self.switches()
        domain = self.started(name, variables=variables, extra=RESTARTS,
                              devices=PVPANIC)
        domain.wait_text('READY')
        return domain, fails, slow

    def test_fake_reboot(self):
        """Held meanwhile, and told so; commands do what they do at a start."""
        for how in SOFT_OFF, PANIC:
            with self.subTest(how):
                domain, _, slow = self.rebooting(f'reboots{len(how)}')
                watch = self.watch()
                self.machine.write(slow, '')
                domain.hmp(how)
                self.until(lambda: domain.state() == HELD, 'held')
                self.assertEqual(self.query(domain)['trigger'], 'reset')
                domain.virsh('suspend')
                self.assertEqual(domain.state(), ('paused', 'user'))
                self.put_away(slow)
                domain.virsh('resume')
                self.runs(domain)
                self.until(lambda: domain.debugcon.count('READY') == 2,
                           'booted again')
                self.assertEqual(self.sweep_of(domain, how), 0)
                said = self.events(watch)
                print(f'# note: {said}')
                # It was running, is held, is suspended, runs
                self.assertEqual(said[-3:], ['Suspended Paused',
                                             'Suspended Paused',
                                             'Resumed Unpaused'])

    def test_fake_reboot_that_fails(self):
        """The domain does not run, is not called running, and resumes."""
        domain, fails, _ = self.rebooting('breaks')
        self.machine.write(fails, '')
        domain.hmp(SOFT_OFF)
        self.until(lambda: domain.state() == FAILED, 'told that it failed')
        self.assert_resumes(domain, fails)

    def test_live_dump_of_one_that_runs(self):
        """QEMU stops and continues by itself: it is not taken for a start."""
        domain, *_ = self.rebooting('dumps')
        domain.virsh('dump', self.machine.scratch('dump'), '--live',
                     '--memory-only')
        self.assertEqual(domain.state()[0], 'running')
        self.assertEqual(self.run_state(domain), 'running')

    def test_reset_that_fails(self):
        """QEMU stops the guest, and libvirt sees that."""
        domain, fails, _ = self.rebooting('resets')
        self.machine.write(fails, '')
        domain.virsh('reset')
        self.until(lambda: domain.state()[0] == 'paused', 'stopped')
        self.assert_resumes(domain, fails)


class Leases(Switched):
    """A domain that is to run has the lease of its disk, once; another has not."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.libvirt = cls.daemon(bed.LockingLibvirt, 3)

    def disk(self):
        """A disk in XML, and how many leases of it are taken."""
        path = self.machine.scratch('disk')
        self.machine.run('/bin/sh', '-c', f'head -c 1048576 /dev/zero > {path}')
        inode = self.machine.run('/bin/stat', '-c', '%i', path)[1].strip()

        def leases():
            # QEMU's own locks are OFDLCK
            return sum('POSIX' in line and f':{inode} ' in line for line in
                       self.machine.read('/proc/locks').splitlines())
        return DISK.format(path), leases

    def test_leases(self):
        """Held, suspended, held again, failed, resumed, and after a restart."""
        disk, leases = self.disk()
        domain, fails, slow = self.failed('leases', devices=disk)
        self.assertEqual(leases(), 0)
        self.put_away(fails)
        self.machine.write(slow, '')
        domain.virsh('resume')
        self.assertEqual((domain.state(), leases()), (HELD, 1))
        domain.virsh('resume')
        self.assertEqual((domain.state(), leases()), (HELD, 1))
        domain.virsh('suspend')
        self.assertEqual((domain.state()[0], leases()), ('paused', 0))
        domain.virsh('resume')
        self.libvirt.stop()
        self.libvirt.start()
        self.assertEqual((domain.state(), leases()), (HELD, 1))
        domain.virsh('suspend')
        self.assertEqual((domain.state()[0], leases()), ('paused', 0))
        self.put_away(slow)
        domain.virsh('resume')
        self.runs(domain)
        self.assertEqual(leases(), 1)
        domain.virsh('destroy')
        self.assertEqual(leases(), 0)


if __name__ == '__main__':
    unittest.main()
