# SPDX-License-Identifier: GPL-2.0-or-later
"""vCPUs that prefault cannot use: none of them keeps the guest from running.

One plugged while a reset is held, one in which a nested guest runs, none at all.
"""
import unittest

from common import BedTest, MIB, WALKED

SLOW = 'madvise:MADV_POPULATE_WRITE:delay-ms=60'

# Room to plug a vCPU and memory
PLUGGABLE = {'machine': 'q35', 'smp': '1,maxcpus=2',
             'mem': '256M,slots=1,maxmem=1G'}


class PluggedWhileAResetIsHeld(BedTest):
    """A vCPU that is plugged then must not hold its lock in KVM_RUN for ever:
    what begins the run anew has to do with each vCPU."""

    def held(self):
        """A guest that runs, then is held by a reset, then got a vCPU."""
        qemu = self.running(WALKED, inject=SLOW, **PLUGGABLE)
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
        cancel = self.migrate_nowhere(qemu)
        self.assertEqual(self.run_state(qemu), 'running')
        cancel()
        self.assert_comes_up(qemu)


# As a vCPU that a nested guest runs on, and one that is not initialised (arm64)
NOT_NOW = ('EOPNOTSUPP', 'ENOEXEC')
RULE = 'ioctl:KVM_PRE_FAULT_MEMORY:when={{}}:errno={}'


class NotNow(BedTest):
    """KVM maps no memory by a vCPU for now.  A guest that ran may run on: what cannot
    be mapped now is no reason to keep it."""

    def stopped(self, rule, prefault=WALKED, **options):
        """A guest that ran and is stopped; from now on the rule applies."""
        path = self.trigger()
        qemu = self.running(prefault, inject=rule.format(path), **options)
        qemu.qmp('stop')
        self.machine.write(path, '')
        return qemu

    def assert_goes_on(self, qemu):
        """The run has its end; cont lets the guest run, which does."""
        since = qemu.qmp('prefault-start').sent_ns
        self.completed(qemu, since)
        qemu.qmp('cont')
        self.until(lambda: self.query(qemu)['status'] != 'active', 'over')
        self.assertEqual(self.run_state(qemu), 'running')
        qemu.sweep()

    def test_the_only_vcpu(self):
        for errno in NOT_NOW:
            with self.subTest(errno):
                qemu = self.stopped(RULE.format(errno))
                self.assert_goes_on(qemu)
                self.assert_injected(qemu)

    def test_one_of_two(self):
        """The other one maps all.  The only worker asks vCPU 0 first."""
        for errno in NOT_NOW:
            with self.subTest(errno):
                qemu = self.stopped(RULE.format(errno) + ':vcpu=0',
                                    WALKED + ',prefault-threads=1', smp=2)
                self.assert_goes_on(qemu)
                info = self.query(qemu)
                self.assertEqual(info['status'], 'completed')
                self.assertEqual(info['mapped'], info['total'])
                self.assert_injected(qemu)


class RequestThatComesToNothing(BedTest):
    """It was nobody's condition: a guest that was ready stays so."""

    def assert_runs_at_once(self, qemu):
        """Without a run before it."""
        status = self.query(qemu)['status']
        ends = [event.name for event in qemu.events].count(
            'PREFAULT_COMPLETED')
        qemu.qmp('cont')
        self.assertEqual(self.run_state(qemu), 'running')
        self.assertEqual(self.query(qemu)['status'], status)
        self.assertEqual([event.name for event in qemu.events].count(
            'PREFAULT_COMPLETED'), ends)
        self.assertEqual(qemu.sweep()[1], 0)

    def test_it_fails(self):
        path = self.trigger()
        qemu = self.running(WALKED, inject='madvise:MADV_POPULATE_WRITE:'
                            f'when={path}:errno=ENOMEM')
        qemu.qmp('stop')
        self.machine.write(path, '')
        since = qemu.qmp('prefault-start').sent_ns
        self.assertEqual(self.completed(qemu, since).data['status'], 'failed')
        self.assert_runs_at_once(qemu)
        self.assert_injected(qemu)

    def test_it_is_cancelled(self):
        qemu = self.running(WALKED, inject=SLOW)
        qemu.qmp('stop')
        qemu.qmp('prefault-start')
        qemu.qmp('prefault-cancel')
        self.assertEqual(self.query(qemu)['status'], 'cancelled')
        self.assert_runs_at_once(qemu)

    def test_it_is_stopped(self):
        """The same by 'stop', of a guest that is stopped already."""
        qemu = self.running(WALKED, inject=SLOW)
        qemu.qmp('stop')
        qemu.qmp('prefault-start')
        qemu.qmp('stop')
        self.assertEqual(self.query(qemu)['status'], 'cancelled')
        self.assert_runs_at_once(qemu)


if __name__ == '__main__':
    unittest.main()
