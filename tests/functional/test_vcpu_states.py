# SPDX-License-Identifier: GPL-2.0-or-later
"""vCPUs that prefault cannot use: none of them keeps the guest from running.

One plugged while a reset is held, one in which a nested guest runs, none at all.
"""
import unittest

from common import BedTest, MIB

SLOW = 'madvise:MADV_POPULATE_WRITE:delay-ms=60'

# Room to plug a vCPU and memory
PLUGGABLE = {'machine': 'q35', 'smp': '1,maxcpus=2',
             'mem': '256M,slots=1,maxmem=1G'}

CRAWL = 1 * MIB                 # bytes a second of a migration that never ends


class PluggedWhileAResetIsHeld(BedTest):
    """A vCPU that is plugged then must not hold its lock in KVM_RUN for ever:
    what begins the run anew has to do with each vCPU."""

    def held(self):
        """A guest that runs, then is held by a reset, then got a vCPU."""
        qemu = self.running('on', inject=SLOW, **PLUGGABLE)
        qemu.qmp('system_reset')
        self.until(lambda: self.query(qemu)['trigger'] == 'reset', 'held')
        free = next(slot for slot in qemu.qmp('query-hotpluggable-cpus').value
                    if 'qom-path' not in slot)
        qemu.qmp('device_add', driver=free['type'], **{
            name.replace('-', '_'): number
            for name, number in free['props'].items()})
        self.assertEqual(self.query(qemu)['status'], 'active')
        return qemu

    def assert_comes_up(self, qemu):
        """The monitor answers, the run ends, the guest begins anew."""
        self.assertEqual(self.run_state(qemu), 'running')
        self.assertEqual(len(qemu.qmp('query-cpus-fast').value), 2)
        self.until(lambda: qemu.debugcon.count('READY') == 2, 'restarted')
        self.assertEqual(self.query(qemu)['status'], 'completed')
        self.assertNotIn('STOP', [event.name for event in qemu.events])
        self.assertEqual(qemu.quit()[0], 0)

    def test_vcpu_alone(self):
        """No change of the memory map: the run goes on as it was."""
        self.assert_comes_up(self.held())

    def test_then_memory(self):
        qemu = self.held()
        qemu.qmp('object-add', qom_type='memory-backend-ram', id='more',
                 size=128 * MIB)
        qemu.qmp('device_add', driver='pc-dimm', id='dimm', memdev='more')
        self.assert_comes_up(qemu)

    def test_then_a_migration(self):
        """Which tracks writes, and is cancelled."""
        qemu = self.held()
        qemu.qmp('migrate-set-parameters', max_bandwidth=CRAWL,
                 downtime_limit=1)
        qemu.qmp('migrate', uri='exec:cat >/dev/null')
        self.assertEqual(self.run_state(qemu), 'running')
        self.until(lambda: qemu.qmp('query-migrate').value['status'] ==
                   'active', 'migrating')
        qemu.qmp('migrate_cancel')
        self.assert_comes_up(qemu)


if __name__ == '__main__':
    unittest.main()
