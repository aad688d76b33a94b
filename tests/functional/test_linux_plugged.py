# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux guest gets more memory, uses it, and gives it back."""
import unittest

from bed import linuxfiles
from common import MIB, NEXT_TO_NONE, RUN_SECONDS
from resources import ResourceTest

BED = {'linux': True}

RAM = 512                       # MiB
MORE = 256                      # MiB, that is plugged in
USED = 600                      # MiB: more than there was before
LITTLE = 8                      # MiB, of QEMU's own


class LinuxPlugged(ResourceTest):

    def started(self, *extra):
        """A Linux guest that obeys."""
        self.pipe = self.new_path('pipe')
        self.sh(f'mkfifo {self.pipe}.in {self.pipe}.out')
        qemu = self.linux_guest(
            linuxfiles.OBEYS, '-chardev', f'pipe,id=go,path={self.pipe}',
            '-serial', 'chardev:go', '-m', 'slots=4,maxmem=4G', *extra,
            mib=RAM)
        qemu.wait_text(linuxfiles.UP, RUN_SECONDS)
        self.until(lambda: not self.query(qemu)['owed'], 'all is mapped')
        return qemu

    def tell(self, qemu, what):
        """Let the guest do something; returns what it says."""
        said = f'{linuxfiles.DONE}{what.split()[0]} '
        number = qemu.debugcon.count(said)
        self.machine.write(f'{self.pipe}.in', f'{what}\n')
        self.until(lambda: qemu.debugcon.count(said) > number, what)
        return int(qemu.debugcon.rpartition(said)[2].split()[0])

    def has_grown(self, qemu, by):
        """Wait until the guest has so many MiB more, or less."""
        before = self.total
        self.until(lambda: abs(self.tell(qemu, 'total') - before - by * 1024)
                   < LITTLE * 1024, 'grown')

    def assert_used(self, qemu, what):
        """The guest writes more than it had, without faults."""
        before, mapped = qemu.faults(), self.query(qemu)['mapped-now']
        self.assertGreaterEqual(self.tell(qemu, f'write {USED}'), USED)
        faults = qemu.faults() - before
        print(f'# note: {what}: {USED} MiB written, {faults} faults; '
              f'{mapped >> 20} MiB mapped before, RSS {self.rss(qemu)} MiB')
        self.assertLessEqual(faults, NEXT_TO_NONE)
        self.tell(qemu, 'free')

    def test_dimm(self):
        """Plugged, used, and taken out: nothing of it stays."""
        qemu = self.started()
        self.total = self.tell(qemu, 'total')
        since = self.machine.now_ns()
        qemu.qmp('object-add', qom_type='memory-backend-ram', id='mem',
                 size=MORE * MIB)
        qemu.qmp('device_add', driver='pc-dimm', id='dimm', memdev='mem')
        self.until(lambda: self.query(qemu)['mapped-now'] >=
                   (RAM + MORE - LITTLE) * MIB, 'mapped')
        print(f'# note: mapped {(self.machine.now_ns() - since) / 1e6:.0f} ms '
              'after device_add')
        self.has_grown(qemu, MORE)
        self.assert_used(qemu, 'DIMM')
        qemu.qmp('device_del', id='dimm')
        qemu.wait_event('DEVICE_DELETED', RUN_SECONDS)
        self.until(lambda: not self.query(qemu)['owed'], 'mapped again')
        qemu.qmp('object-del', id='mem')
        info = self.query(qemu)
        print(f'# note: taken out: {info["mapped-now"] >> 20} MiB mapped, RSS '
              f'{self.rss(qemu)} MiB, {info["retention"]}')
        self.assertEqual(info['retention']['lost'], 0)
        self.assertLess(info['mapped-now'], (RAM + LITTLE) * MIB)
        self.plugged_at_the_same_place(qemu)

    def plugged_at_the_same_place(self, qemu):
        """It is new memory, though perhaps at the same host address."""
        qemu.qmp('stop')
        qemu.qmp('object-add', qom_type='memory-backend-ram', id='mem2',
                 size=MORE * MIB)
        qemu.qmp('device_add', driver='pc-dimm', id='dimm2', memdev='mem2')
        since = qemu.qmp('cont').sent_ns
        self.completed(qemu, since)
        self.has_grown(qemu, MORE)
        self.assert_used(qemu, 'another DIMM')

    def test_virtio_mem(self):
        """Plugged in parts; unplugged parts stay away."""
        qemu = self.started(
            '-object', f'memory-backend-ram,id=mem,size={2 * MORE}M',
            '-device', 'virtio-mem-pci,id=vm,memdev=mem,requested-size=0')
        self.total = self.tell(qemu, 'total')
        rss = self.rss(qemu)
        self.resize(qemu, MORE)
        self.until(lambda: self.query(qemu)['mapped-now'] >=
                   (RAM + MORE - LITTLE) * MIB, 'mapped')
        self.has_grown(qemu, MORE)
        self.assert_used(qemu, 'virtio-mem')
        self.resize(qemu, 0)
        self.until(lambda: self.rss(qemu) < rss + LITTLE, 'given back')
        self.until(lambda: not self.query(qemu)['owed'], 'at rest')
        info = self.query(qemu)
        print(f'# note: unplugged: {info["mapped-now"] >> 20} MiB mapped, RSS '
              f'{self.rss(qemu)} MiB, {rss} before it was plugged; '
              f'{info["retention"]}')
        self.assertEqual(info['retention']['lost'], 0)
        since = qemu.qmp('prefault-start').sent_ns
        self.completed(qemu, since)
        skips = {x['reason']: x['bytes'] for x in self.query(qemu)['skips']}
        self.assertEqual(skips['discard-manager'], 2 * MORE * MIB)
        self.assertLess(self.rss(qemu), rss + LITTLE)

    def resize(self, qemu, mib):
        """Ask the guest to have so much of the device."""
        qemu.qmp('qom-set', path='vm', property='requested-size',
                 value=mib * MIB)
        self.until(lambda: qemu.qmp('qom-get', path='vm', property='size')
                   .value == mib * MIB, 'resized')


if __name__ == '__main__':
    unittest.main()
