# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's start is held until memory is ready; the monitor answers."""
import time
import unittest

from common import BedTest, MIB
import bed

# Slow enough to look at, or to interrupt: 64 chunks at 256 MiB, two workers
SLOW = 'madvise:MADV_POPULATE_WRITE:delay-ms=60'

PROMPT_NS = 100 * 1000 * 1000
# How long an answer may take is for the benchmark to say: a host that stops the
# emulator for a moment is no failure here, a monitor that waits for the run is
ANSWER_NS = 500 * 1000 * 1000


class Hold(BedTest):

    def half_way(self, qemu):
        """Start the guest; returns when about half of its memory is done."""
        qemu.qmp('cont')

        def half():
            info = self.query(qemu)
            self.assertEqual(info['status'], 'active')
            return info['populated'] * 2 > info['total']
        self.until(half, 'half way')

    def test_no_vcpu_ran_before_the_end(self):
        """All vCPUs' exits are 0 at the event; RESUME comes after it."""
        qemu = self.guest(smp=4,
                          inject='ioctl:KVM_RUN:count=4:delay-ms=3000')
        self.assertEqual(self.query(qemu)['status'], 'none')
        qemu.qmp('cont')
        done = self.completed(qemu)
        exits = [v['exits'] for v in qemu.vcpu_stats('exits', each=True)]
        print(f"# note: the vCPUs' exits at PREFAULT_COMPLETED: {exits}")
        self.assertEqual(exits, [0, 0, 0, 0])
        self.assertEqual(done.data['status'], 'completed')
        self.assertGreaterEqual(self.resumed(qemu).ns, done.ns)
        names = [e.name for e in qemu.events]
        self.assertLess(names.index('PREFAULT_COMPLETED'),
                        names.index('RESUME'))
        qemu.wait_sweep()
        self.assertGreater(qemu.vcpu_stats()['exits'], 0)
        self.assert_injected(qemu)

    def test_autostart(self):
        """Without -S too the monitor answers and the start is held."""
        qemu = self.guest(paused=False, inject=SLOW)
        self.assert_held_until_ready(qemu)

    def test_nothing_is_touched_before_cont(self):
        qemu = self.guest()
        time.sleep(1)
        self.assertEqual(self.query(qemu), {'mode': 'on', 'can-map': True,
                                               'status': 'none'})
        self.assertEqual(self.run_state(qemu), 'prelaunch')

    def test_query_while_held(self):
        """Figures grow, add up, and answers come promptly."""
        qemu = self.guest(inject=SLOW)
        qemu.qmp('cont')
        last = -1
        for _ in range(20):
            reply = qemu.qmp('query-prefault')
            info = reply.value
            self.assertLess(reply.received_ns - reply.sent_ns, ANSWER_NS)
            if info['status'] != 'active':
                break
            self.assertEqual(self.run_state(qemu), 'prelaunch')
            self.assertGreaterEqual(info['populated'], last)
            self.assertLessEqual(info['mapped'], info['populated'])
            self.assertLessEqual(info['populated'], info['total'])
            last = info['populated']
            time.sleep(0.05)
        self.assertGreater(last, 0)
        done = self.completed(qemu)
        info = self.query(qemu)
        self.assertEqual(info['status'], 'completed')
        self.assertEqual(info['mapped'], info['total'])
        self.assertEqual(info['populated'], info['total'])
        self.assertEqual(info['total'], 256 * MIB)
        self.assertEqual(info['failed'], 0)
        self.assertEqual(done.data['mapped'], info['mapped'])
        self.assertNotIn('error', info)

    def test_threads_follow_the_cpus(self):
        """Two CPUs in L1: two workers, though the guest has one vCPU."""
        qemu = self.guest()
        qemu.qmp('cont')
        self.completed(qemu)
        self.assertEqual(self.query(qemu)['threads'], 2)

    def test_workers_give_way_to_the_monitor(self):
        """They are nicer than QEMU's main thread, and nothing else is."""
        qemu = self.guest(inject=SLOW)
        self.half_way(qemu)
        said = self.machine.run(
            '/bin/sh', '-c', f'cat /proc/{qemu.process.pid}/task/*/stat | '
            "sed 's/.*) //' | cut -d ' ' -f 17")[1]
        nices = sorted(int(word) for word in said.split())
        self.assertEqual(nices, [0] * (len(nices) - 2) + [10, 10])

    def test_info_prefault(self):
        qemu = self.guest(inject=SLOW)
        self.half_way(qemu)
        text = qemu.hmp('info prefault')
        self.assertIn('active (mode on)', text)
        self.assertRegex(text, r'\[#+\.+\] [4-9]\d%')
        self.completed(qemu)
        self.assert_hmp_says(qemu, r'\[#+\] 100%')

    def test_second_cont_while_held(self):
        qemu = self.guest(inject=SLOW)
        self.half_way(qemu)
        qemu.qmp('cont')
        self.assertEqual(self.run_state(qemu), 'prelaunch')
        self.completed(qemu)
        qemu.wait_sweep()
        names = [e.name for e in qemu.events]
        self.assertEqual(names.count('PREFAULT_COMPLETED'), 1)
        self.assertEqual(names.count('RESUME'), 1)

    def test_stop_gives_the_start_up(self):
        """After stop nothing starts; the next cont prefaults all the rest."""
        qemu = self.guest(inject=SLOW)
        self.half_way(qemu)
        reply = qemu.qmp('stop')
        self.assertLess(reply.received_ns - reply.sent_ns, PROMPT_NS)
        info = self.query(qemu)
        self.assertEqual(info['status'], 'cancelled')
        self.assertIn('stopped', info['error'])
        time.sleep(1)
        self.assertEqual(self.run_state(qemu), 'prelaunch')
        self.assertNotIn('RESUME', [e.name for e in qemu.events])
        self.assert_cont_succeeds(qemu)

    def test_cancel_with_on_keeps_the_guest_stopped(self):
        qemu = self.guest(mem='2G')
        self.half_way(qemu)
        reply = qemu.qmp('prefault-cancel')
        took = reply.received_ns - reply.sent_ns
        print(f'# note: prefault-cancel half way through 2 GiB: '
              f'{took / 1e6:.1f} ms')
        self.assertLess(took, PROMPT_NS)
        self.assertEqual(self.completed(qemu).data['status'], 'cancelled')
        self.assertIn('prefault-cancel', self.query(qemu)['error'])
        time.sleep(0.5)
        self.assertEqual(self.run_state(qemu), 'prelaunch')
        self.assert_cont_succeeds(qemu)

    def test_cancel_with_auto_starts_the_guest(self):
        qemu = self.guest(prefault='auto', inject=SLOW)
        self.half_way(qemu)
        qemu.qmp('prefault-cancel')
        self.resumed(qemu)
        self.assertEqual(self.query(qemu)['status'], 'cancelled')
        qemu.wait_sweep()

    def test_cancel_without_a_run(self):
        qemu = self.guest()
        with self.assertRaisesRegex(bed.QmpError,
                                    'No prefault run is under way'):
            qemu.qmp('prefault-cancel')

    def test_quit_half_way(self):
        """From quit to the end of the last worker, within QEMU's own end."""
        qemu = self.guest(mem='2G')
        self.half_way(qemu)
        quit_ns = qemu.qmp('quit').sent_ns
        took = self.completed(qemu, quit_ns).ns - quit_ns
        print(f'# note: quit half way through 2 GiB: workers joined after '
              f'{took / 1e6:.1f} ms')
        self.assertLess(took, PROMPT_NS)
        self.assertEqual(qemu.wait_exit(), 0)


if __name__ == '__main__':
    unittest.main()
