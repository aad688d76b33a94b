# SPDX-License-Identifier: GPL-2.0-or-later
"""qemu-prefault follows a real guest's run, beside the client that it has."""
import signal
import time
import unittest

from common import BedTest, RUN_SECONDS
import bed

SLOW = 'madvise:MADV_POPULATE_WRITE:delay-ms=60'
FAILS = 'madvise:MADV_POPULATE_WRITE:from=5:count=1:errno=ENOMEM'
MAPPED = 'mapped:    262144 of 262144 KiB\n'


class Follow(BedTest):

    def with_monitor(self, *how, **options):
        """A guest with one more monitor; its socket is in self.socket."""
        self.socket = self.machine.scratch(f'follow-{id(self)}')
        self.addCleanup(self.machine.run, '/bin/rm', '-f', self.socket)
        prefault, *extra = how or ['on']
        return self.guest(prefault, '-qmp',
                          f'unix:{self.socket},server=on,wait=off', *extra,
                          **options)

    def begin(self, *words, where=None):
        """Start qemu-prefault; its Process."""
        return self.machine.link.spawn(
            [self.machine.path('qemu-prefault'), *words, where or self.socket])

    def ended(self, process, timeout=RUN_SECONDS):
        """(exit status, stdout, stderr without its beginning) at its end."""
        self.machine.link.wait(lambda: process.code is not None, timeout,
                               'end of qemu-prefault')
        out, err = (''.join(f'{line.text}\n' for line in lines)
                    for lines in (process.out, process.err))
        return process.code, out, err.removeprefix('qemu-prefault: ').strip()

    def follow(self, *words, where=None):
        """Run it to its end."""
        return self.ended(self.begin(*words, where=where))

    def test_completed(self):
        """Begun before cont, it waits; then lines, and what a look says."""
        qemu = self.with_monitor(inject=f'{SLOW}:count=60')
        quiet = self.begin('--wait')
        time.sleep(1)
        self.assertIsNone(quiet.code)
        self.assertEqual(self.run_state(qemu), 'prelaunch')
        qemu.qmp('cont')
        self.assertEqual(self.ended(quiet), (0, '', ''))
        done = self.completed(qemu)
        late = (quiet.ended_ns - done.ns) / 1e6
        print(f'# note: --wait ended {late:.0f} ms after the event')
        self.assertLess(late, 400)
        status, out, said = self.follow()
        self.assertEqual((status, said), (0, ''))
        self.assertTrue(out.startswith(
            f'status:    completed (mode on, trigger start)\n{MAPPED}'
            'threads:   2, for '), out)
        self.assertEqual(self.follow('--status'), (status, out, said))
        qemu.wait_sweep()
        self.assertEqual(qemu.faults(), 0)

    def test_lines_while_it_goes_on(self):
        qemu = self.with_monitor(inject=SLOW)
        qemu.qmp('cont')
        status, out, said = self.follow()
        first, second, *_ = out.splitlines()
        print(f'# note: {first}; {second}')
        self.assertEqual((status, said), (0, ''))
        self.assertRegex(first, r'^ *\d+%  .* of 256 MiB')
        self.assertRegex(second, r'^ *[1-9]\d%  \S+ MiB of 256 MiB, \S+ MiB/s, '
                         r'\d+ s left$')
        self.assertIn(MAPPED, out)

    def test_behind_a_guest_that_runs(self):
        """Mode background: the run is followed as any other."""
        qemu = self.with_monitor('background', inject=SLOW, wait=True)
        quiet = self.begin('--wait')
        qemu.qmp('cont')
        self.resumed(qemu)
        self.assertIsNone(quiet.code)
        self.assertEqual(self.ended(quiet), (0, '', ''))
        self.assertEqual(self.query(qemu)['status'], 'completed')

    def test_failed(self):
        qemu = self.with_monitor(inject=FAILS)
        quiet = self.begin('--wait')
        qemu.qmp('cont')
        status, out, said = self.ended(quiet)
        error = self.query(qemu)['error']
        self.assertIn('Cannot allocate memory', error)
        self.assertEqual((status, out), (1, ''))
        self.assertEqual(said, f'{self.socket}: the prefault run failed: '
                         f"{error}: 'cont' or prefault-start begins another")
        status, out, said = self.follow()
        self.assertEqual((status, said), (1, ''))
        self.assertIn(f'\nerror:     {error}\n', out)

    def test_cancelled_and_in_time(self):
        """It cancels nothing itself, also when its time is over."""
        qemu = self.with_monitor(inject=SLOW)
        self.assertEqual(self.follow('--status')[0], 6)
        qemu.qmp('cont')
        status, out, said = self.follow('--wait', '--timeout', '1')
        self.assertEqual((status, out), (6, ''))
        self.assertIn('has not ended yet', said)
        self.assertEqual(self.query(qemu)['status'], 'active')
        quiet = self.begin('--wait')
        qemu.qmp('prefault-cancel')
        status, out, said = self.ended(quiet)
        self.assertEqual((status, out), (3, ''))
        self.assertIn('was cancelled: cancelled by prefault-cancel: ', said)

    def test_off(self):
        self.with_monitor('off')
        self.assertEqual(
            self.follow('--wait'), (4, '', f'{self.socket}: prefault is off: '
                                    'start QEMU with -accel kvm,prefault=on'))

    def test_another_client_has_the_monitor(self):
        """This test's own, which goes on."""
        qemu = self.guest()
        taken = qemu.argv[-1].split(':')[1].split(',')[0]
        status, out, said = self.follow('--wait', where=taken)
        self.assertEqual((status, out), (5, ''))
        self.assertTrue(said.startswith(
            f'{taken}: nobody greets within 5 s: another client has'), said)
        self.assertEqual(self.query(qemu)['status'], 'none')

    def test_qemu_is_killed(self):
        qemu = self.with_monitor(inject=SLOW)
        qemu.qmp('cont')
        quiet = self.begin('--wait')
        time.sleep(0.5)
        self.assertIsNone(quiet.code)
        qemu.kill(signal.SIGKILL)
        self.assertEqual(self.ended(quiet),
                         (5, '', f'{self.socket}: QEMU has closed the '
                          'connection: it has ended, and its log says why'))
        self.assertIn('Connection refused: is QEMU running?',
                      self.follow('--wait')[2])

    def test_no_socket(self):
        path = self.machine.path('qemu-prefault')
        for where, cause in ((path, 'Connection refused'),
                             ('/no/such', 'No such file or directory')):
            status, out, said = self.follow('--status', where=where)
            self.assertEqual((status, out), (5, ''))
            self.assertTrue(said.startswith(f'{where}: {cause}: is QEMU'), said)


class Unpatched(BedTest):

    def test_says_so(self):
        """A QEMU that has not heard of prefault, on this host."""
        with bed.HostMachine() as machine:
            path = machine.scratch('follow')
            with machine.qemu('-M', 'none', '-display', 'none', '-qmp',
                              f'unix:{path},server=on,wait=off',
                              binary=str(bed.artifacts.pristine_qemu())):
                code, out, said = machine.run(machine.path('qemu-prefault'),
                                              '--wait', path)
        self.assertEqual((code, out), (4, ''))
        self.assertIn(f'{path}: this QEMU has no query-prefault: ', said)


if __name__ == '__main__':
    unittest.main()
