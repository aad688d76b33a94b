# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that is reset waits until its memory was looked at again."""
import re
import time
import unittest

from common import BedTest, WALKED

# Slow enough to look at, or to interrupt: 64 chunks at 256 MiB, two workers
SLOW = 'madvise:MADV_POPULATE_WRITE:delay-ms=60'

SLOWER = 'madvise:MADV_POPULATE_WRITE:delay-ms=120'

# A watchdog's port, and a timeout in its terms
IB700_ENABLE, IB700_2_S = 0x443, 0xe

# The first run makes 64 calls
FAILS_AT_RESET = 'madvise:MADV_POPULATE_WRITE:from=70:count=1:errno=ENOMEM'


class Reset(BedTest):

    def guest(self, prefault='on', *extra, **options):
        """A reset walks all memory."""
        return super().guest(WALKED if prefault == 'on' else
                             f'{prefault},prefault-keep=off', *extra,
                             **options)

    def reset(self, qemu):
        """Ask for a reset; returns when, once the guest is held."""
        sent_ns = qemu.qmp('system_reset').sent_ns
        self.until(lambda: self.query(qemu)['trigger'] == 'reset',
                   'held after the reset')
        self.assertEqual(self.query(qemu)['status'], 'active')
        return sent_ns

    def exits(self, qemu):
        return qemu.vcpu_stats('exits')['exits']

    def counter(self, qemu):
        """The PIT's counter, which QEMU derives from its virtual clock."""
        qemu.hmp('o /b 0x43 0x00')
        return [re.search(r'= (0x\w+)', qemu.hmp('i /b 0x40'))[1]
                for _ in range(2)]

    def restarted(self, qemu):
        """The guest has begun anew."""
        self.until(lambda: qemu.debugcon.count('READY') == 2, 'restarted')

    def test_vcpus_wait_for_the_run(self):
        qemu = self.running(smp=4, inject=SLOW)
        _, faults = qemu.sweep()
        self.assertEqual(faults, 0)
        since = self.reset(qemu)
        before = self.exits(qemu)
        time.sleep(0.5)
        self.assertEqual(self.exits(qemu), before)
        self.assertEqual(self.run_state(qemu), 'running')
        self.assertEqual(self.query(qemu)['status'], 'active')
        event = self.completed(qemu, since)
        self.assertLess(qemu.wait_event('RESET', since_ns=since).ns, event.ns)
        self.assertEqual(event.data['status'], 'completed')
        self.assertEqual(event.data['mapped'], event.data['total'])
        self.restarted(qemu)
        _, faults = qemu.sweep()
        print(f'# note: {faults} faults in the sweep after a reset')
        self.assertEqual(faults, 0)
        names = [e.name for e in qemu.events]
        self.assertEqual(names.count('RESUME'), 1)
        self.assertNotIn('STOP', names)

    def test_clock_stands_still(self):
        qemu = self.running(inject=SLOW,
                            machine='microvm,pit=on,kernel-irqchip=split')
        for value in (0x34, 0xff, 0xff):
            qemu.hmp(f'o /b {0x43 if value == 0x34 else 0x40} {value}')
        moving = {tuple(self.counter(qemu)) for _ in range(8)}
        self.assertGreater(len(moving), 1)
        self.reset(qemu)
        for value in (0x34, 0xff, 0xff):
            qemu.hmp(f'o /b {0x43 if value == 0x34 else 0x40} {value}')
        still = {tuple(self.counter(qemu)) for _ in range(8)}
        self.assertEqual(self.query(qemu)['status'], 'active')
        self.assertEqual(len(still), 1)
        self.restarted(qemu)

    def test_no_watchdog_fires_meanwhile(self):
        """One of 2 s, set while held for 4 s, fires 2 s after that."""
        qemu = self.running('on', '-device', 'ib700', '-action',
                            'watchdog=none', inject=SLOWER)
        since = self.reset(qemu)
        qemu.hmp(f'o /b {IB700_ENABLE:#x} {IB700_2_S:#x}')
        done = self.completed(qemu, since)
        self.assertGreater(done.data['elapsed-ms'], 3000)
        self.assertNotIn('WATCHDOG', [e.name for e in qemu.events])
        fired = qemu.wait_event('WATCHDOG', since_ns=since)
        took_ms = (fired.ns - done.ns) / 1e6
        print(f'# note: a watchdog of 2 s fired {took_ms:.0f} ms after the '
              f'guest had been held for {done.data["elapsed-ms"]} ms')
        self.assertGreater(took_ms, 1000)

    def test_reset_while_held_by_a_reset(self):
        qemu = self.running(inject=SLOW)
        self.reset(qemu)
        since = qemu.qmp('system_reset').sent_ns
        self.assertEqual(self.completed(qemu, since).data['status'],
                         'completed')
        self.restarted(qemu)

    def test_reset_while_the_start_is_held(self):
        qemu = self.guest(inject=SLOW)
        qemu.qmp('cont')
        since = qemu.qmp('system_reset').sent_ns
        self.assertEqual(self.completed(qemu, since).data['status'],
                         'completed')
        self.resumed(qemu)
        qemu.wait_sweep()
        self.assertEqual(qemu.faults(), 0)

    def test_reset_of_a_stopped_guest(self):
        """Nothing happens before cont, which waits."""
        qemu = self.running(inject=SLOW)
        qemu.qmp('stop')
        qemu.qmp('system_reset')
        time.sleep(0.5)
        self.assertEqual(self.query(qemu)['trigger'], 'start')
        since = qemu.qmp('cont').sent_ns
        self.assertEqual(self.query(qemu)['trigger'], 'reset')
        done = self.completed(qemu, since)
        self.assertGreaterEqual(self.resumed(qemu, since).ns, done.ns)
        self.restarted(qemu)

    def test_stop_while_held(self):
        qemu = self.running(inject=SLOW)
        self.reset(qemu)
        since = qemu.qmp('stop').sent_ns
        info = self.query(qemu)
        self.assertEqual(info['status'], 'cancelled')
        self.assertEqual(info['error'], 'the guest was stopped during its '
                         'reset')
        qemu.wait_event('STOP', since_ns=since)
        before = self.exits(qemu)
        time.sleep(0.5)
        self.assertEqual(self.exits(qemu), before)
        self.assertEqual(self.run_state(qemu), 'paused')
        since = qemu.qmp('cont').sent_ns
        self.assertEqual(self.query(qemu)['trigger'], 'reset')
        self.completed(qemu, since)
        self.restarted(qemu)

    def test_cancel_with_on_stops_the_guest(self):
        qemu = self.running(inject=SLOW)
        self.reset(qemu)
        since = qemu.qmp('prefault-cancel').sent_ns
        qemu.wait_event('STOP', since_ns=since)
        self.assertEqual(self.run_state(qemu), 'paused')
        self.assertIn('prefault-cancel', self.query(qemu)['error'])
        since = qemu.qmp('cont').sent_ns
        self.assertEqual(self.completed(qemu, since).data['status'],
                         'completed')
        self.assertNotIn('error', self.query(qemu))
        self.restarted(qemu)

    def test_cancel_with_auto_lets_the_guest_go_on(self):
        qemu = self.running('auto', inject=SLOW)
        self.reset(qemu)
        qemu.qmp('prefault-cancel')
        self.assertEqual(self.run_state(qemu), 'running')
        self.assertEqual(self.query(qemu)['status'], 'cancelled')
        self.restarted(qemu)

    def test_failure_with_on_stops_the_guest(self):
        qemu = self.running(inject=FAILS_AT_RESET)
        since = qemu.qmp('system_reset').sent_ns
        event = self.completed(qemu, since)
        self.assertEqual(event.data['status'], 'failed')
        self.assertIn('Cannot allocate memory', event.data['error'])
        qemu.wait_event('STOP', since_ns=since)
        self.assertEqual(self.run_state(qemu), 'paused')
        since = qemu.qmp('cont').sent_ns
        self.assertEqual(self.completed(qemu, since).data['status'],
                         'completed')
        self.restarted(qemu)
        self.assert_injected(qemu)

    def test_failure_with_auto_lets_the_guest_go_on(self):
        qemu = self.running('auto', inject=FAILS_AT_RESET)
        since = qemu.qmp('system_reset').sent_ns
        self.assertEqual(self.completed(qemu, since).data['status'],
                         'completed')
        self.assertIn('populating', self.query(qemu)['left-out'])
        self.restarted(qemu)
        self.assertEqual(self.run_state(qemu), 'running')
        self.assert_injected(qemu)

    def test_reset_that_the_guest_asked_for(self):
        """The reset control register of q35, written as a guest would."""
        qemu = self.running(machine='q35', inject=SLOW)
        qemu.hmp('o /b 0xcf9 6')
        self.until(lambda: self.query(qemu)['trigger'] == 'reset', 'held')
        self.completed(qemu, qemu.wait_event('RESET').ns)
        self.restarted(qemu)

    def test_quit_while_held(self):
        qemu = self.running(inject=SLOW)
        self.reset(qemu)
        code, _ = qemu.quit()
        self.assertEqual(code, 0)


if __name__ == '__main__':
    unittest.main()
