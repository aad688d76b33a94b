# SPDX-License-Identifier: GPL-2.0-or-later
"""Room on the host is looked at while memory is taken.

Page tables, private copies, other programs and other QEMUs take memory that no
check before the start knows of.  The run ends with one sentence before the
kernel has to kill, and QMP answers whatever the kernel does.
"""
import os
import unittest

import bed
from common import MIB, THP
from test_limits import LimitTest, SENTENCES, TAKES

GUEST = 256                     # MiB of guest memory
SMALL = 128                     # where each page of 4 KiB takes its time
STEPS = (range(17) if os.environ.get('PREFAULT_LONG')
         else (0, 1, 3, 4, 6, 16))
ENOUGH = 6                      # below, it depends on what QEMU takes meanwhile
ANSWER_MS = 1000                # of QMP: emulated, and beside other work


class RoomTest(LimitTest):

    def group(self, name='vm', **limits):
        """A cgroup's folder."""
        return self.cgroup(self.new_path(name).rpartition('/')[2], **limits)

    def in_group(self, path, prefault='on', mib=GUEST, **options):
        """A guest in the cgroup, with -S; returns it and what it uses."""
        qemu = self.guest(prefault, mem=f'{mib}M', prefix=self.entering(path),
                          **options)
        return qemu, self.used(path)

    def used(self, path, knob='memory.current'):
        return int(self.machine.read(f'{path}/{knob}'))

    def answer_ms(self, qemu, command='query-prefault', **arguments):
        """How long a command takes."""
        start = self.machine.now_ns()
        qemu.qmp(command, **arguments)
        return (self.machine.now_ns() - start) / 1e6

    def assert_quits(self, qemu, what, most_ms):
        """QEMU ends soon, whatever its workers do."""
        start = self.machine.now_ns()
        self.assertEqual(qemu.quit()[0], 0)
        took = (self.machine.now_ns() - start) / 1e6
        print(f'# note: {what}, quit: {took:.0f} ms')
        self.assertLess(took, most_ms)


class Sweep(RoomTest):
    """memory.max = what QEMU has + guest + n MiB: no kill in any step."""

    def step(self, spare):
        """Returns (status, error)."""
        path = self.group()
        qemu, used = self.in_group(path)
        self.limit(path, memory_max=used + (GUEST + spare) * MIB)
        qemu.qmp('cont')
        done = self.completed(qemu)
        slowest = max(self.answer_ms(qemu) for _ in range(5))
        self.assertLess(slowest, ANSWER_MS)
        if done.data['status'] == 'failed':
            self.assertRegex(done.data['error'],
                             SENTENCES['cgroup'].format('/.*'))
            self.limit(path, memory_max='max')
            self.assert_cont_succeeds(qemu)
        else:
            qemu.wait_sweep()
        self.assertEqual(qemu.quit()[0], 0)
        events = self.machine.read(f'{path}/memory.events')
        self.assertIn('oom_kill 0', events)
        return done.data['status']

    def sweep(self, what):
        outcomes = {spare: self.step(spare) for spare in STEPS}
        first = min((n for n, how in outcomes.items() if how == 'completed'),
                    default=None)
        print(f'# note: {what}: {outcomes}')
        print(f'# note: {what}: the first that completes: +{first} MiB')
        self.assertTrue(all(how == 'completed' for n, how in outcomes.items()
                            if n >= ENOUGH))

    def test_small_pages(self):
        self.knob(f'{THP}/enabled', 'never')
        self.sweep('4 KiB pages')

    def test_huge_pages(self):
        self.sweep('THP')

    def test_with_swap(self):
        self.swap(512)
        self.knob(f'{THP}/enabled', 'never')
        self.sweep('4 KiB pages, swap')


class Throttled(RoomTest):
    """Above memory.high the kernel puts threads to sleep, for seconds."""

    def throttled(self, prefault='on', **options):
        """A guest whose workers sleep in the kernel."""
        path = self.group()
        qemu, used = self.in_group(path, f'{prefault},prefault-check=off',
                                   **options)
        self.limit(path, memory_high=used + 32 * MIB)
        qemu.qmp('cont')
        self.asleep(qemu, 2, 'handle_over_high')
        # The first times the kernel lets them sleep for less
        self.settles(lambda: self.query(qemu)['populated'], 'throttled')
        return path, qemu

    def assert_answers(self, qemu, command, **arguments):
        took = self.answer_ms(qemu, command, **arguments)
        print(f'# note: throttled, {command}: {took:.0f} ms')
        self.assertLess(took, ANSWER_MS)

    def assert_left_behind(self, path, qemu):
        """The workers are counted, and end once the kernel lets them."""
        left = self.query(qemu).get('threads-left-behind', 0)
        print(f'# note: threads left behind: {left}')
        self.assertGreater(left, 0)
        self.assert_hmp_says(qemu, f'left behind: {left} threads')
        self.limit(path, memory_high='max')
        self.until(lambda: 'threads-left-behind' not in self.query(qemu),
                   'gone')

    def test_is_refused(self):
        """With the check there is nothing to wait for."""
        path = self.group()
        qemu, used = self.in_group(path)
        self.limit(path, memory_high=used + 64 * MIB)
        since = qemu.qmp('cont').sent_ns
        done = self.completed(qemu, since)
        self.assertRegex(done.data['error'], TAKES + r'cgroup .* leaves (\d+) '
                         r'\(memory\.high \d+, .*\)')
        print(f'# note: memory.high: {done.data["error"]}')
        self.limit(path, memory_high='max')
        self.assert_cont_succeeds(qemu)

    def test_lowered_meanwhile(self):
        """It is looked at while memory is taken."""
        path = self.group()
        qemu, used = self.in_group(path, inject='madvise:MADV_POPULATE_WRITE:'
                                   'delay-ms=100')
        qemu.qmp('cont')
        self.until(lambda: self.query(qemu)['populated'], 'begun')
        self.limit(path, memory_high=used + 64 * MIB)
        self.assert_run_fails(qemu, r'memory\.high')
        self.assertLess(self.query(qemu)['populated'], 72 * MIB)

    def test_query_and_cancel(self):
        path, qemu = self.throttled()
        for _ in range(3):
            self.assert_answers(qemu, 'query-prefault')
        self.assert_answers(qemu, 'query-status')
        self.assert_answers(qemu, 'prefault-cancel')
        self.assertEqual(self.query(qemu)['status'], 'cancelled')
        self.assert_left_behind(path, qemu)
        self.assert_cont_succeeds(qemu)

    def test_auto_goes_on_at_once(self):
        """A guest that does not wait any more runs beside what is left."""
        path, qemu = self.throttled('auto', wait=True)
        self.assert_answers(qemu, 'prefault-cancel')
        self.resumed(qemu)
        self.assert_left_behind(path, qemu)
        qemu.wait_text('READY')
        qemu.sweep()

    def test_stop(self):
        path, qemu = self.throttled()
        self.assert_answers(qemu, 'stop')
        self.assert_left_behind(path, qemu)
        self.assert_cont_succeeds(qemu)

    def test_reset(self):
        path, qemu = self.throttled()
        self.assert_answers(qemu, 'system_reset')
        self.assert_answers(qemu, 'query-prefault')
        self.limit(path, memory_high='max')
        self.assertEqual(self.completed(qemu).data['status'], 'completed')
        qemu.wait_sweep()
        self.assertEqual(qemu.faults(), 0)

    def test_quit(self):
        _, qemu = self.throttled()
        self.assert_quits(qemu, 'throttled', 5 * ANSWER_MS)


class Stuck(RoomTest):
    """The kernel keeps the workers, as a file system that does not answer."""

    INJECT = 'madvise:MADV_POPULATE_WRITE:from=3:count=2:delay-ms=6000'

    def stuck(self):
        """A guest whose workers do not come back."""
        qemu = self.guest('on', inject=self.INJECT)
        qemu.qmp('cont')
        self.asleep(qemu, 2)
        return qemu

    def test_next_run_does_not_wait(self):
        """A run that was given up holds up no other."""
        qemu = self.stuck()
        start = self.machine.now_ns()
        qemu.qmp('prefault-cancel')
        self.assertEqual(self.query(qemu)['threads-left-behind'], 2)
        self.assert_cont_succeeds(qemu)
        took = (self.machine.now_ns() - start) / 1e6
        self.assertEqual(self.query(qemu)['threads-left-behind'], 2)
        print(f'# note: stuck, cancel and a whole run: {took:.0f} ms')
        self.until(lambda: 'threads-left-behind' not in self.query(qemu),
                   'gone')

    def test_quit(self):
        self.assert_quits(self.stuck(), 'stuck', 3 * ANSWER_MS)


class Doubled(RoomTest):
    """A private mapping of a file of tmpfs takes each page twice."""

    def test_on_tmpfs(self):
        folder = self.tmpfs(400)
        path = self.group()
        qemu = self.guest('on', '-object', 'memory-backend-file,id=ram,'
                          f'size=128M,mem-path={folder}/f', mem='128M',
                          prefix=self.entering(path),
                          machine='microvm,memory-backend=ram')
        used = self.used(path)
        self.limit(path, memory_max=used + 192 * MIB)
        qemu.qmp('cont')
        done = self.completed(qemu)
        self.assertRegex(done.data['error'], SENTENCES['cgroup'].format('/.*'))
        print(f'# note: share=off on tmpfs: {done.data["error"]}')
        self.limit(path, memory_max=used + 272 * MIB)
        self.assert_cont_succeeds(qemu)
        self.assertGreater(self.used(path), used + 255 * MIB)

    def test_on_memfd(self):
        path = self.group()
        qemu = self.guest('on', '-object', 'memory-backend-memfd,id=ram,'
                          'size=128M,share=off', mem='128M',
                          prefix=self.entering(path),
                          machine='microvm,memory-backend=ram')
        self.limit(path, memory_max=self.used(path) + 192 * MIB)
        qemu.qmp('cont')
        self.assertEqual(self.completed(qemu).data['status'], 'failed')
        self.limit(path, memory_max='max')
        self.assert_cont_succeeds(qemu)


class TwoGuests(RoomTest):
    """Two guests of 1 GiB are started together where 1.5 GiB are free.

    One is ahead.  Of two that keep step, both may find that too little is left:
    the pages of each stay its own.
    """

    SPEEDS = (5, 30)                # ms more for each call that populates

    def of_two_speeds(self, start):
        """@start: makes a guest, from what is injected into it"""
        return [start(inject='madvise:MADV_POPULATE_WRITE:'
                      f'delay-ms={delay}') for delay in self.SPEEDS]

    def assert_first_runs(self, guests):
        """The faster one runs, and the other one says why not; returns that."""
        first, second = guests
        for qemu in guests:
            qemu.qmp('cont')
        self.assertEqual(self.completed(second).data['status'], 'failed')
        self.assertEqual(self.completed(first).data['status'], 'completed')
        info = self.query(second)
        print(f'# note: two guests: {info["error"]}')
        # It had begun: no check before the start would have found this
        self.assertGreater(info['populated'], 0)
        self.assertLess(self.answer_ms(second), ANSWER_MS)
        first.wait_sweep()
        self.assertEqual(first.quit()[0], 0)
        return second

    def test_in_a_cgroup(self):
        self.knob(f'{THP}/enabled', 'never')
        path = self.group()
        guests = self.of_two_speeds(
            lambda **more: self.in_group(path, mib=1024, **more)[0])
        self.limit(path, memory_max=self.used(path) + 1536 * MIB)
        failed = self.assert_first_runs(guests)
        self.assertRegex(self.query(failed)['error'],
                         SENTENCES['cgroup'].format('/.*'))
        self.assert_cont_succeeds(failed)

    def test_on_the_host(self):
        guests = self.of_two_speeds(
            lambda **more: self.guest('on', mem='1024M', **more))
        free = int(self.machine.read('/proc/meminfo').partition(
            'MemAvailable:')[2].split()[0]) // 1024
        self.sh(f'fallocate -l {free - 1536}M {self.tmpfs(free)}/filler')
        failed = self.assert_first_runs(guests)
        self.assertRegex(self.query(failed)['error'], SENTENCES['host'])
        self.assert_cont_succeeds(failed)


class Auto(RoomTest):
    """As much as the host can."""

    def test_a_part(self):
        path = self.group()
        qemu, used = self.in_group(path, 'auto', wait=True)
        self.limit(path, memory_max=used + (GUEST // 2) * MIB)
        qemu.qmp('cont')
        done = self.completed(qemu).data
        self.assertEqual(done['status'], 'completed')
        info = self.query(qemu)
        skips = {skip['reason']: skip['bytes'] for skip in info['skips']}
        print(f'# note: auto: {info["mapped"]} mapped, {skips}; '
              f'{info["left-out"]}')
        self.assertNotIn('error', info)
        self.assertRegex(info['left-out'],
                         'a part: ' + SENTENCES['cgroup'].format('/.*'))
        self.assertIn(f'{skips["no-room"]} bytes of guest memory left alone',
                      qemu.stderr)
        # As much as there was room for, but for page tables and some MiB
        self.assertGreater(info['mapped'], (GUEST // 2 - 16) * MIB)
        self.assertEqual(info['mapped'], info['total'])
        qemu.wait_text('READY')
        self.limit(path, memory_max='max')
        qemu.sweep()

    def test_a_range_that_fails(self):
        """The rest is done, and the first failure is told."""
        qemu = self.guest('auto', wait=True, inject='madvise:'
                          'MADV_POPULATE_WRITE:from=3:count=2:errno=EFAULT')
        qemu.qmp('cont')
        self.assertEqual(self.completed(qemu).data['status'], 'completed')
        info = self.query(qemu)
        self.assertIn(info['failed'], range(4 * MIB, 8 * MIB + 1))
        self.assertEqual(info['mapped'] + info['failed'], info['total'])
        self.assertRegex(info['left-out'], 'a part: populating guest memory '
                         '0x.* failed: Bad address')
        qemu.wait_text('READY')
        qemu.sweep()


class Swap(RoomTest):
    """Swap is room, but what is in it is not mapped."""

    def test_is_said(self):
        # From a huge page Linux takes what is zero away without swapping it
        self.knob(f'{THP}/enabled', 'never')
        self.swap(96)
        path = self.group()
        qemu, used = self.in_group(path, mib=SMALL)
        self.limit(path, memory_max=used + (SMALL - 32) * MIB)
        qemu.qmp('cont')
        self.assertEqual(self.completed(qemu).data['status'], 'completed')
        info = self.query(qemu)
        print(f'# note: swapped: {info["swapped"]}')
        self.assertGreater(info['swapped'], 24 * MIB)
        self.assertIn(f'{info["swapped"]} bytes of QEMU\'s memory are in swap',
                      qemu.stderr)
        self.assert_hmp_says(qemu, r'\d+ KiB in swap')
        qemu.wait_sweep()

    def test_that_the_cgroup_does_not_grant(self):
        self.swap(256)
        path = self.group()
        self.machine.write(f'{path}/memory.swap.max', '0')
        qemu, used = self.in_group(path)
        self.limit(path, memory_max=used + (GUEST - 64) * MIB)
        qemu.qmp('cont')
        done = self.completed(qemu).data
        self.assertRegex(done['error'], SENTENCES['cgroup'].format('/.*'))
        self.assertNotIn('swap', done['error'])


class Threads(RoomTest):
    """pids.max: fewer workers, and never an abort."""

    def setUp(self):
        super().setUp()
        self.sh('echo +pids > /sys/fs/cgroup/cgroup.subtree_control')

    def test_fewer(self):
        path = self.group()
        qemu, _ = self.in_group(path, 'on,prefault-threads=16')
        pids = self.used(path, 'pids.current')
        self.limit(path, pids_max=pids + 1)
        qemu.qmp('cont')
        self.assertEqual(self.completed(qemu).data['status'], 'completed')
        self.assertEqual(self.query(qemu)['threads'], 1)
        self.assertIn('1 of 16 threads: no more can be made', qemu.stderr)
        qemu.wait_sweep()

    def test_none(self):
        path = self.group()
        qemu, _ = self.in_group(path)
        self.limit(path, pids_max=self.used(path, 'pids.current'))
        qemu.qmp('cont')
        self.assert_run_fails(qemu, 'no thread can be made: .*pids.max')
        print(f'# note: no thread: {self.query(qemu)["error"]}')
        self.limit(path, pids_max='max')
        self.assert_cont_succeeds(qemu)


class OnlyRead(RoomTest):
    """Memory that was read and never written is not there yet."""

    def test_zero_page(self):
        self.knob(f'{THP}/enabled', 'never')
        path = self.group()
        qemu, _ = self.in_group(path, mib=SMALL)
        qemu.qmp('pmemsave', val=0, size=SMALL * MIB, filename='/dev/null')
        self.limit(path, memory_max=self.used(path) + SMALL // 4 * MIB)
        qemu.qmp('cont')
        done = self.completed(qemu)
        self.assertEqual(done.data['status'], 'failed', done.data)
        self.assertRegex(done.data['error'], SENTENCES['cgroup'].format('/.*'))
        self.limit(path, memory_max='max')
        self.assert_cont_succeeds(qemu)
        self.assertEqual(qemu.quit()[0], 0)
        self.assertIn('oom_kill 0', self.machine.read(f'{path}/memory.events'))


class Incoming(RoomTest):
    """An incoming guest's memory is looked at before its stream comes."""

    def test_huge_pages(self):
        self.hugepages(40)
        qemu = self.guest('on', '-object', 'memory-backend-memfd,id=ram,'
                          f'size={GUEST}M,hugetlb=on,reserve=off',
                          '-incoming', 'defer', mem=f'{GUEST}M', connect=False,
                          machine='microvm,memory-backend=ram')
        self.assertEqual(qemu.wait_exit(), 1)
        self.assertRegex(qemu.stderr, 'prefault=on: ' + SENTENCES['huge'])
        print(f'# note: incoming: {qemu.stderr.strip()}')

    def test_cgroup(self):
        path = self.group(memory_max=128 * MIB)
        qemu = self.guest('on', '-incoming', 'defer', mem=f'{GUEST}M',
                          prefix=self.entering(path), connect=False)
        self.assertEqual(qemu.wait_exit(), 1)
        self.assertRegex(qemu.stderr, SENTENCES['cgroup'].format('/.*'))


class Unchecked(RoomTest):
    """prefault-check=off: the way round a refusal."""

    def test_accel_and_machine(self):
        path = self.group(memory_max=128 * MIB)
        for options in ({'prefault': 'on,prefault-check=off'},
                        {'machine': 'microvm,prefault-check=off'}):
            qemu = self.guest(**{'prefault': 'on', 'mem': f'{GUEST}M',
                                 'prefix': self.entering(path), **options})
            self.assertEqual(self.query(qemu)['status'], 'none')
            self.assertEqual(qemu.quit()[0], 0)


class Unpopulatable(RoomTest):
    """Memory of a kind that cannot be populated is skipped, with on as well."""

    def test_refused_by_the_kernel(self):
        qemu = self.guest('on', wait=True, inject='madvise:'
                          'MADV_POPULATE_WRITE:from=3:count=2:errno=EINVAL')
        qemu.qmp('cont')
        self.assertEqual(self.completed(qemu).data['status'], 'completed')
        info = self.query(qemu)
        skips = {skip['reason']: skip['bytes'] for skip in info['skips']}
        self.assertIn(skips['unpopulatable'], range(4 * MIB, 8 * MIB + 1))
        self.assertEqual(info['mapped'], info['total'])
        self.assertEqual(info['total'] + skips['unpopulatable'], GUEST * MIB)
        qemu.wait_text('READY')
        qemu.sweep()

    def test_memory_of_a_device(self):
        """/dev/mem stands for all that the kernel maps without pages."""
        qemu = self.guest(
            'on', '-object', 'memory-backend-file,id=m,mem-path=/dev/mem,'
            'offset=0xc0000,size=128K,share=on', '-device',
            'ivshmem-plain,memdev=m', machine='pc', kernel=True, wait=True)
        self.let_run(qemu)
        self.refilled(qemu)
        qemu.qmp('stop')
        since = qemu.qmp('prefault-start').sent_ns
        self.assertEqual(self.completed(qemu, since).data['status'],
                         'completed')
        skips = {skip['reason']: skip['bytes']
                 for skip in self.query(qemu)['skips']}
        print(f'# note: /dev/mem as a BAR: {skips}')
        self.assertEqual(skips['unpopulatable'], 128 << 10)
        qemu.qmp('cont')
        qemu.sweep()


class Nodes(RoomTest):
    """Two nodes of 2 GiB; the process may use one of them."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.machine = bed.shared(nodes=2)

    def test_cpuset(self):
        self.sh('echo +cpuset > /sys/fs/cgroup/cgroup.subtree_control')
        path = self.group()
        self.machine.write(f'{path}/cpuset.mems', '1')
        qemu = self.guest('on', mem='2304M', prefix=self.entering(path),
                          connect=False)
        self.assertEqual(qemu.wait_exit(), 1)
        self.assertRegex(qemu.stderr, SENTENCES['node'])
        print(f'# note: cpuset: {qemu.stderr.strip()}')
        self.machine.write(f'{path}/cpuset.mems', '0-1')
        qemu = self.guest('on', mem='2304M', prefix=self.entering(path))
        self.machine.write(f'{path}/cpuset.mems', '1')
        qemu.qmp('cont')
        self.assert_run_fails(qemu, SENTENCES['node'])

    def test_policy_of_the_process(self):
        """As numactl --membind."""
        prefix = [self.machine.path('membind'), '1']
        qemu = self.guest('on', mem='2304M', prefix=prefix, connect=False)
        self.assertEqual(qemu.wait_exit(), 1)
        self.assertRegex(qemu.stderr, SENTENCES['node'])
        print(f'# note: membind: {qemu.stderr.strip()}')
        qemu = self.guest('auto', mem='2304M', prefix=prefix, wait=True)
        qemu.qmp('cont')
        self.assertEqual(self.completed(qemu).data['status'], 'completed')
        info = self.query(qemu)
        print(f'# note: membind, auto: {info["mapped"]} mapped; '
              f'{info["left-out"]}')
        self.assertRegex(info['left-out'], SENTENCES['node'])
        qemu.wait_text('READY')


if __name__ == '__main__':
    unittest.main()
