# SPDX-License-Identifier: GPL-2.0-or-later
"""A start that is held, and what else goes on: a dump, tracking, a migration."""
import time
import unittest

from common import BedTest, MIB
import bed

SLOW = 'madvise:MADV_POPULATE_WRITE:delay-ms=60'

# Each worker's first call: the run has some seconds in which nothing else happens
STUCK = 'madvise:MADV_POPULATE_WRITE:count=2:delay-ms=8000'

# While khugepaged works; without mappings there are 128
FAULTS = 32


class Held(BedTest):

    def held(self, **options):
        """A guest whose start waits for its memory."""
        qemu = self.guest('on', wait=True, **options)
        qemu.qmp('cont')
        self.assertEqual(self.query(qemu)['status'], 'active')
        return qemu


class Dump(Held):
    """The guest does not run while its memory is written to a file."""

    def slow_file(self):
        """The path of a FIFO that takes seconds before it takes much."""
        path = self.machine.scratch('dump')
        self.machine.run('/bin/sh', '-c', f'rm -f {path}; mkfifo {path}; '
                         f'timeout 30 sh -c "(sleep 8; cat) <{path}" '
                         '>/dev/null 2>&1 &')
        return path

    def dump(self, qemu, path, detach):
        qemu.qmp('dump-guest-memory', paging=False, protocol=f'file:{path}',
                 detach=detach)

    def test_while_the_start_is_held(self):
        """It is refused with a sentence, or the start waits for its end."""
        qemu = self.held(inject=SLOW)
        try:
            self.dump(qemu, self.slow_file(), True)
        except bed.QmpError as error:
            self.assertRegex(str(error), '(?i)guest.*(start|held)')
        self.resumed(qemu)
        self.assertNotEqual(qemu.qmp('query-dump').value['status'], 'active')
        qemu.wait_text('READY')
        self.assertEqual(qemu.sweep()[1], 0)

    def test_after_stop(self):
        """Then there is no start to be held."""
        qemu = self.held(inject=SLOW)
        qemu.qmp('stop')
        self.dump(qemu, '/dev/null', False)
        qemu.qmp('cont')
        self.resumed(qemu)
        qemu.wait_text('READY')
        self.assertEqual(qemu.sweep()[1], 0)


class Tracking(Held):
    """While writes are tracked nothing can be mapped in advance, but all can be
    populated; mapped it is when the tracking has ended."""

    def setUp(self):
        """Where a migration reads memory first, it is populated in small pages."""
        super().setUp()
        self.most = FAULTS
        if self.machine.kind == 'bed':
            self.let_khugepaged_rest()
            self.most = 0

    def assert_populated_then_mapped(self, qemu, ended):
        """ended: wait until nothing is tracked any more"""
        done = self.completed(qemu)
        self.assertEqual(done.data['status'], 'completed')
        info = self.query(qemu)
        self.assertEqual(info['total'], 256 * MIB)
        self.assertEqual(info['populated'], info['total'])
        self.assertGreaterEqual(self.resumed(qemu).ns, done.ns)
        qemu.wait_text('READY')
        ended()
        self.refilled(qemu)
        faults = qemu.sweep()[1]
        print(f'# note: run {done.data}, then {faults} faults')
        self.assertLessEqual(faults, self.most)

    def test_dirty_rate(self):
        """A measurement of a second."""
        qemu = self.held(inject=SLOW)
        qemu.qmp('calc-dirty-rate', calc_time=1, mode='dirty-bitmap')
        self.assert_populated_then_mapped(qemu, lambda: self.until(
            lambda: qemu.qmp('query-dirty-rate').value['status'] ==
            'measured', 'measured'))

    def test_migration_that_is_cancelled(self):
        """While the start is held."""
        qemu = self.held(inject=SLOW)
        self.migrate_nowhere(qemu)()
        self.assert_populated_then_mapped(qemu, lambda: None)

    def test_migration_that_is_cancelled_later(self):
        """When the guest runs."""
        qemu = self.held(inject=SLOW)
        self.assert_populated_then_mapped(qemu, self.migrate_nowhere(qemu))


class MigratedAway(Held):
    """Its guest may run elsewhere: it does not start here, whatever happens."""

    def migrated(self):
        """A guest that is migrated to its end while its start is held."""
        qemu = self.held(mem='64M', inject=STUCK)
        qemu.qmp('migrate-set-parameters', max_bandwidth=1 << 40,
                 downtime_limit=10000)
        qemu.qmp('migrate', uri='exec:cat >/dev/null')
        self.migration_is(qemu, 'completed')
        self.assertEqual(self.run_state(qemu), 'postmigrate')
        self.assertEqual(self.query(qemu)['status'], 'active')
        return qemu

    def assert_stays(self, qemu, state):
        """The run ends, and the run state stays what it is."""
        self.completed(qemu)
        time.sleep(1)
        self.assertEqual(self.run_state(qemu), state)
        self.assertNotIn('RESUME', [event.name for event in qemu.events])
        self.assertEqual(qemu.debugcon, '')
        self.assertEqual(qemu.quit()[0], 0)
        self.assertNotIn('assert', qemu.stderr)

    def test_run_ends(self):
        self.assert_stays(self.migrated(), 'postmigrate')

    def test_reset(self):
        qemu = self.migrated()
        since = qemu.qmp('system_reset').sent_ns
        qemu.wait_event('RESET', since_ns=since)
        self.assert_stays(qemu, 'prelaunch')

    def test_cont(self):
        """Whoever wants it to run here after all gets that, as without prefault.
        While it waits it cannot be migrated away once more."""
        qemu = self.migrated()
        since = qemu.qmp('cont').sent_ns
        self.assertEqual(self.run_state(qemu), 'postmigrate')
        with self.assertRaisesRegex(bed.QmpError, 'previous migration'):
            qemu.qmp('migrate', uri='exec:cat >/dev/null')
        done = self.completed(qemu, since)
        self.assertGreaterEqual(self.resumed(qemu, since).ns, done.ns)
        qemu.wait_text('READY')


if __name__ == '__main__':
    unittest.main()
