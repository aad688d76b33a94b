# SPDX-License-Identifier: GPL-2.0-or-later
"""KVM_PRE_FAULT_MEMORY may get nowhere until a signal comes: QEMU ends it.

So it is with page tables that KVM has retired: the kernel tries again for ever.
Whatever thread makes the call, the monitor answers and the run goes on.
"""
import time
import unittest

from common import BedTest, MIB, WALKED

# What stops it earlier is a signal to the thread
NOWHERE = 'ioctl:KVM_PRE_FAULT_MEMORY:until-signal=60000:errno=EINTR'

# A call ends in milliseconds, but the emulated machine may be busy; without an end
# of ours it takes a minute
ENDS_MS = 20000
ANSWER_NS = 2000 * 1000 * 1000


class Bounded(BedTest):

    def assert_answers(self, qemu, seconds=3):
        """The monitor answers all the time, soon."""
        slowest, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            reply = qemu.qmp('query-status')
            slowest = max(slowest, reply.received_ns - reply.sent_ns)
            time.sleep(0.02)
        print(f'# note: slowest answer {slowest / 1e6:.0f} ms')
        self.assertLess(slowest, ANSWER_NS)

    def assert_ended_soon(self, done):
        """PREFAULT_COMPLETED of a run that did all its work."""
        self.assertEqual(done.data['status'], 'completed')
        self.assertEqual(done.data['mapped'], done.data['total'])
        self.assertLess(done.data['elapsed-ms'], ENDS_MS)

    def test_start(self):
        """Some calls of a start, one of them the first."""
        qemu = self.guest(smp=2, inject=f'{NOWHERE}:count=4;'
                          f'{NOWHERE}:from=10:count=2')
        qemu.qmp('cont')
        self.assert_answers(qemu)
        self.assert_ended_soon(self.completed(qemu))
        qemu.wait_sweep()
        self.assertEqual(qemu.faults(), 0)
        self.assert_injected(qemu)

    def test_reset(self):
        path = self.trigger()
        qemu = self.running(WALKED, smp=2,
                            inject=f'{NOWHERE}:when={path}:count=4')
        self.machine.write(path, '')
        since = qemu.qmp('system_reset').sent_ns
        self.assert_answers(qemu)
        self.assert_ended_soon(self.completed(qemu, since))
        self.until(lambda: qemu.debugcon.count('READY') == 2, 'restarted')
        self.assertEqual(qemu.sweep()[1], 0)
        self.assert_injected(qemu)

    def test_cancel(self):
        """Of a start that would get nowhere at all."""
        qemu = self.guest('auto', inject=NOWHERE)
        qemu.qmp('cont')
        self.assert_answers(qemu)
        self.assertEqual(self.query(qemu)['status'], 'active')
        reply = qemu.qmp('prefault-cancel')
        self.assertLess(reply.received_ns - reply.sent_ns, ANSWER_NS)
        self.resumed(qemu)
        self.assert_answers(qemu)       # the guest runs, memory is owed
        qemu.wait_sweep()
        self.assertEqual(qemu.quit()[0], 0)

    def test_while_the_guest_runs(self):
        """What a change of the memory map dropped is mapped again."""
        path = self.trigger()
        qemu = self.running(machine='pc', kernel=True, smp=2,
                            inject=f'{NOWHERE}:when={path}')
        before = self.refilled(qemu)['refilled']
        self.machine.write(path, '')
        qemu.flip_pam()
        self.assert_answers(qemu)
        self.put_away(path)
        self.assertGreater(self.refilled(qemu)['refilled'], before)
        sweep, faults = qemu.sweep()
        self.assertGreater(sweep.pages, 255 * MIB // 4096)
        self.assertLessEqual(faults, 2)
        self.assert_injected(qemu)


if __name__ == '__main__':
    unittest.main()
