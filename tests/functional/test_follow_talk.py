# SPDX-License-Identifier: GPL-2.0-or-later
"""What qemu-prefault makes of what it is told, and of who is no QEMU.

Needs no bed: the monitors are made up here.
"""
import json
import os
import pty
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from prefaultlib.assemble import project
import bed

MIB = 1 << 20
GREETING = {'QMP': {'version': {'qemu': {'micro': 2, 'minor': 2, 'major': 10},
                                'package': ''}, 'capabilities': ['oob']}}
NONE = {'mode': 'on', 'can-map': True, 'status': 'none'}
ACTIVE = {'mode': 'on', 'can-map': True, 'status': 'active', 'holding': True,
          'trigger': 'start', 'total': 1024 * MIB, 'populated': 256 * MIB,
          'mapped': 256 * MIB, 'failed': 0, 'skipped': 0, 'skips': [],
          'threads': 2, 'elapsed-ms': 1500, 'rate': 256 * MIB,
          'remaining-ms': 3000}
COMPLETED = ACTIVE | {'status': 'completed', 'populated': 1024 * MIB,
                      'mapped': 1024 * MIB, 'elapsed-ms': 4020}
FAILED = ACTIVE | {'status': 'failed', 'error': 'no room'}
CANCELLED = ACTIVE | {'status': 'cancelled', 'error': 'by prefault-cancel'}
GLANCE = '''\
status:    completed (mode on, trigger start)
mapped:    1048576 of 1048576 KiB
threads:   2, for 4.020 s
'''
# All that it may ever say to a guest's monitor
COMMANDS = {'qmp_capabilities', 'query-status', 'query-prefault'}
GREETING_SECONDS = 5


class Monitor:
    """A monitor of a made-up QEMU, with one client.

    play: what it does with its client, a function of this object, in a thread
    """

    def __init__(self, path, play, backlog=8):
        self.commands, self.pretty, self.slow = [], None, False
        self.running = False
        self.sock = None
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(path)
        self.listening.listen(backlog)
        self.thread = threading.Thread(target=self._run, args=[play],
                                       daemon=True)
        if play:
            self.thread.start()

    def _run(self, play):
        self.sock = self.listening.accept()[0]
        self.lines = self.sock.makefile('rb')
        try:
            play(self)
        except OSError:
            pass                # the client has left
        self.lines.close()
        self.sock.close()

    def close(self):
        """The client's connection ends by itself."""
        self.listening.close()
        if self.thread.ident:
            self.thread.join(20)

    def raw(self, data):
        """Send bytes, one by one if it is to be slow."""
        for part in ([data[i:i + 1] for i in range(len(data))] if self.slow
                     else [data]):
            self.sock.sendall(part)

    def say(self, message):
        """Send a message."""
        self.raw(json.dumps(message, indent=self.pretty).encode() + b'\r\n')

    def event(self, name, **data):
        self.say({'event': name, 'data': data,
                  'timestamp': {'seconds': 1, 'microseconds': 2}})

    def command(self):
        """The next command's name; OSError when the client has left."""
        line = self.lines.readline()
        if not line:
            raise OSError('gone')
        self.commands.append(json.loads(line)['execute'])
        return self.commands[-1]

    def greet(self):
        self.say(GREETING)
        self.command()
        self.say({'return': {}})

    def asked(self):
        """Answer query-status; returns when query-prefault was asked."""
        while self.command() == 'query-status':
            self.say({'return': {'status': 'prelaunch', 'singlestep': False,
                                 'running': self.running}})

    def tell(self, *answers):
        """Answer query-prefault so, one after the other."""
        for answer in answers:
            self.asked()
            self.say({'return': answer})

    def wait_end(self):
        """Until the client has left."""
        while True:
            self.command()


class Talk(unittest.TestCase):

    count = 0                   # of sockets so far

    @classmethod
    def setUpClass(cls):
        cls.program = str(bed.artifacts.follower())
        folder = tempfile.TemporaryDirectory(prefix='prefault-')
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name

    def path(self):
        Talk.count += 1
        return f'{self.folder}/s{Talk.count}'

    def monitor(self, play, **how):
        """A made-up monitor; its socket's path is in self.socket."""
        self.socket = self.path()
        monitor = Monitor(self.socket, play, **how)
        self.addCleanup(monitor.close)
        return monitor

    def follow(self, *words, where=None):
        """Run it to its end; (status, stdout, stderr without its beginning)."""
        where = where or self.socket
        done = subprocess.run([self.program, *words, where], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=60, check=False)
        said = done.stderr
        if said:
            self.assertEqual(said.count('\n'), 1, said)
            self.assertTrue(said.startswith(f'qemu-prefault: {where}: '), said)
            said = said.removeprefix(f'qemu-prefault: {where}: ').strip()
        return done.returncode, done.stdout, said

    def told(self, *answers, words=(), running=False):
        """follow() where QEMU answers so."""
        def play(monitor):
            monitor.running = running
            monitor.greet()
            monitor.tell(*answers)
            monitor.wait_end()
        monitor = self.monitor(play)
        result = self.follow(*words)
        self.assertLessEqual(set(monitor.commands), COMMANDS)
        return result

    def until(self, condition):
        """Wait until the condition holds."""
        deadline = time.monotonic() + 20
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def assert_no_answer(self, play, sentence, words=('--wait',)):
        """Exit status 5, nothing printed, and the sentence."""
        self.monitor(play)
        status, out, said = self.follow(*words)
        self.assertRegex(said, sentence)
        self.assertEqual((status, out), (5, ''))


class Endings(Talk):
    """The exit status and what is printed, in each of the three ways."""

    def test_completed(self):
        self.assertEqual(self.told(COMPLETED), (0, GLANCE, ''))
        self.assertEqual(self.told(COMPLETED, words=['--status']),
                         (0, GLANCE, ''))
        self.assertEqual(self.told(COMPLETED, words=['--wait']), (0, '', ''))

    def test_failed_and_cancelled(self):
        for answer, status, verb in ((FAILED, 1, 'failed'),
                                     (CANCELLED, 3, 'was cancelled')):
            for word in [], ['--status']:
                got = self.told(answer, words=word)
                self.assertEqual((got[0], got[2]), (status, ''))
                self.assertIn(f'\nerror:     {answer["error"]}\n', got[1])
            self.assertEqual(
                self.told(ACTIVE, answer, words=['--wait']),
                (status, '', f'the prefault run {verb}: {answer["error"]}: '
                 "'cont' or prefault-start begins another"))

    def test_glance_has_it_all(self):
        info = COMPLETED | {
            'owed': 3072, 'owed-for': [{'reason': 'dropped', 'bytes': 2048},
                                       {'reason': 'logged', 'bytes': 1024}],
            'retention': {'lost': 8192, 'remapped': 4096, 'returned': 1024},
            'skips': [{'reason': 'rom', 'bytes': 65536}], 'skipped': 65536,
            'failed': 4096, 'left-out': 'a part: no room'}
        self.assertEqual(self.told(info)[1], GLANCE + '''\
owed:      2 KiB (dropped)
owed:      1 KiB (logged)
lost:      8 KiB
remapped:  4 KiB
returned:  1 KiB
skipped:   64 KiB (rom)
failed:    4 KiB
left out:  a part: no room
''')

    def test_status_does_not_wait(self):
        status, out, said = self.told(ACTIVE, words=['--status'])
        self.assertEqual(status, 6)
        self.assertIn('mapped:    262144 of 1048576 KiB\n', out)
        self.assertIn('has not ended yet', said)
        self.assertEqual(self.told(NONE, words=['--status']),
                         (6, 'status:    none (mode on)\n', 'no prefault run '
                          "has begun yet: 'cont' or prefault-start begins it"))

    def test_off(self):
        for words in ['--wait'], []:
            self.assertEqual(
                self.told(NONE | {'mode': 'off'}, words=words),
                (4, '', 'prefault is off: start QEMU with -accel '
                 'kvm,prefault=on'))

    def test_guest_that_runs_without_a_run(self):
        """Nothing will begin; a guest that is stopped is waited for."""
        info = NONE | {'mode': 'auto', 'left-out': 'all: it was restored'}
        self.assertEqual(
            self.told(info, words=['--wait'], running=True),
            (4, '', 'the guest runs, and no prefault run was begun (all: it '
             'was restored): prefault-start begins one where the host can'))
        self.assertEqual(self.told(info, ACTIVE, COMPLETED, words=['--wait']),
                         (0, '', ''))

    def test_unpatched(self):
        def play(monitor):
            monitor.greet()
            monitor.asked()
            monitor.say({'error': {'class': 'CommandNotFound', 'desc':
                                   'The command query-prefault has not been '
                                   'found'}})
        self.monitor(play)
        self.assertEqual(self.follow('--wait'),
                         (4, '', 'this QEMU has no query-prefault: start the '
                          'guest with a QEMU that is built with prefault'))

    def test_time_is_over(self):
        """While the run goes on, before it, and where nobody answers."""
        cases = ((lambda m: (m.greet(), m.tell(*[ACTIVE] * 9)),
                  'has not ended yet'),
                 (lambda m: (m.greet(), m.tell(*[NONE] * 9)),
                  'has begun yet'),
                 (lambda m: m.wait_end(), 'give it more'),
                 (lambda m: (m.greet(), m.wait_end()), 'give it more'))
        for play, sentence in cases:
            self.monitor(play)
            began = time.monotonic()
            status, out, said = self.follow('--wait', '--timeout', '1')
            self.assertIn(sentence, said)
            self.assertEqual((status, out), (6, ''))
            self.assertAlmostEqual(time.monotonic() - began, 1, delta=0.8)

    def test_usage(self):
        for words, sentence in (
                ([], 'SOCKET is missing'),
                (['a', 'b'], 'one SOCKET is enough, and there is also b'),
                (['--wat', 'a'], 'no such option: --wat'),
                (['--timeout'], 'a value is missing after --timeout'),
                (['--timeout', '0', 'a'], 'seconds from 1, not 0'),
                (['--timeout', '-1', 'a'], 'seconds from 1, not -1'),
                (['--timeout', '2s', 'a'], 'seconds from 1, not 2s'),
                (['--wait', '--status', 'a'], 'exclude each other')):
            done = subprocess.run([self.program, *words], text=True,
                                  capture_output=True, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ''), words)
            self.assertRegex(done.stderr, f'^qemu-prefault: .*{sentence}: try '
                             "'qemu-prefault --help'\n$")

    def test_help_and_version(self):
        for word, text in (('--help', 'Exit status: 0 completed'),
                           ('--version', r'^qemu-prefault version \d+\.\d+\.\d+ '
                            rf'\(prefault {project.version()}\)$')):
            said = subprocess.run([self.program, word], text=True,
                                  capture_output=True, check=True).stdout
            self.assertRegex(said, text)


class Noise(Talk):
    """What comes between, in pieces, or from something else."""

    def test_events_and_pieces(self):
        """Byte by byte, over several lines, with events and blank lines."""
        def play(monitor):
            monitor.pretty, monitor.slow = 4, True
            monitor.say(GREETING)
            monitor.command()
            monitor.event('RESUME')
            monitor.raw(b'\r\n\r\n')
            monitor.say({'return': {}})
            monitor.asked()
            monitor.event('PREFAULT_PROGRESS', total=1)
            monitor.event('STOP')
            monitor.say({'return': COMPLETED})
        self.monitor(play)
        self.assertEqual(self.follow(), (0, GLANCE, ''))

    def test_the_end_shows_at_once(self):
        """By the event, not by the next look; one from before the answer is
        known."""
        moments = []

        def play(monitor):
            monitor.greet()
            monitor.asked()
            monitor.event('PREFAULT_COMPLETED', status='cancelled')
            monitor.say({'return': ACTIVE})
            for answer in ACTIVE, COMPLETED:
                monitor.asked()
                moments.append(time.monotonic())
                monitor.say({'return': answer})
                if answer is ACTIVE:
                    monitor.event('PREFAULT_COMPLETED', status='completed')
                else:
                    monitor.wait_end()
        self.monitor(play)
        began = time.monotonic()
        self.assertEqual(self.follow('--wait'), (0, '', ''))
        self.assertGreater(moments[0] - began, 0.45)
        self.assertLess(moments[1] - moments[0], 0.3)

    def test_no_qmp(self):
        """The human monitor, other programs, JSON that is no QMP, or too much."""
        for data in (b"QEMU 10.2.2 monitor - type 'help'\r\n(qemu) ",
                     b'RFB 003.008\n', b'\0\xff\xfe', b'[1, 2]\n', b'{"QMP": 7',
                     b'{"return": {}}\n', b'"' + b'a' * 3 * MIB,
                     b'[' * 5000, b' ' * 3 * MIB):
            def play(monitor):
                monitor.raw(data)
                if data.endswith(b'7'):
                    monitor.raw(b'}}\n')
                monitor.wait_end()
            with self.subTest(data[:10]):
                self.assert_no_answer(play, 'what answers there (does not speak'
                                      '|greets with no) QMP: name the socket of '
                                      "QEMU's -qmp")

    def test_nonsense_after_the_greeting(self):
        def play(monitor):
            monitor.greet()
            monitor.asked()
            monitor.raw(b'{"return": }\n')
            monitor.wait_end()
        self.assert_no_answer(play, 'does not speak QMP')

    def test_answers_that_are_none(self):
        for answer, sentence in (
                ({'return': 7}, 'query-prefault, but says: nothing that is known'),
                ({'error': 'no'}, 'but says: nothing that is known'),
                ({'error': {'class': 'GenericError', 'desc': 'so what'}},
                 'but says: so what'),
                ({'return': {}}, r'a status that is not known here \(missing\)'),
                ({'return': {'status': 'odd'}}, r'not known here \(odd\)')):
            def play(monitor):
                monitor.greet()
                monitor.asked()
                monitor.say(answer)
                monitor.wait_end()
            with self.subTest(answer):
                self.assert_no_answer(play, sentence)

    def test_members_of_other_types(self):
        """They are left out; what is told is told."""
        info = {'status': 'completed', 'mode': 7, 'total': 'much', 'mapped': -1,
                'skips': {}, 'owed-for': [1, {}, {'bytes': [], 'reason': 2}],
                'retention': [], 'threads': 1 << 70, 'error': {}, 'new': 1}
        status, out, said = self.told(info)
        self.assertEqual((status, said), (0, ''))
        self.assertIn('status:    completed (mode unknown)\n', out)
        self.assertIn('mapped:    0 of 0 KiB\n', out)

    def test_end_of_file(self):
        """At each step."""
        for play in (lambda m: None, lambda m: m.say(GREETING),
                     lambda m: m.greet(), lambda m: (m.greet(), m.asked()),
                     lambda m: (m.greet(), m.tell(ACTIVE)),
                     lambda m: (m.greet(), m.tell(ACTIVE), m.asked())):
            self.assert_no_answer(play, 'QEMU has closed the connection: it has '
                                  'ended')

    def test_nobody_there(self):
        missing, plain, dead = self.path(), self.path(), self.path()
        with open(plain, 'w', encoding='utf-8'):
            pass
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(dead)
        sock.close()
        for where, cause in ((missing, 'No such file or directory'),
                             (plain, 'Connection refused'),
                             (dead, 'Connection refused'),
                             (self.folder, 'Connection refused')):
            self.assertEqual(
                self.follow(where=where),
                (5, '', f'{cause}: is QEMU running?  For a monitor there start '
                 'QEMU with -qmp unix:PATH,server=on,wait=off'))
        status, _, said = self.follow(where='/' + 'a' * 200)
        self.assertEqual((status, 'File name too long' in said), (5, True))

    def test_another_client_has_it(self):
        """Nobody greets: while the kernel's queue has room, and while not."""
        monitor = self.monitor(None, backlog=0)
        began = time.monotonic()
        waiting = [subprocess.Popen([self.program, '--wait', self.socket],
                                    text=True, stderr=subprocess.PIPE)
                   for _ in range(3)]
        for process in waiting:
            said = process.communicate(timeout=30)[1]
            self.assertEqual(process.returncode, 5)
            self.assertIn(f'{self.socket}: nobody greets within 5 s: another '
                          'client has this monitor', said)
        self.assertAlmostEqual(time.monotonic() - began, GREETING_SECONDS,
                               delta=2)
        monitor.close()

    def test_interrupted(self):
        """It goes on after a stop; Ctrl-C ends it, and cancels nothing."""
        def play(monitor):
            monitor.greet()
            monitor.tell(*[ACTIVE] * 1000)
        monitor = self.monitor(play)
        # Whoever runs this behind a shell's & has it ignored
        process = subprocess.Popen(
            [self.program, self.socket], stdout=subprocess.DEVNULL,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        self.addCleanup(process.kill)
        self.until(lambda: monitor.commands.count('query-prefault') >= 2)
        process.send_signal(signal.SIGSTOP)
        process.send_signal(signal.SIGCONT)
        seen = len(monitor.commands)
        self.until(lambda: len(monitor.commands) >= seen + 4)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(10), -signal.SIGINT)
        self.assertLessEqual(set(monitor.commands), COMMANDS)


class Progress(Talk):

    STEPS = [ACTIVE | {'mapped': n * 64 * MIB} for n in range(1, 7)]
    FULL = [NONE, NONE, NONE, *STEPS, COMPLETED]

    def play(self, monitor):
        monitor.greet()
        monitor.tell(*self.FULL)
        monitor.wait_end()

    def test_lines(self):
        """One a second, the same one never twice, twice as many looks."""
        monitor = self.monitor(self.play)
        began = time.monotonic()
        status, out, said = self.follow()
        took = time.monotonic() - began
        self.assertEqual((status, said), (0, ''))
        self.assertTrue(out.endswith(GLANCE))
        lines = out.removesuffix(GLANCE).splitlines()
        self.assertEqual(lines[0],
                         "no run has begun: waiting for the guest's start")
        self.assertRegex(lines[1], r'^  6%  64 MiB of 1 GiB, 256 MiB/s, 3 s left$')
        self.assertLessEqual(len(lines), took + 1)
        self.assertEqual(len(lines), 4)
        self.assertAlmostEqual(took, (len(self.FULL) - 1) / 2, delta=1)
        self.assertEqual(monitor.commands.count('query-prefault'),
                         len(self.FULL))

    def on_a_terminal(self):
        """All that it prints there."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen([self.program, self.socket], stdin=theirs,
                                   stdout=theirs, stderr=theirs)
        os.close(theirs)
        said = b''
        try:
            while select.select([ours], [], [], 30)[0]:
                said += os.read(ours, 65536)
        except OSError:
            pass                # it has ended
        os.close(ours)
        self.assertEqual(process.wait(10), 0)
        return said.decode()

    def test_bar(self):
        self.monitor(self.play)
        *bars, end = self.on_a_terminal().split('\r\033[K')
        self.assertEqual(end.replace('\r\n', '\n'), GLANCE)
        self.assertEqual(bars[:4], ['', *["no run has begun: waiting for the "
                                          "guest's start"] * 3])
        self.assertEqual(len(bars), len(self.FULL))
        self.assertEqual(bars[-1], '[#########...............]  37%  384 MiB of '
                         '1 GiB, 256 MiB/s, 3 s left')
        self.assertTrue(all(len(bar) < 80 for bar in bars))

    def test_where_nothing_can_be_mapped(self):
        """What was populated counts."""
        def play(monitor):
            monitor.greet()
            monitor.tell(ACTIVE | {'can-map': False, 'mapped': 0},
                         COMPLETED | {'can-map': False, 'mapped': 0})
            monitor.wait_end()
        self.monitor(play)
        _, out, _ = self.follow()
        self.assertIn(' 25%  256 MiB of 1 GiB', out)
        self.assertIn('populated: 1048576 of 1048576 KiB\n', out)

    def test_much_and_long(self):
        """It fits in a line."""
        def play(monitor):
            monitor.greet()
            monitor.tell(ACTIVE | {'total': 123 << 40, 'mapped': 12345 << 30,
                                   'rate': 1234 << 20,
                                   'remaining-ms': 9999999},
                         COMPLETED)
            monitor.wait_end()
        self.monitor(play)
        bar = self.on_a_terminal().split('\r\033[K')[1]
        self.assertEqual(bar, '[##......................]   9%  12.1 TiB of 123 '
                         'TiB, 1.21 GiB/s, 166 min left')


if __name__ == '__main__':
    unittest.main()
