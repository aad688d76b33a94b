# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory is prefaulted behind a guest that runs: prefault-start, mode background."""
import time
import unittest

import bed
from common import MIB, THP
from test_limits import SENTENCES
from test_room import GUEST, RoomTest

SIZE = 256                      # MiB, of guest()
LARGE = 512                     # MiB
SLOW = 'madvise:MADV_POPULATE_WRITE:delay-ms=60'


class BehindTest(RoomTest):

    def untouched(self, *extra, **options):
        """A guest that runs, and whose memory is not there: it halts."""
        slow = self.trigger()
        options.setdefault('inject', f'{SLOW}:when={slow}')
        self.machine.write(slow, '')
        qemu = self.guest('auto', *extra, wait=True, **options)
        qemu.qmp('cont')
        qemu.qmp('prefault-cancel')
        self.put_away(slow)
        self.resumed(qemu)
        qemu.wait_text('READY')
        return qemu

    def assert_done(self, qemu, since, trigger, total=SIZE):
        """It ends, all is mapped, and the guest finds it so."""
        done = self.completed(qemu, since)
        info = self.query(qemu)
        sweep, faults = qemu.sweep()
        print(f'# note: {trigger}: {done.data}; {faults} faults in '
              f'{sweep.pages} pages')
        self.assertEqual(done.data['status'], 'completed')
        self.assertEqual(info['trigger'], trigger)
        self.assertEqual(info['total'], total * MIB)
        self.assertEqual(info['mapped'], info['total'])
        self.assertEqual(info['populated'], info['total'])
        self.assertEqual(info['owed'], 0)
        self.assertEqual(faults, 0)


class Request(BehindTest):

    def test_while_the_guest_runs(self):
        qemu = self.untouched()
        self.assertLess(self.rss(qemu), SIZE)
        since = qemu.qmp('prefault-start').sent_ns
        info = self.query(qemu)
        self.assertEqual((info['status'], info['trigger']),
                         ('active', 'request'))
        self.assertEqual(self.run_state(qemu), 'running')
        self.assert_done(qemu, since, 'request')
        self.assertNotIn('STOP', [event.name for event in qemu.events])

    def test_is_told(self):
        """As it goes on, and that it is under way."""
        qemu = self.untouched(inject=SLOW)
        since = qemu.qmp('prefault-start').sent_ns
        with self.assertRaisesRegex(bed.QmpError, 'is under way already'):
            qemu.qmp('prefault-start')
        told = qemu.wait_event('PREFAULT_PROGRESS', since_ns=since).data
        info = self.query(qemu)
        print(f'# note: {told}; {info}')
        self.assertEqual(told['trigger'], 'request')
        self.assertEqual(told['total'], SIZE * MIB)
        self.assertGreater(told['mapped'], 0)
        self.assertGreater(info['remaining-ms'], 0)
        self.assertEqual([x['reason'] for x in info['owed-for']],
                         ['requested'])
        # The threads go on between the two
        self.assertAlmostEqual(info['mapped'] + info['owed'], SIZE * MIB,
                               delta=8 * MIB)
        self.assert_hmp_says(qemu, 'owed: ')
        self.assert_done(qemu, since, 'request')

    def test_cancelled(self):
        """What is left is the guest's page faults' again."""
        qemu = self.untouched(inject=SLOW)
        since = qemu.qmp('prefault-start').sent_ns
        self.until(lambda: self.query(qemu)['mapped'], 'begun')
        qemu.qmp('prefault-cancel')
        self.assertEqual(self.completed(qemu, since).data['status'],
                         'cancelled')
        info = self.query(qemu)
        self.assertEqual(info['owed'], 0)
        self.assertEqual(info['error'], 'cancelled by prefault-cancel')
        self.assertEqual(self.run_state(qemu), 'running')
        time.sleep(0.5)                     # less than the rest takes
        self.assertEqual(self.query(qemu)['mapped-now'], info['mapped-now'])
        self.assertLess(info['mapped-now'], SIZE * MIB)
        self.assertGreater(qemu.sweep()[1], 0)

    def test_the_guest_is_stopped_meanwhile(self):
        """It goes on, and 'cont' does not wait for it."""
        qemu = self.untouched(inject=SLOW)
        since = qemu.qmp('prefault-start').sent_ns
        qemu.qmp('stop')
        again = qemu.qmp('cont').sent_ns
        self.resumed(qemu, again)
        self.assertEqual(self.query(qemu)['status'], 'active')
        self.assert_done(qemu, since, 'request')

    def test_the_guest_is_reset_meanwhile(self):
        """Then it waits, with auto too."""
        qemu = self.untouched(inject=SLOW)
        qemu.qmp('prefault-start')
        since = qemu.qmp('system_reset').sent_ns
        self.until(lambda: self.query(qemu)['trigger'] == 'reset', 'reset')
        self.assertEqual(self.completed(qemu, since).data['status'],
                         'completed')
        self.until(lambda: qemu.debugcon.count('READY') == 2, 'up')
        self.assertEqual(qemu.sweep()[1], 0)


class Room(BehindTest):
    """The host has not enough."""

    def short(self, prefault):
        """A guest that runs in a cgroup with too little for its memory."""
        path = self.group()
        qemu = self.guest(prefault, mem=f'{GUEST}M', wait=True,
                          prefix=self.entering(path))
        self.limit(path, memory_max=self.used(path) + GUEST // 2 * MIB)
        return qemu, path

    def test_background_takes_what_there_is(self):
        qemu, path = self.short('background')
        qemu.qmp('cont')
        done = self.completed(qemu)
        info = self.query(qemu)
        print(f'# note: {done.data}; {info["left-out"]}')
        self.assertEqual(done.data['status'], 'completed')
        self.assertRegex(info['left-out'],
                         'a part: ' + SENTENCES['cgroup'].format('/.*'))
        self.assertEqual([x['reason'] for x in info['skips']
                          if x['bytes'] > GUEST // 4 * MIB], ['no-room'])
        self.assertEqual(info['owed'], 0)
        self.assertIn('oom_kill 0', self.machine.read(f'{path}/memory.events'))

    def test_on_fails(self):
        """The guest runs on: it did so before."""
        stream, path = self.machine.scratch('stream'), self.group()
        source = self.guest('', mem=f'{GUEST}M', wait=True, paused=False)
        source.wait_text('READY')
        source.qmp('migrate', uri=f'file:{stream}')
        self.migration_is(source, 'completed')
        source.quit()
        qemu = self.guest('on,prefault-restore=none', '-incoming',
                          f'file:{stream}', mem=f'{GUEST}M', paused=False,
                          prefix=self.entering(path), wait=True)
        self.resumed(qemu)
        self.assertEqual(self.query(qemu)['left-out'], 'all: the guest was '
                         'restored, and prefault-restore=none')
        self.limit(path, memory_max=self.used(path) + GUEST // 2 * MIB)
        since = qemu.qmp('prefault-start').sent_ns
        done = self.completed(qemu, since)
        self.assertEqual(done.data['status'], 'failed')
        self.assertRegex(done.data['error'], SENTENCES['cgroup'].format('/.*'))
        self.assertIn('the rest is left to page faults', qemu.stderr)
        self.assertEqual(self.run_state(qemu), 'running')
        self.assertEqual(self.query(qemu)['owed'], 0)


class Background(BehindTest):
    """Mode background."""

    def test_the_guest_starts_at_once(self):
        qemu = self.guest('background', wait=True, inject=SLOW)
        qemu.qmp('cont')
        resumed = self.resumed(qemu)
        info = self.query(qemu)
        self.assertEqual((info['mode'], info['status'], info['trigger']),
                         ('background', 'active', 'start'))
        done = self.completed(qemu)
        self.assertGreater(done.ns, resumed.ns)
        self.assert_done(qemu, 0, 'start')

    def test_the_guest_is_reset(self):
        """It does not wait then either."""
        qemu = self.guest('background', wait=True, inject=SLOW)
        qemu.qmp('cont')
        self.completed(qemu)
        since = qemu.qmp('system_reset').sent_ns
        self.until(lambda: qemu.debugcon.count('READY') == 2, 'up')
        self.assert_done(qemu, since, 'reset')

    def test_latency(self):
        """What the first writes of 512 MiB cost the guest, by its own clock."""
        self.knob(f'{THP}/enabled', 'never')
        for prefault in '', 'background', 'on':
            qemu = self.guest(prefault, mem=f'{LARGE}M', smp=2, paused=False)
            sweep = qemu.wait_sweep()
            faults = qemu.faults()
            print(f'# note: {prefault or "no prefault"}: write of a page, '
                  f'cycles: median {sweep.median}, p99 {sweep.p99}, max '
                  f'{sweep.max}, total {sweep.total}; {faults} faults')
            if prefault == 'background':
                self.assertEqual(self.completed(qemu).data['status'],
                                 'completed')
            qemu.quit()


if __name__ == '__main__':
    unittest.main()
