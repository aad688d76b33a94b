# SPDX-License-Identifier: GPL-2.0-or-later
"""Ways to ask for prefault at launch, and ways to launch QEMU with it."""
import time
import unittest

from common import BedTest, MIB
import bed

SLOW = 'madvise:MADV_POPULATE_WRITE:delay-ms=60'
FAILS_ONCE = 'madvise:MADV_POPULATE_WRITE:from=5:count=1:errno=ENOMEM'

# Started by a shell that stays as long as the daemon does
DAEMON = ['/bin/sh', '-c', '"$0" "$@"; echo "LAUNCHED $?"; while '
          'kill -0 $(cat {pid}); do sleep 0.05; done 2>/dev/null']

# -machine, -accel, and the one sentence that QEMU ends with
REFUSED = (
    ('microvm,prefault=off', 'kvm,prefault=on',
     '-machine prefault=off and -accel prefault=on differ: give one of them, '
     'or the same twice'),
    ('microvm,prefault=on', 'kvm,prefault=auto',
     '-machine prefault=on and -accel prefault=auto differ: give one of them, '
     'or the same twice'),
    ('microvm,prefault=maybe', 'kvm',
     'prefault=maybe is none of on, off, auto and background'),
    ('microvm', 'kvm,prefault=maybe',
     'prefault=maybe is none of on, off, auto and background'),
    ('microvm,prefault=on', 'tcg',
     'prefault=on: the KVM accelerator is not in use; prefault=auto starts '
     'the guest, and does nothing'),
    ('microvm', 'kvm,prefault-threads=0',
     'prefault-threads takes a number from 1 to 4096'),
    ('microvm', 'kvm,prefault-threads=-1',
     'prefault-threads takes a number from 1 to 4096'),
    ('microvm', 'kvm,prefault-threads=99999',
     'prefault-threads takes a number from 1 to 4096'),
    ('microvm', 'kvm,prefault-threads=many',
     'prefault-threads takes a number from 1 to 4096'),
)

# -machine, -accel, what they mean together
MEANS = (
    ('microvm,prefault=on', 'kvm', 'on'),
    ('microvm,prefault=auto', 'kvm', 'auto'),
    ('microvm,prefault=off', 'kvm', 'off'),
    ('microvm,prefault=on', 'kvm,prefault=on', 'on'),
    ('microvm,prefault=auto', 'kvm,prefault=auto', 'auto'),
    ('microvm,prefault=off', 'kvm,prefault=off', 'off'),
    ('microvm', 'kvm', 'off'),
)


class Start(BedTest):

    def launch(self, machine='microvm', accel='kvm,prefault=on', *extra,
               **options):
        """Start QEMU with options for machine and accelerator as given."""
        qemu = self.machine.guest(*extra, machine=machine, accel=accel,
                                  **options)
        self.addCleanup(qemu.kill)
        return qemu

    def test_what_is_refused(self):
        """One sentence, exit code 1, and no guest."""
        for machine, accel, sentence in REFUSED:
            with self.subTest(machine=machine, accel=accel):
                cpu = 'max' if accel == 'tcg' else 'host'
                qemu = self.launch(machine, accel, connect=False, cpu=cpu)
                self.assertEqual(qemu.wait_exit(), 1)
                lines = qemu.stderr.splitlines()
                self.assertEqual(len(lines), 1, qemu.stderr)
                self.assertTrue(lines[0].endswith(f': {sentence}'), lines)
                self.assertEqual(qemu.debugcon, '')

    def test_machine_option_means_the_same(self):
        """Held and without a fault unless off; both may be given."""
        for machine, accel, mode in MEANS:
            with self.subTest(machine=machine, accel=accel):
                qemu = self.launch(machine, accel, paused=True)
                self.assertEqual(self.query(qemu),
                                 {'mode': mode, 'can-map': True,
                                  'status': 'none'})
                qemu.qmp('cont')
                qemu.wait_sweep()
                self.assertEqual(qemu.faults() == 0, mode != 'off')
                self.assertEqual(self.query(qemu)['status'],
                                 'none' if mode == 'off' else 'completed')
                self.assertEqual(qemu.quit()[0], 0)

    def test_options_of_the_machine_add_up(self):
        """A command line made elsewhere is extended by one more -machine."""
        qemu = self.launch('microvm', 'kvm', '-machine', 'prefault=on')
        self.completed(qemu)
        qemu.wait_sweep()
        self.assertEqual(qemu.faults(), 0)

    def test_all_options_of_the_accelerator_are_the_machines(self):
        """libvirt has no way to the accelerator's."""
        for threads, zap in (1, 'on'), (2, 'off'):
            qemu = self.launch(
                'microvm', 'kvm', '-machine', 'prefault=on,prefault-threads='
                f'{threads},slot-zap-all={zap},prefault-keep=off,'
                'prefault-check=off,prefault-restore=none')
            self.completed(qemu)
            info = self.query(qemu)
            self.assertEqual(info['threads'], threads)
            self.assertEqual(info['retention']['slot-zap-all'], zap == 'on')
            self.assertEqual(info['retention']['keep'], 'off')
            qemu.kill()

    def test_auto_on_another_accelerator(self):
        """The guest runs, and the query says what is left out."""
        qemu = self.launch('microvm,prefault=auto', 'tcg', cpu='max')
        qemu.wait_sweep()
        self.assertEqual(self.query(qemu), {
            'mode': 'auto', 'can-map': False, 'status': 'none',
            'left-out': 'all: the KVM accelerator is not in use'})
        with self.assertRaisesRegex(bed.QmpError, 'is not prefaulted: the KVM '
                                    'accelerator is not in use'):
            qemu.qmp('prefault-start')

    def test_fallback_is_not_needed(self):
        """With KVM there, a second -accel changes nothing."""
        qemu = self.launch('microvm', 'kvm,prefault=on', '-accel', 'tcg')
        self.completed(qemu)
        qemu.wait_sweep()
        self.assertTrue(qemu.qmp('query-kvm').value['enabled'])
        self.assertEqual(qemu.faults(), 0)

    def tasks(self, qemu):
        """Ids of QEMU's threads."""
        return set(self.machine.run(
            '/bin/ls', f'/proc/{qemu.process.pid}/task')[1].split())

    def test_threads(self):
        """As many as asked for, more than CPUs or vCPUs too."""
        for threads in 1, 2, 4:
            with self.subTest(threads=threads):
                qemu = self.launch(accel=f'kvm,prefault=on,prefault-threads='
                                   f'{threads}', inject=SLOW)
                self.assertEqual(self.query(qemu)['threads'], threads)
                tasks = self.tasks(qemu)
                done = self.completed(qemu).data
                # The last one may be about to leave
                self.until(lambda: len(tasks - self.tasks(qemu)) == threads,
                           'left')
                print(f'# note: prefault-threads={threads}: {len(tasks)} '
                      f'threads in QEMU during the run; {done["elapsed-ms"]} '
                      'ms')
                self.assertEqual(self.query(qemu)['threads'], threads)
                # 64 calls of 60 ms, shared out
                self.assertGreaterEqual(done['elapsed-ms'], 3840 / threads)
                qemu.wait_sweep()
                self.assertEqual(qemu.faults(), 0)

    def test_preconfig(self):
        """The query answers before there is a machine; the start is held."""
        qemu = self.launch('microvm', 'kvm,prefault=on', '-preconfig',
                           inject=SLOW)
        self.assertEqual(self.query(qemu), {'mode': 'on', 'can-map': True,
                                               'status': 'none'})
        qemu.qmp('x-exit-preconfig')
        self.assert_held_until_ready(qemu)

    def daemon(self, **options):
        """QEMU with -daemonize; returns it and its debug console's path."""
        pid = self.machine.scratch('daemon.pid')
        console = self.machine.scratch('daemon.out')
        qemu = self.machine.qemu(
            '-M', 'microvm,x-option-roms=off,isa-serial=off', '-m', '256M',
            '-cpu', 'host', '-accel', 'kvm,prefault=on', '-nodefaults',
            '-display', 'none', '-bios', self.machine.path('guest.bin'),
            '-chardev', f'file,id=debug,path={console}',
            '-device', 'isa-debugcon,iobase=0x402,chardev=debug',
            '-daemonize', '-pidfile', pid,
            prefix=[word.replace('{pid}', pid) for word in DAEMON], **options)
        self.addCleanup(qemu.kill)
        self.addCleanup(self.machine.run, '/bin/sh', '-c',
                        f'kill -9 $(cat {pid}) 2>/dev/null')
        return qemu, console

    def test_daemonize(self):
        """The parent has gone with 0 while the start is held."""
        qemu, console = self.daemon(inject=SLOW)
        qemu.wait_text('LAUNCHED 0')
        self.assertEqual(self.query(qemu)['status'], 'active')
        self.assertEqual(self.run_state(qemu), 'prelaunch')
        done = self.completed(qemu)
        self.assertGreaterEqual(self.resumed(qemu).ns, done.ns)
        self.until(lambda: 'DONE' in self.machine.read(console), 'done')
        self.assertEqual(qemu.faults(), 0)
        qemu.quit()

    def test_failure_of_a_daemon(self):
        """Nobody reads its messages: it stays, stopped, and answers."""
        qemu, console = self.daemon(inject=FAILS_ONCE)
        qemu.wait_text('LAUNCHED 0')
        self.assertEqual(self.completed(qemu).data['status'], 'failed')
        time.sleep(0.5)
        self.assertEqual(self.run_state(qemu), 'prelaunch')
        self.assertIn('Cannot allocate memory', self.query(qemu)['error'])
        self.assertEqual(self.machine.read(console), '')
        since = qemu.qmp('cont').sent_ns
        self.assertEqual(self.completed(qemu, since).data['mapped'], 256 * MIB)
        self.until(lambda: 'DONE' in self.machine.read(console), 'done')
        qemu.quit()


if __name__ == '__main__':
    unittest.main()
