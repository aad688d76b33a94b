# SPDX-License-Identifier: GPL-2.0-or-later
"""A run that was asked for, and the figures while a run is under way."""
import re
import time
import unittest

from common import BedTest, MIB
import bed

SLOW = 'madvise:MADV_POPULATE_WRITE:delay-ms=60'
SLOWER = 'madvise:MADV_POPULATE_WRITE:delay-ms=120'     # 4 s for 256 MiB
FAILS_ONCE = 'madvise:MADV_POPULATE_WRITE:from=5:count=1:errno=ENOMEM'


class Request(BedTest):

    def names(self, qemu):
        return [event.name for event in qemu.events]

    def test_cont_waits_for_it(self):
        qemu = self.guest(inject=SLOW)
        qemu.qmp('prefault-start')
        self.assertEqual(self.query(qemu)['trigger'], 'request')
        qemu.qmp('cont')
        self.assertEqual(self.query(qemu)['status'], 'active')
        self.assertEqual(self.run_state(qemu), 'prelaunch')
        done = self.completed(qemu)
        self.assertGreaterEqual(self.resumed(qemu).ns, done.ns)
        qemu.wait_sweep()
        self.assertEqual(qemu.faults(), 0)
        self.assertEqual(self.names(qemu).count('PREFAULT_COMPLETED'), 1)
        self.assertEqual(self.query(qemu)['trigger'], 'request')

    def test_cont_after_it_starts_at_once(self):
        """It does not start the guest; cont does, without a second run."""
        qemu = self.guest(inject=SLOW)
        qemu.qmp('prefault-start')
        self.completed(qemu)
        time.sleep(0.5)
        self.assertEqual(self.run_state(qemu), 'prelaunch')
        self.assertNotIn('RESUME', self.names(qemu))
        qemu.qmp('cont')
        self.assertEqual(self.run_state(qemu), 'running')
        qemu.wait_sweep()
        self.assertEqual(qemu.faults(), 0)
        self.assertEqual(self.names(qemu).count('PREFAULT_COMPLETED'), 1)

    def test_of_a_stopped_guest(self):
        """Stopped after it ran: a new run, which finds all done."""
        qemu = self.running()
        qemu.qmp('stop')
        since = qemu.qmp('prefault-start').sent_ns
        done = self.completed(qemu, since)
        self.assertEqual(done.data['mapped'], 256 * MIB)
        self.assertEqual(self.run_state(qemu), 'paused')
        qemu.qmp('cont')
        self.assertEqual(qemu.sweep()[1], 0)

    def assert_refused(self, qemu, words):
        with self.assertRaisesRegex(bed.QmpError, f'^{words}$'):
            qemu.qmp('prefault-start')
        self.query(qemu)

    def test_when_it_is_refused(self):
        self.assert_refused(self.guest('off'), 'Prefault is off: start QEMU '
                            'with prefault=on, prefault=auto or '
                            'prefault=background')
        qemu = self.guest(inject=SLOW, wait=True)
        qemu.qmp('prefault-start')
        self.assert_refused(qemu, 'A prefault run is under way already')
        qemu.qmp('cont')
        self.assert_refused(qemu, 'A prefault run is under way already')

    def test_it_clears_an_error(self):
        """Of a start that failed: the guest is not started by the retry."""
        qemu = self.guest(inject=FAILS_ONCE)
        qemu.qmp('cont')
        self.completed(qemu)
        self.assertIn('Cannot allocate memory', self.query(qemu)['error'])
        since = qemu.qmp('prefault-start').sent_ns
        self.assertEqual(self.completed(qemu, since).data['status'],
                         'completed')
        self.assertNotIn('error', self.query(qemu))
        self.assertEqual(self.run_state(qemu), 'prelaunch')
        qemu.qmp('cont')
        qemu.wait_sweep()
        self.assertEqual(qemu.faults(), 0)
        self.assert_injected(qemu)

    def test_its_own_failure(self):
        """The reason is told; cont tries again."""
        qemu = self.guest(inject=FAILS_ONCE)
        qemu.qmp('prefault-start')
        self.assertEqual(self.completed(qemu).data['status'], 'failed')
        self.assertIn('Cannot allocate memory', self.query(qemu)['error'])
        self.assert_cont_succeeds(qemu)
        self.assert_injected(qemu)

    def test_cancel(self):
        qemu = self.guest(inject=SLOW)
        qemu.qmp('prefault-start')
        qemu.qmp('prefault-cancel')
        self.assertEqual(self.query(qemu)['status'], 'cancelled')
        self.assertEqual(self.run_state(qemu), 'prelaunch')
        self.assert_cont_succeeds(qemu)

    def test_progress_events(self):
        """One a second at most, with figures that grow, none afterwards."""
        qemu = self.guest(inject=SLOWER)
        qemu.qmp('cont')
        done = self.completed(qemu)
        self.resumed(qemu)
        time.sleep(1.5)
        events = [event for event in qemu.events
                  if event.name == 'PREFAULT_PROGRESS']
        moments = [0] + [event.data['elapsed-ms'] for event in events]
        print(f'# note: progress at {moments[1:]} ms of '
              f'{done.data["elapsed-ms"]}')
        self.assertGreater(done.data['elapsed-ms'], 3000)
        self.assertGreaterEqual(len(events), 1)
        for before, after in zip(moments, moments[1:]):
            self.assertGreaterEqual(after - before, 1000)
        last = 0
        for event in events:
            self.assertLess(event.ns, done.ns)
            data = event.data
            self.assertEqual((data['trigger'], data['total']),
                             ('start', 256 * MIB))
            self.assertLessEqual(data['mapped'], data['populated'])
            self.assertGreater(data['mapped'], last)
            last = data['mapped']
        self.assertLessEqual(last, done.data['mapped'])

    def test_rate_and_time_left(self):
        """The average so far, and what the rest takes at that rate."""
        qemu = self.guest(inject=SLOW)
        qemu.qmp('prefault-start')
        self.assertNotIn('rate', self.query(qemu))
        self.until(lambda: self.query(qemu)['mapped'] > 64 * MIB, 'a quarter')
        info = self.query(qemu)
        self.assertEqual(info['status'], 'active')
        rate = info['mapped'] / info['elapsed-ms'] * 1000
        left = (info['total'] - info['mapped']) / info['rate'] * 1000
        self.assertAlmostEqual(info['rate'] / rate, 1, delta=0.1)
        self.assertAlmostEqual(info['remaining-ms'] / left, 1, delta=0.1)
        text = qemu.hmp('info prefault')
        self.assertRegex(text, r'rate: +[1-9]\d* MiB/s')
        self.assertRegex(text, r'time left: +[1-9]\d* ms')
        self.completed(qemu)
        info = self.query(qemu)
        self.assertAlmostEqual(
            info['rate'] * info['elapsed-ms'] / 1000 / info['total'], 1,
            delta=0.1)
        self.assertNotIn('remaining-ms', info)
        text = qemu.hmp('info prefault')
        self.assertRegex(text, r'rate: +[1-9]\d* MiB/s')
        self.assertNotIn('time left', text)

    def test_mapped_now_is_what_kvm_counts(self):
        """The query, info prefault and query-stats agree."""
        qemu = self.guest()
        self.assertNotIn('mapped-now', self.query(qemu))
        qemu.qmp('prefault-start')
        self.completed(qemu)
        info, pages = self.query(qemu), qemu.vm_stats()
        counted = (pages['pages_4k'] * 4096 + pages['pages_2m'] * 2 * MIB +
                   pages['pages_1g'] * 1024 * MIB)
        self.assertEqual(info['mapped-now'], counted)
        self.assertGreaterEqual(counted, info['mapped'])
        kib = re.search(r'now: +(\d+) KiB', qemu.hmp('info prefault'))[1]
        self.assertEqual(int(kib) * 1024, counted)


if __name__ == '__main__':
    unittest.main()
