# SPDX-License-Identifier: GPL-2.0-or-later
"""While a start is held: what libvirt shows, and what its commands do then.

To libvirt it is a domain that was started and is 'paused (starting up)'.
"""
import time
import unittest

from domains import HELD, LibvirtTest, slow

BED = {'libvirt': True}

RUNS = ('running', 'booted')
SOME = 64                       # MiB, 16 chunks and one worker
MANY = 2048

# libvirt gives up on a monitor that does not open, and on a job that another one
# keeps it from, after 30 s; on a client that does not answer after 30 s
TIMEOUTS = 30
CHUNK_MS = 2200                 # 16 of them take longer than those
RESTART_MS = 1200               # longer than the daemon takes to be there again
MOMENT_MS = 500                 # half way for a few seconds
LITTLE_MS = 10                  # likewise with many chunks

# SIGTERM ends QEMU; 15 s later libvirt would send SIGKILL
DESTROY_SECONDS = 10


class Hold(LibvirtTest):

    def held(self, name, milliseconds=MOMENT_MS, **parts):
        """A domain whose start is held; each chunk takes so long at least."""
        domain = self.define(name, variables=slow(self.machine, milliseconds),
                             mem=SOME, **parts)
        domain.virsh('start')
        self.assert_held(domain)
        return domain

    def assert_held(self, domain):
        """It has been started and does not run."""
        self.assertEqual(domain.state(), HELD)
        self.assertEqual(domain.stats('prefault')['prefault.status'], 'active')

    def assert_takes_no_fault(self, domain, what):
        """It runs, and writing all its memory costs nothing."""
        self.runs(domain)
        domain.wait_text('READY')
        self.assertEqual(self.sweep_of(domain, what), 0)

    def seconds(self, command, *words):
        """How long the machine takes for it."""
        before = self.machine.now_ns()
        command(*words)
        return (self.machine.now_ns() - before) / 1e9

    def test_start_that_takes_longer_than_any_timeout(self):
        """start returns at once, domstats answers, RESUME is the end."""
        domain = self.define('long', mem=SOME,
                             variables=slow(self.machine, CHUNK_MS))
        watch = self.watch()
        started = self.seconds(domain.virsh, 'start')
        last = asked = 0
        while domain.state() == HELD:
            figures = domain.stats('prefault')
            self.assertGreaterEqual(figures['prefault.bytes.mapped'], last)
            last = figures['prefault.bytes.mapped']
            asked += figures['prefault.status'] == 'active'
            time.sleep(self.pace)
        self.assertEqual(domain.state(), RUNS)
        took = domain.stats('prefault')['prefault.elapsed_ms'] / 1000
        print(f'# note: held for {took:.1f} s, virsh start returned after '
              f'{started:.1f} s; domstats answered {asked} times meanwhile')
        self.assertGreater(took, TIMEOUTS)
        self.assertGreater(asked, 5)
        self.assert_events(watch, 'Started Booted', 'Resumed Unpaused')
        self.assert_takes_no_fault(domain, 'long start')

    def test_destroy_half_way(self):
        """QEMU ends by itself, and no later than when it has little memory."""
        domain = self.define('half', mem=MANY,
                             variables=slow(self.machine, LITTLE_MS))
        domain.virsh('start')
        self.half_way(domain)
        took = self.seconds(domain.virsh, 'destroy')
        self.assertEqual(domain.state(), ('shut off', 'destroyed'))
        self.assertIn('terminating on signal 15', domain.log)
        little = self.started('little', mem=SOME)
        print(f'# note: virsh destroy half way through {MANY} MiB: '
              f'{took:.2f} s; of a running domain with {SOME} MiB: '
              f'{self.seconds(little.virsh, "destroy"):.2f} s')
        self.assertLess(took, DESTROY_SECONDS)

    def test_nothing_is_touched_before_resume(self):
        """start --paused leaves memory alone, resume is held."""
        domain = self.define('user', mem=SOME,
                             variables=slow(self.machine, MOMENT_MS))
        domain.virsh('start', '--paused')
        self.assertEqual(domain.state(), ('paused', 'user'))
        self.assertEqual(self.query(domain), {'mode': 'on', 'can-map': True,
                                               'status': 'none'})
        domain.virsh('resume')
        self.assert_held(domain)
        domain.virsh('resume')          # a second time does nothing
        self.assert_held(domain)
        self.assert_takes_no_fault(domain, 'start --paused, resume')

    def test_suspend_gives_the_start_up(self):
        """It stays paused, and resume begins anew."""
        domain = self.held('suspended')
        watch = self.watch()
        domain.virsh('suspend')
        self.assertEqual(self.query(domain)['status'], 'cancelled')
        self.assertEqual(domain.state(), ('paused', 'user'))
        domain.virsh('resume')
        self.assert_held(domain)
        self.assert_takes_no_fault(domain, 'suspend, resume')
        self.assert_events(watch, 'Suspended Paused', 'Resumed Unpaused')

    def test_saved_domain_runs_when_it_is_restored(self):
        """managedsave gives the start up, but not the user's wish."""
        domain = self.held('saved')
        took = self.seconds(domain.virsh, 'managedsave')
        print(f'# note: managedsave while the start is held: {took:.1f} s')
        domain.virsh('start')
        self.runs(domain)
        domain.wait_text('READY')
        self.refilled(domain)
        print(f'# note: restored, it had written nothing before: '
              f'{self.query(domain)}')
        self.sweep_of(domain, 'saved before it ran, restored')

    def test_reset_while_held(self):
        """The guest starts once memory is ready."""
        domain = self.held('reset')
        domain.virsh('reset')
        self.assert_takes_no_fault(domain, 'reset while held')

    def test_reset_of_a_running_domain(self):
        """It waits again; to libvirt it runs throughout."""
        domain = self.running('again', mem=SOME)
        domain.virsh('reset')
        self.until(lambda: domain.stats('prefault')['prefault.trigger'] ==
                   'reset', 'reset')
        self.assertEqual(domain.state(), RUNS)
        self.until(lambda: domain.debugcon.count('READY') == 2, 'booted again')
        self.assertEqual(self.sweep_of(domain, 'reset'), 0)

    def test_daemon_that_is_restarted(self):
        """The domain stays held, and runs when its memory is ready."""
        domain = self.held('orphan', RESTART_MS)
        self.libvirt.stop()
        self.libvirt.start()
        self.assert_held(domain)
        self.assert_takes_no_fault(domain, 'daemon restarted')


if __name__ == '__main__':
    unittest.main()
