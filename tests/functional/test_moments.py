# SPDX-License-Identifier: GPL-2.0-or-later
"""What may happen while a guest is held: quit, savevm, a vCPU, a debugger."""
import unittest

from common import BedTest, MIB, WALKED

SLOW = 'madvise:MADV_POPULATE_WRITE:delay-ms=60'
VERY_SLOW = 'madvise:MADV_POPULATE_WRITE:delay-ms=200'

# As the page table root of a vCPU that has to enter the guest first: three calls in a
# row get nowhere in their time
RETIRED = 'ioctl:KVM_PRE_FAULT_MEMORY:until-signal=1000:errno=EINTR:count=3'

# Parts of a run after which QEMU quits
PARTS = (0, 0.01, 0.25, 0.5, 0.75, 1)

# Of the debugger's protocol
CONTINUE, CONTINUE_VCPU, STEP_VCPU = 'c', 'vCont;c:p1.1', 'vCont;s:p1.1'


class Moments(BedTest):

    def reset(self, qemu):
        """Let the guest run, then ask for a reset."""
        self.let_run(qemu)
        qemu.qmp_send('system_reset')

    def done(self, qemu, trigger):
        """How much of the run is done, from 0 to 1."""
        info = self.query(qemu)
        if info.get('trigger') != trigger:
            return 0
        return info['mapped'] / info['total']

    def quit_at_each_part(self, begin, trigger):
        """Quit later and later in a run; prints what it was doing then."""
        seen = []
        for part in PARTS:
            with self.subTest(part=part):
                qemu = self.guest(WALKED, wait=True, inject=SLOW)
                begin(qemu)
                if part:
                    self.until(lambda: self.done(qemu, trigger) >= part,
                               f'{part} of the run')
                    seen.append(self.query(qemu)['status'])
                code, _ = qemu.quit()
                self.assertEqual(code, 0)
                self.assertNotRegex(qemu.stderr, 'assert|fail|error')
        print(f'# note: quit during a {trigger}: {len(PARTS) - len(seen)} at '
              f'once, {seen.count("active")} while active, '
              f'{seen.count("completed")} after the end')
        self.assertGreater(seen.count('active'), 3)

    def test_quit_while_the_start_is_held(self):
        self.quit_at_each_part(lambda qemu: qemu.qmp_send('cont'), 'start')

    def test_quit_during_a_reset(self):
        self.quit_at_each_part(self.reset, 'reset')

    def test_vcpu_plugged_while_held(self):
        """The run is completed, the guest runs; the vCPU is there."""
        for machine in 'q35', 'pc':
            with self.subTest(machine=machine):
                qemu = self.guest(machine=machine, smp='1,maxcpus=2',
                                  wait=True, inject=SLOW)
                qemu.qmp('cont')
                self.until(lambda: self.query(qemu).get('mapped'), 'begun')
                free = next(
                    slot for slot in qemu.qmp('query-hotpluggable-cpus').value
                    if 'qom-path' not in slot)
                qemu.qmp('device_add', driver=free['type'], **{
                    name.replace('-', '_'): number
                    for name, number in free['props'].items()})
                self.assertEqual(self.query(qemu)['status'], 'active')
                done = self.completed(qemu)
                self.assertEqual(done.data['status'], 'completed')
                self.assertGreaterEqual(self.resumed(qemu).ns, done.ns)
                qemu.wait_text('READY')
                self.assertEqual(len(qemu.qmp('query-cpus-fast').value), 2)
                since = qemu.qmp('system_reset').sent_ns
                self.assertEqual(self.completed(qemu, since).data['status'],
                                 'completed')
                self.until(lambda: qemu.debugcon.count('READY') == 2,
                           'restarted')
                self.assertEqual(qemu.quit()[0], 0)

    def snapshots(self, begin):
        """A guest that is held, and can be saved: to a temporary disk."""
        path = self.machine.scratch('disk')
        self.machine.write(path, 'x' * 512)
        qemu = self.guest(WALKED, '-drive', 'if=none,format=raw,snapshot=on,'
                          f'file={path}', env={'TMPDIR': '/dev/shm'},
                          wait=True, machine='q35', inject=SLOW)
        begin(qemu)
        self.until(lambda: self.query(qemu)['status'] == 'active', 'held')
        self.total = self.query(qemu)['total']
        self.assertGreaterEqual(self.total, 255 * MIB)
        return qemu

    def assert_tracked(self, qemu, since):
        """Saving tracks writes until the guest runs: it is mapped then."""
        self.until(lambda: self.run_state(qemu) == 'running', 'running')
        info = self.query(qemu)
        self.assertEqual((info['status'], info['populated'], info['mapped']),
                         ('completed', self.total, 0))
        self.resumed(qemu, since)
        qemu.wait_text('READY')
        self.assertGreaterEqual(self.refilled(qemu)['refilled'], self.total)
        since = qemu.qmp('system_reset').sent_ns
        self.assertEqual(self.completed(qemu, since).data['mapped'],
                         self.total)

    def test_savevm_while_held(self):
        """The start is given up, as by stop."""
        qemu = self.snapshots(lambda qemu: qemu.qmp('cont'))
        self.assertEqual(qemu.hmp('savevm one'), '')
        self.assertIn('one', qemu.hmp('info snapshots'))
        self.assertEqual(self.query(qemu)['status'], 'cancelled')
        self.assertEqual(self.run_state(qemu), 'prelaunch')
        self.assertNotIn('RESUME', [event.name for event in qemu.events])
        self.assert_tracked(qemu, qemu.qmp('cont').sent_ns)

    def test_savevm_during_a_reset(self):
        """The guest was running and goes on by itself."""
        qemu = self.snapshots(self.reset)
        self.assertEqual(self.query(qemu)['trigger'], 'reset')
        since = self.machine.now_ns()
        self.assertEqual(qemu.hmp('savevm one'), '')
        self.assert_tracked(qemu, since)

    def test_loadvm_while_held(self):
        """The start is given up; the next is held."""
        qemu = self.snapshots(lambda qemu: qemu.qmp('cont'))
        self.resumed(qemu)
        self.assertEqual(qemu.hmp('savevm one'), '')
        for command in 'stop', 'system_reset', 'cont':
            qemu.qmp(command)
        self.assertEqual(self.query(qemu)['status'], 'active')
        state = self.run_state(qemu)
        self.assertEqual(qemu.hmp('loadvm one'), '')
        self.assertEqual(self.query(qemu)['status'], 'cancelled')
        self.assertEqual(self.run_state(qemu), state)
        since = qemu.qmp('cont').sent_ns
        done = self.completed(qemu, since)
        self.assertEqual(done.data['mapped'], self.total)
        self.assertGreaterEqual(self.resumed(qemu, since).ns, done.ns)

    def debugged(self, prefault='on', inject=SLOW, *extra, **options):
        """A guest with -S and a debugger attached by two FIFOs."""
        return self.guest(prefault, '-gdb', self.fifos(), *extra,
                          inject=inject, **options)

    def fifos(self):
        """A place for a debugger, as QEMU names it; see debugger_says()."""
        self.pipe = self.machine.scratch('gdb')
        self.machine.run('/bin/sh', '-c', f'rm -f {self.pipe}.*; mkfifo '
                         f'{self.pipe}.in {self.pipe}.out')
        return f'pipe:{self.pipe}'

    def debugger_says(self, packet):
        self.machine.write(f'{self.pipe}.in',
                           f'${packet}#{sum(packet.encode()) % 256:02x}')

    def assert_held_start(self, qemu):
        """The start is held, then RESUME comes, and no fault."""
        self.until(lambda: self.query(qemu)['status'] == 'active', 'held')
        self.assert_held_until_ready(qemu)

    def test_debugger_continues(self):
        for packet in CONTINUE, CONTINUE_VCPU:
            with self.subTest(packet=packet):
                qemu = self.debugged()
                self.debugger_says(packet)
                self.assert_held_start(qemu)
                qemu.quit()

    def test_debugger_continues_while_held(self):
        """As a second cont: one run, one start."""
        qemu = self.debugged()
        qemu.qmp('cont')
        self.debugger_says(CONTINUE)
        self.assert_held_start(qemu)
        names = [event.name for event in qemu.events]
        self.assertEqual(names.count('PREFAULT_COMPLETED'), 1)
        self.assertEqual(names.count('RESUME'), 1)

    def test_debugger_attached_while_held(self):
        """That stops the guest; continuing it prefaults."""
        qemu = self.guest(inject=SLOW)
        qemu.qmp('cont')
        qemu.hmp(f'gdbserver {self.fifos()}')
        self.until(lambda: self.query(qemu)['status'] == 'cancelled',
                   'stopped')
        since = self.machine.now_ns()
        self.debugger_says(CONTINUE)
        self.assertEqual(self.completed(qemu, since).data['status'],
                         'completed')
        qemu.wait_sweep()
        self.assertEqual(qemu.faults(), 0)

    def test_debugger_steps(self):
        """The one step waits for all memory, then the guest is stopped."""
        qemu = self.debugged()
        self.debugger_says(STEP_VCPU)
        self.until(lambda: self.run_state(qemu) == 'debug', 'stepped')
        info = self.query(qemu)
        self.assertEqual(info['status'], 'completed')
        self.assertEqual(info['mapped'], info['total'])
        self.debugger_says(CONTINUE)
        qemu.wait_sweep()
        self.assertEqual(qemu.faults(), 0)

    def test_debugger_steps_with_a_retired_root(self):
        """A vCPU drops it on its own thread, while the step waits."""
        qemu = self.debugged('on,prefault-threads=1', RETIRED)
        self.debugger_says(STEP_VCPU)
        self.until(lambda: self.run_state(qemu) == 'debug', 'stepped')
        info = self.query(qemu)
        self.assertEqual(info['status'], 'completed')
        self.assertEqual(info['mapped'], info['total'])
        self.assert_injected(qemu)

    def test_debugger_steps_while_a_migration_ends(self):
        """The guest is elsewhere then: it does not step, and QEMU says so."""
        log, path = self.machine.scratch('holds'), self.trigger()
        qemu = self.debugged('on', VERY_SLOW, '-D', log, '-trace',
                             'prefault_hold')
        qemu.qmp('migrate', uri=f'exec:until test -e {path}; do sleep 0.1; '
                 'done; cat >/dev/null')
        self.migration_is(qemu, 'active')
        self.debugger_says(STEP_VCPU)
        # QMP is silent as long as the step waits
        self.until(lambda: 'prefault_hold' in self.machine.read(log), 'held')
        self.machine.write(path, '')
        self.until(lambda: 'its run state changed' in qemu.stderr, 'given up')
        self.assertEqual(self.run_state(qemu), 'postmigrate')
        self.assertNotIn('RESUME', [event.name for event in qemu.events])


if __name__ == '__main__':
    unittest.main()
