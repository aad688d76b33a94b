# SPDX-License-Identifier: GPL-2.0-or-later
"""Too little memory on the host: one sentence, no SIGBUS, no OOM killer.

What can be known is refused: at the start of QEMU, or of the run if the limit
came later.  The sentence has what is needed and what is left.
"""
import re
import unittest
from collections import namedtuple

from resources import ResourceTest
import bed

SIZE = 128                      # MiB of guest memory
PAGES = SIZE // 2               # in huge pages
POOL = PAGES + 4                # more than enough
LARGE = 1000 * 1024             # MiB: what a CPU of 40 address bits can have
SOON = 20                       # seconds, emulated: QEMU's own start takes some
FILLER = 'fallocate -l 120M {}/filler'
# The first 80 MiB take 6 s: time enough to take memory away
SLOW = 'madvise:MADV_POPULATE_WRITE:count=20:delay-ms=600'

# backend: of guest memory; prefix: of QEMU; tight, room: scripts that set the
# limit and take it away; sentence: with what is needed and what is left
Limit = namedtuple('Limit', 'backend prefix tight room sentence')

TAKES = r'guest memory takes (\d+) bytes more, '
SENTENCES = {
    'cgroup': TAKES + r'cgroup {} leaves (\d+) \(.*\)',
    'huge': TAKES + r'the host has (\d+) free in pages of 2048 KiB \(.*\)',
    'huge on a node': TAKES + r'host node 1 has (\d+) free in pages of '
                      '2048 KiB',
    'file': r"the file of memory '.+' takes (\d+) bytes more, its file system "
            r'has (\d+) free',
    'node': TAKES + r'host node 1 has (\d+) free or easy to reclaim',
    'host': TAKES + r'the host has (\d+) \(MemAvailable \d+, SwapFree 0\)',
}

POPULATING_FAILED = ('populating guest memory 0x[0-9a-f]+-0x[0-9a-f]+ failed: '
                     'Bad address')

NAMES = ('cgroup', 'ancestor', 'hugetlb_memfd', 'hugetlb_file',
         'hugetlb_cgroup', 'tmpfs', 'ext4')


class LimitTest(ResourceTest):
    """A test after which the OOM killer has not been seen."""

    def setUp(self):
        self.sh('dmesg -c')

    def tearDown(self):
        self.assertNotRegex(self.sh('dmesg'),
                            r'(?i)out of memory|oom-kill|killed process')

    def start(self, limit, prefault='on', mib=SIZE, **options):
        """A microvm with memory of the limit's backend, with -S."""
        return self.guest(prefault, '-object',
                          f'memory-backend-{limit.backend},id=ram,'
                          f'size={mib}M', mem=f'{mib}M', prefix=limit.prefix,
                          machine='microvm,memory-backend=ram', **options)

    def assert_says(self, limit, text):
        """The sentence is there, and its figures make sense."""
        found = re.search(limit.sentence, text)
        self.assertTrue(found, f'{limit.sentence!r} is not in {text!r}')
        takes, leaves = map(int, found.groups())
        self.assertGreater(takes, leaves)
        return found[0]

    def assert_refused(self, limit, what, **options):
        """QEMU says so and exits with 1, whether with -S or not."""
        qemu = self.start(limit, connect=False, **options)
        self.assertEqual(qemu.wait_exit(), 1, qemu.stderr)
        said = self.assert_says(limit, qemu.stderr)
        self.assertIn('prefault=on: ', qemu.stderr)
        self.assertEqual(len(qemu.stderr.splitlines()), 1)
        print(f'# note: {what}: {said}')

    def assert_run_fails(self, qemu, error):
        """It failed, the guest is stopped, and QMP answers."""
        done = self.completed(qemu)
        self.assertEqual(done.data['status'], 'failed')
        info = self.query(qemu)
        self.assertRegex(info['error'], error)
        self.assertIn(info['error'], qemu.stderr)
        self.assertEqual(self.run_state(qemu), 'prelaunch')


class Limits(LimitTest):

    def limit_cgroup(self):
        path = self.cgroup(self.new_path('leaf').rpartition('/')[2])
        return Limit('ram', self.entering(path),
                     f'echo 100M > {path}/memory.max',
                     f'echo max > {path}/memory.max',
                     SENTENCES['cgroup'].format(path[len('/sys/fs/cgroup'):]))

    def limit_ancestor(self):
        path = self.cgroup(self.new_path('top').rpartition('/')[2])
        self.sh(f'echo +memory > {path}/cgroup.subtree_control; '
                f'mkdir {path}/leaf; echo 1G > {path}/leaf/memory.max')
        self.undo(f'rmdir {path}/leaf')
        return Limit('ram', self.entering(f'{path}/leaf'),
                     f'echo 100M > {path}/memory.max',
                     f'echo max > {path}/memory.max',
                     SENTENCES['cgroup'].format(path[len('/sys/fs/cgroup'):]))

    def hugetlb(self, backend):
        pool = '/proc/sys/vm/nr_hugepages'
        return Limit(backend, (), f'echo {PAGES // 2} > {pool}',
                     f'echo {POOL} > {pool}', SENTENCES['huge'])

    def limit_hugetlb_memfd(self):
        self.hugepages(POOL)
        return self.hugetlb('memfd,hugetlb=on,reserve=off')

    def limit_hugetlb_file(self):
        folder = self.hugepages(POOL)
        return self.hugetlb(f'file,mem-path={folder}/f,share=on,reserve=off')

    def limit_hugetlb_cgroup(self):
        self.hugepages(POOL)
        path = self.cgroup(self.new_path('huge').rpartition('/')[2])
        return Limit('memfd,hugetlb=on,reserve=off', self.entering(path),
                     f'echo {SIZE // 2}M > {path}/hugetlb.2MB.max',
                     f'echo max > {path}/hugetlb.2MB.max',
                     SENTENCES['cgroup'].format(path[len('/sys/fs/cgroup'):]))

    def full(self, folder):
        return Limit(f'file,mem-path={folder}/f,share=on', (),
                     FILLER.format(folder), f'rm {folder}/filler',
                     SENTENCES['file'])

    def limit_tmpfs(self):
        return self.full(self.tmpfs(200))

    def limit_ext4(self):
        return self.full(self.ext4(200))

    def assert_room_suffices(self, qemu, name):
        """The next cont prefaults all, and starts the guest."""
        if name != 'ext4':
            self.assert_cont_succeeds(qemu)
            return
        # Nearly full, it writes dirty pages back: that takes mappings away
        again = qemu.qmp('cont').sent_ns
        self.assertEqual(self.completed(qemu, again).data['status'],
                         'completed')
        info = self.query(qemu)
        self.assertEqual(info['mapped'], info['total'])
        qemu.wait_sweep()

    def test_on_refuses_to_start(self):
        for name in NAMES:
            with self.subTest(limit=name):
                limit = getattr(self, f'limit_{name}')()
                self.sh(limit.tight)
                self.assert_refused(limit, name)
            self.doCleanups()

    def test_limit_set_after_launch(self):
        """The run fails, the guest stays stopped; with room, cont works."""
        for name in NAMES:
            with self.subTest(limit=name):
                limit = getattr(self, f'limit_{name}')()
                qemu = self.start(limit)
                self.sh(limit.tight)
                qemu.qmp('cont')
                self.assert_run_fails(qemu, limit.sentence)
                said = self.assert_says(limit, self.query(qemu)['error'])
                print(f'# note: {name}, after launch: {said}')
                self.sh(limit.room)
                self.assert_room_suffices(qemu, name)
                self.assertEqual(qemu.quit()[0], 0)
            self.doCleanups()

    def test_auto_starts_the_guest(self):
        """With what there is room for; the query says what is left out."""
        for name in NAMES:
            with self.subTest(limit=name):
                limit = getattr(self, f'limit_{name}')()
                self.sh(limit.tight)
                qemu = self.start(limit, 'auto', wait=True)
                qemu.qmp('cont')
                self.assertEqual(self.completed(qemu).data['status'],
                                 'completed')
                qemu.wait_text('READY')
                info = self.query(qemu)
                print(f'# note: {name}, auto: {info["left-out"]}')
                if limit.backend == 'ram':
                    self.assert_says(limit, info['left-out'])
                else:
                    self.assertRegex(info['left-out'], POPULATING_FAILED)
                self.assertLess(info['mapped'], SIZE << 20)
                self.assertGreater(info['mapped'], 48 << 20)
                self.assertEqual(qemu.quit()[0], 0)
            self.doCleanups()

    def test_exactly_enough_is_enough(self):
        """No refusal where it works: reserved, present, or just so much."""
        self.hugepages(PAGES)
        tmpfs = self.tmpfs(SIZE)
        for backend in ('memfd,hugetlb=on,reserve=off', 'memfd,hugetlb=on',
                        'memfd,hugetlb=on,prealloc=on',
                        f'file,mem-path={tmpfs}/f,share=on',
                        f'file,mem-path={tmpfs}/f,share=on,prealloc=on'):
            with self.subTest(backend=backend):
                qemu = self.start(Limit(backend, (), '', '', ''))
                self.assert_cont_succeeds(qemu)
                self.assertEqual(qemu.quit()[0], 0)

    def test_larger_than_the_host(self):
        """Without reservation: QEMU itself would not mind."""
        limit = Limit('ram,reserve=off', (), '', '', SENTENCES['host'])
        self.assert_refused(limit, 'host', mib=8192)

    def test_refused_at_once(self):
        """Nobody looks at each of the pages that are not there."""
        for backend in 'ram,reserve=off', 'memfd,reserve=off':
            with self.subTest(backend=backend):
                began = self.machine.now_ns()
                limit = Limit(backend, (), '', '', SENTENCES['host'])
                self.assert_refused(limit, backend, mib=LARGE)
                took = (self.machine.now_ns() - began) / 1e9
                print(f'# note: {LARGE} MiB refused after {took:.1f} s')
                self.assertLess(took, SOON * self.machine.link.patience)

    def test_taken_while_it_runs(self):
        """What nobody could know: a clean failure with the guest's range."""
        for name in 'hugetlb_memfd', 'hugetlb_file', 'tmpfs', 'ext4':
            with self.subTest(limit=name):
                limit = getattr(self, f'limit_{name}')()
                qemu = self.start(limit, inject=SLOW)
                qemu.qmp('cont')
                # At the beginning there was enough, as far as can be known
                self.until(lambda: self.query(qemu)['populated'], 'begun')
                self.sh(limit.tight)
                self.assertEqual(self.query(qemu)['status'], 'active')
                self.assert_run_fails(qemu, POPULATING_FAILED)
                print(f'# note: {name}, taken meanwhile: '
                      f'{self.query(qemu)["error"]}')
                self.sh(limit.room)
                self.assert_room_suffices(qemu, name)
                self.assert_injected(qemu)
                self.assertEqual(qemu.process.code, 0)
            self.doCleanups()

    def test_given_back_and_taken_by_others(self):
        """Memory that sufficed is looked at again if QEMU has less since."""
        folder = self.tmpfs(200)
        limit = self.full(folder)
        qemu = self.start(limit)
        qemu.qmp('cont')
        self.assertEqual(self.completed(qemu).data['status'], 'completed')
        qemu.wait_sweep()
        # The file loses its pages behind QEMU's back: as good as a balloon
        self.sh(f'truncate -s 16M {folder}/f; truncate -s {SIZE}M {folder}/f; '
                f'{limit.tight}')
        since = qemu.qmp('system_reset').sent_ns
        done = self.completed(qemu, since)
        self.assertEqual(done.data['status'], 'failed')
        said = self.assert_says(limit, done.data['error'])
        self.assertEqual(self.run_state(qemu), 'paused')
        print(f'# note: after memory was given back: {said}')
        self.sh(limit.room)
        since = qemu.qmp('cont').sent_ns
        self.assertEqual(self.completed(qemu, since).data['status'],
                         'completed')

    def test_memlock_limit(self):
        """QEMU's own refusal, the same with and without prefault."""
        said = {}
        for mode in 'off', 'on':
            prefix = self.shell('ulimit -l 65536') + self.setpriv(user=True)
            qemu = self.guest(mode, '-overcommit', 'mem-lock=on',
                              prefix=prefix, connect=False)
            self.assertEqual(qemu.wait_exit(), 1)
            said[mode] = qemu.stderr
        print(f'# note: RLIMIT_MEMLOCK too low: {said["on"].strip()}')
        self.assertEqual(said['on'], said['off'])
        self.assertIn('mlockall', said['on'])

    def test_pending_signals(self):
        """A worker's timer counts: the cause is named beside the failure."""
        qemu = self.guest('on', prefix=self.shell('ulimit -i 0'))
        qemu.qmp('cont')
        self.assert_run_fails(qemu, 'Resource temporarily unavailable')
        self.assertRegex(qemu.stderr, r'no timer: .*RLIMIT_SIGPENDING')
        self.assertEqual(qemu.quit()[0], 0)


class NodeLimits(LimitTest):
    """Two nodes of 2 GiB."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.machine = bed.shared(nodes=2)

    def test_pool_of_a_node(self):
        """Huge pages enough on the host, none on the node."""
        self.hugepages(POOL, 0)
        pool = ('/sys/devices/system/node/node1/hugepages/hugepages-2048kB/'
                'nr_hugepages')
        self.undo(f'echo 0 > {pool}')
        limit = Limit('memfd,hugetlb=on,reserve=off,policy=bind,host-nodes=1',
                      (), f'echo 0 > {pool}', f'echo {POOL} > {pool}',
                      SENTENCES['huge on a node'])
        self.assert_refused(limit, 'pool of a node')
        self.sh(limit.room)
        qemu = self.start(limit)
        self.sh(limit.tight)
        qemu.qmp('cont')
        self.assert_run_fails(qemu, limit.sentence)
        self.sh(limit.room)
        # To make room the kernel compacts the node's memory, and goes on for a
        # while: that may take a mapping away again
        self.assert_cont_succeeds(qemu, faults=1)

    def test_memory_of_a_node(self):
        """More than the node has, less than the host has."""
        limit = Limit('ram,policy=bind,host-nodes=1', (), '', '',
                      SENTENCES['node'])
        self.assert_refused(limit, 'memory of a node', mib=2304)


if __name__ == '__main__':
    unittest.main()
