# SPDX-License-Identifier: GPL-2.0-or-later
"""What is not held or not prefaulted: the reason is told, the guest runs."""
import time
import unittest

from common import BedTest, MIB

# The reason's words in the warning
WORDS = {
    'balloon': 'handed memory back through a balloon device',
    'postcopy': 'an incoming postcopy migration has not brought it all yet',
    'background-snapshot': 'a background snapshot is being taken of it',
}

SLOW = 'madvise:MADV_POPULATE_WRITE:delay-ms=60'

# What came by migration as zeros is in 4 KiB pages, each replaced by itself: up
# to Linux 6.12 populating goes from the huge zero page to the small one.
SMALL = {'mem': '16M', 'wait': True}

# PCI configuration space of device 4 on bus 0
DEVICE_4 = 0x80002000
BAR_0, COMMAND = 0x10, 0x04
IO_BASE = 0xc000

# Of virtio-balloon's legacy I/O range, without MSI-X
BALLOON_ACTUAL = 20 + 4


class Skip(BedTest):

    def reset(self, qemu):
        """Reset it, wait for the run; returns the query's answer."""
        since = qemu.qmp('system_reset').sent_ns
        self.completed(qemu, since)
        return self.query(qemu)

    def skipped(self, info, reason):
        return sum(skip['bytes'] for skip in info['skips']
                   if skip['reason'] == reason)

    def assert_skipped(self, qemu, reason):
        """A reset leaves all memory alone, says so, and lets the guest go."""
        info = self.reset(qemu)
        self.assertEqual(info['status'], 'completed')
        self.assertEqual(info['total'], 0)
        skipped = self.skipped(info, reason)
        self.assertGreaterEqual(skipped, 255 * MIB)
        self.assertIn(f'prefault: {skipped} bytes of guest memory left alone: '
                      f'{WORDS[reason]}', qemu.stderr)
        self.assertEqual(self.run_state(qemu), 'running')

    def assert_prefaults_again(self, qemu):
        """The reason has passed."""
        info = self.reset(qemu)
        self.assertEqual(info['status'], 'completed')
        self.assertGreater(info['mapped'], 0)
        self.assertEqual(info['mapped'], info['total'])
        self.assertLess(info['skipped'], MIB)

    def set_capabilities(self, qemu, *names):
        qemu.qmp('migrate-set-capabilities', capabilities=[
            {'capability': name, 'state': True} for name in names])

    def migration_is(self, qemu, *states):
        return qemu.qmp('query-migrate').value.get('status') in states

    def pci_write(self, qemu, register, value, size='w'):
        qemu.hmp(f'o /w 0xcf8 {DEVICE_4 | register:#x}')
        qemu.hmp(f'o /{size} 0xcfc {value:#x}')

    def test_incoming_migration(self):
        """Not held; its memory is prefaulted while it runs."""
        path = self.machine.scratch('migrate')
        there = self.guest('on', '-incoming', f'unix:{path}', paused=False,
                           **SMALL)
        here = self.running(mem='16M')
        here.qmp('migrate', uri=f'unix:{path}')
        resumed = self.resumed(there)
        self.assertGreater(self.completed(there).ns, resumed.ns)
        info = self.query(there)
        self.assertEqual(info['trigger'], 'restore')
        self.assertEqual(info['mapped'], 16 * MIB)
        self.assert_prefaults_again(there)

    def test_stopped_after_incoming_migration(self):
        """prefault-start makes up for it."""
        path = self.machine.scratch('migrate')
        there = self.guest('on', '-incoming', f'unix:{path}', **SMALL)
        here = self.running(mem='16M')
        here.qmp('migrate', uri=f'unix:{path}')
        self.until(lambda: self.run_state(there) == 'paused', 'migrated')
        self.assertEqual(self.query(there)['status'], 'none')
        there.qmp('prefault-start')
        self.assertEqual(self.completed(there).data['mapped'], 16 * MIB)
        there.qmp('cont')
        self.resumed(there)

    def test_outgoing_migration(self):
        """While writes are tracked memory is populated; then it is mapped."""
        qemu = self.running()
        qemu.qmp('migrate-set-parameters', max_bandwidth=4096)
        qemu.qmp('migrate', uri=f'file:{self.machine.scratch("stream")}')
        self.until(lambda: self.migration_is(qemu, 'active'), 'migrating')
        info = self.reset(qemu)
        self.assertEqual(info['status'], 'completed')
        self.assertEqual(info['populated'], info['total'])
        self.assertGreaterEqual(info['total'], 255 * MIB)
        self.assertEqual(info['mapped'], 0)
        self.assertEqual([x['reason'] for x in info['owed-for']], ['logged'])
        self.assertGreaterEqual(info['owed'], info['total'])
        qemu.qmp('migrate_cancel')
        self.until(lambda: self.migration_is(qemu, 'cancelled'), 'cancelled')
        self.refilled(qemu)
        self.until(lambda: qemu.debugcon.count('READY') == 2, 'restarted')
        self.assertEqual(qemu.sweep()[1], 0)
        self.assert_prefaults_again(qemu)

    def test_background_snapshot(self):
        qemu = self.running()
        self.set_capabilities(qemu, 'background-snapshot')
        qemu.qmp('migrate-set-parameters', max_bandwidth=4096)
        qemu.qmp('migrate', uri=f'file:{self.machine.scratch("stream")}')
        self.until(lambda: self.migration_is(qemu, 'active'), 'active')
        self.until(lambda: self.run_state(qemu) == 'running', 'running')
        self.assert_skipped(qemu, 'background-snapshot')
        qemu.qmp('migrate_cancel')
        self.until(lambda: self.migration_is(qemu, 'cancelled', 'failed'),
                   'cancelled')
        self.assert_prefaults_again(qemu)

    def test_incoming_postcopy(self):
        path = self.machine.scratch('migrate')
        there = self.guest('on', '-incoming', 'defer', wait=True,
                           paused=False)
        here = self.running()
        here.sweep()            # or there is nothing but zero pages to bring
        for qemu in (here, there):
            self.set_capabilities(qemu, 'postcopy-ram')
        there.qmp('migrate-incoming', uri=f'unix:{path}')
        here.qmp('migrate-set-parameters', max_bandwidth=MIB,
                 max_postcopy_bandwidth=MIB)
        here.qmp('migrate', uri=f'unix:{path}')
        self.until(lambda: self.migration_is(here, 'active'), 'migrating')
        here.qmp('migrate-start-postcopy')
        self.until(lambda: self.migration_is(there, 'postcopy-active') and
                   self.run_state(there) == 'running', 'in postcopy')
        self.assert_skipped(there, 'postcopy')
        here.qmp('migrate-set-parameters', max_postcopy_bandwidth=0)
        self.until(lambda: self.migration_is(there, 'completed'), 'migrated')
        self.assert_prefaults_again(there)

    def test_virtio_mem(self):
        """What is not plugged is not there; the rest is prefaulted."""
        qemu = self.guest(
            'on', '-object', 'memory-backend-ram,id=more,size=256M',
            '-device', 'virtio-mem-pci,memdev=more,requested-size=128M',
            machine='q35', mem='256M,maxmem=1G')
        qemu.qmp('cont')
        self.completed(qemu)
        info = self.query(qemu)
        self.assertEqual(self.skipped(info, 'discard-manager'), 256 * MIB)
        self.assertGreaterEqual(info['mapped'], 255 * MIB)
        self.resumed(qemu)

    def test_balloon(self):
        """Which memory was handed back is not known: all is left alone."""
        qemu = self.running(
            'on', '-device',
            'virtio-balloon-pci,disable-modern=on,addr=4,vectors=0',
            machine='q35')
        self.assert_prefaults_again(qemu)
        self.pci_write(qemu, BAR_0, IO_BASE)
        self.pci_write(qemu, COMMAND, 1, 'h')
        qemu.hmp(f'o /w {IO_BASE + BALLOON_ACTUAL:#x} {64 * MIB // 4096}')
        self.assertEqual(qemu.qmp('query-balloon').value['actual'], 192 * MIB)
        info = self.reset(qemu)
        self.assertEqual(info['total'], 0)
        self.assertGreaterEqual(self.skipped(info, 'balloon'), 255 * MIB)
        self.assertIn(WORDS['balloon'], qemu.stderr)
        self.assertEqual(self.run_state(qemu), 'running')

    def test_snapshot_load(self):
        """Held again, with the reason; at launch the start is held."""
        path = self.machine.scratch('disk.qcow2')
        self.make_qcow2(path)
        drive = ('-drive', f'if=none,format=qcow2,file={path}')
        qemu = self.running('on', *drive, machine='q35', inject=SLOW)
        self.assertEqual(qemu.hmp('savevm one'), '')
        self.assertEqual(self.run_state(qemu), 'running')
        since = self.machine.now_ns()
        self.assertEqual(qemu.hmp('loadvm one'), '')
        info = self.query(qemu)
        self.assertEqual((info['status'], info['trigger']),
                         ('active', 'snapshot-load'))
        self.assertEqual(self.run_state(qemu), 'restore-vm')
        done = self.completed(qemu, since)
        self.assertGreaterEqual(self.resumed(qemu, since).ns, done.ns)
        self.assertEqual(self.run_state(qemu), 'running')
        qemu.quit()

        qemu = self.guest('on', *drive, '-loadvm', 'one', machine='q35',
                          wait=True, paused=False, inject=SLOW)
        self.assertEqual(self.query(qemu)['status'], 'active')
        done = self.completed(qemu)
        self.assertGreaterEqual(self.resumed(qemu).ns, done.ns)
        time.sleep(0.2)
        self.assertEqual(self.run_state(qemu), 'running')


if __name__ == '__main__':
    unittest.main()
