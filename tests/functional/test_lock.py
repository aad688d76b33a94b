# SPDX-License-Identifier: GPL-2.0-or-later
"""prefault-keep=lock: memory is pinned, and the host can do nothing to it."""
import itertools
import re
import unittest

from common import MIB, NEXT_TO_NONE, THP, bed
from keeping import KeepTest, LITTLE, SPLIT

BED = {'nodes': 2}

IO_URING = '/proc/sys/kernel/io_uring_disabled'
NO_IO_URING = ('prefault-keep=lock: no io_uring to pin memory '
               r'\(kernel.io_uring_disabled, .*\); prefault-keep=on needs none: '
               'Operation not permitted')
LIMIT = (r'prefault-keep=lock: (\d+) bytes of guest memory are to be pinned, '
         r'(\d+) are, and RLIMIT_MEMLOCK is (\d+) for all processes of this '
         'user: raise it')

USED_UP = (r'prefault-keep=lock: \d+ bytes at host address 0x\w+ cannot be pinned '
           r'\(RLIMIT_MEMLOCK of all processes of this user, .*: '
           'Cannot allocate memory')


class LockTest(KeepTest):

    def locked(self, qemu):
        """Bytes that query-prefault calls locked."""
        return self.retention(qemu)['locked']

    def pinned(self, qemu):
        """Bytes of QEMU's that the kernel says are pinned."""
        status = self.machine.read(f'/proc/{qemu.pid}/status')
        return int(re.search(r'VmPin:\s+(\d+) kB', status)[1]) << 10

    def assert_locked(self, qemu):
        """All that is prefaulted is.

        The kernel counts whole huge pages, and twice what two threads share.
        """
        total = self.query(qemu)['total']
        self.assertEqual(self.locked(qemu), total)
        self.assertIn(self.pinned(qemu) - total, range(5 * MIB))
        self.assert_hmp_says(qemu, f'locked: +{total >> 10} KiB pinned')

    def assert_not_unlocked(self, qemu, words):
        """prefault-unlock fails, with a sentence."""
        with self.assertRaisesRegex(bed.QmpError, words):
            qemu.qmp('prefault-unlock')

    def assert_refused(self, words, mode='on', **how):
        """QEMU ends with one sentence, before it takes memory."""
        qemu = self.guest(f'{mode},prefault-keep=lock', mem=f'{LITTLE}M',
                          connect=False, **how)
        self.assertEqual(qemu.wait_exit(), 1)
        self.assertRegex(qemu.stderr, f'prefault=on: {words}')
        self.assertEqual(len(qemu.stderr.strip().splitlines()), 1)
        return re.search(words, qemu.stderr)


class Locked(LockTest):

    def test_balancing(self):
        qemu = self.vm('lock')
        self.assert_locked(qemu)
        self.assertLessEqual(self.sweeps(qemu, 'keep=lock, NUMA balancing'),
                             NEXT_TO_NONE)
        self.assertEqual(self.retention(qemu)['lost'], 0)

    def test_merging(self):
        """KSM; told not to as well, as with on."""
        self.knob(f'{THP}/enabled', 'never')
        qemu = self.vm('lock', mib=LITTLE)
        qemu.sweep()
        self.assertLess(self.merge_all(qemu), 1024)
        self.assertLessEqual(qemu.sweep()[1], NEXT_TO_NONE)

    def test_compaction(self):
        """What test_lost sees lost is not."""
        for qemu in itertools.islice(self.compacted('lock'), 2):
            self.assertLessEqual(qemu.sweep()[1], NEXT_TO_NONE)
            self.assertEqual(self.retention(qemu)['lost'], 0)

    def test_split(self):
        """Huge pages that the guest has not written are not given up either."""
        qemu = self.vm('lock', mib=LITTLE)
        self.machine.write(SPLIT, '1')
        self.assertLessEqual(qemu.sweep()[1], NEXT_TO_NONE)
        self.assertEqual(self.retention(qemu)['lost'], 0)

    def test_swap(self):
        """What the host would reclaim stays; without a lock it goes."""
        self.knob(f'{THP}/enabled', 'never')
        self.swap(LITTLE * 2)
        for keep in 'on', 'lock':
            path = self.cgroup(f'swap-{keep}')
            qemu = self.vm(keep, mib=LITTLE, prefix=self.entering(path))
            qemu.sweep()
            self.reclaim(path, LITTLE)
            faults = qemu.sweep()[1]
            print(f'# note: keep={keep}, the host reclaims: {faults} faults')
            if keep == 'lock':
                self.assertLessEqual(faults, NEXT_TO_NONE)
                self.assertEqual(self.retention(qemu)['lost'], 0)
            else:
                self.assertGreater(faults, 1000)
            qemu.quit()

    def test_takes_little_time(self):
        took = {'on': [], 'lock': []}
        for _ in range(2):
            for keep, ms in took.items():
                qemu = self.vm(keep, mib=1024)
                ms.append(self.query(qemu)['elapsed-ms'])
                qemu.quit()
        print(f'# note: 1 GiB, elapsed-ms: {took}')
        self.assertLess(took['lock'][1], 2 * took['on'][1] + 1000)


class Unlocked(LockTest):

    def test_unlock(self):
        """Until the next prefault-start; a reset does not pin again."""
        qemu = self.vm('lock', mib=LITTLE)
        self.assert_locked(qemu)
        qemu.qmp('prefault-unlock')
        self.assertEqual(self.locked(qemu), 0)
        self.assertEqual(self.retention(qemu)['keep'], 'on')
        self.until(lambda: not self.pinned(qemu), 'let go')
        self.assert_not_unlocked(qemu, 'Nothing is locked')
        self.completed(qemu, qemu.qmp('system_reset').sent_ns)
        self.assertEqual(self.pinned(qemu), 0)
        qemu.qmp('stop')
        since = qemu.qmp('prefault-start').sent_ns
        self.completed(qemu, since)
        self.assert_locked(qemu)
        self.assertEqual(self.retention(qemu)['keep'], 'lock')

    def test_reset(self):
        """Nothing is pinned twice."""
        qemu = self.vm('lock', mib=LITTLE)
        for _ in range(2):
            self.completed(qemu, qemu.qmp('system_reset').sent_ns)
            self.assert_locked(qemu)

    def test_under_way(self):
        qemu = self.guest('on,prefault-keep=lock', mem=f'{LITTLE}M',
                          inject='madvise:MADV_POPULATE_WRITE:count=1:delay-ms=3000')
        qemu.qmp('cont')
        self.assert_not_unlocked(qemu, 'A prefault run is under way')
        self.completed(qemu)
        self.assert_locked(qemu)

    def test_not_asked_for(self):
        qemu = self.vm('on', mib=LITTLE)
        self.assert_not_unlocked(qemu, 'Nothing is locked')
        self.assertEqual(self.locked(qemu), 0)


class Refused(LockTest):

    def test_limit_that_another_guest_has_used_up(self):
        """The run fails; unlocked, the guest runs all the same."""
        limited = self.limited(LITTLE * 3 // 2)
        self.vm('lock', mib=LITTLE, prefix=limited)
        qemu = self.guest('on,prefault-keep=lock', mem=f'{LITTLE}M', wait=True,
                          prefix=limited)
        for _ in range(2):
            since = qemu.qmp('prefault-start').sent_ns
            done = self.completed(qemu, since).data
            self.assertEqual(done['status'], 'failed')
            self.assertRegex(done['error'], USED_UP)
        qemu.qmp('prefault-unlock')
        since = qemu.qmp('cont').sent_ns
        self.assertEqual(self.completed(qemu, since).data['status'],
                         'completed')
        self.assertEqual(self.locked(qemu), 0)
        qemu.wait_text('READY')
        self.assertEqual(qemu.sweep()[1], 0)

    def test_limit(self):
        """Both figures, and nothing is taken."""
        said = self.assert_refused(LIMIT, prefix=self.limited(32))
        self.assertEqual(int(said[2]), 0)
        self.assertEqual(int(said[3]), 32 * MIB)
        self.assertIn(LITTLE * MIB - int(said[1]), range(MIB))

    def limited(self, mib):
        """A prefix for QEMU: RLIMIT_MEMLOCK, and no right to go beyond."""
        return [*self.shell(f'ulimit -l {mib << 10}'),
                *self.setpriv(user=True)]

    def test_auto_goes_on_without(self):
        qemu = self.guest('auto,prefault-keep=lock', mem=f'{LITTLE}M',
                          prefix=self.limited(32))
        qemu.qmp('cont')
        self.assertEqual(self.completed(qemu).data['status'], 'completed')
        info = self.query(qemu)
        self.assertEqual(info['mapped'], info['total'])
        self.assertRegex(info['left-out'], f'a part: {LIMIT}')
        self.assertEqual(info['retention']['locked'], 0)
        qemu.wait_sweep()
        self.assertEqual(qemu.faults(), 0)

    def test_no_io_uring(self):
        self.knob(IO_URING, 2)
        self.assert_refused(NO_IO_URING)

    def test_file_of_a_file_system(self):
        """The kernel pins no page that it writes back."""
        folder = self.ext4(LITTLE + 32)
        qemu = self.guest(
            'on,prefault-keep=lock', '-object', 'memory-backend-file,id=ram,'
            f'mem-path={folder}/f,share=on,size={LITTLE}M', mem=f'{LITTLE}M',
            machine='microvm,memory-backend=ram')
        qemu.qmp('cont')
        done = self.completed(qemu).data
        self.assertEqual(done['status'], 'failed')
        self.assertRegex(done['error'], 'prefault-keep=lock: .* cannot be '
                         r'pinned \(a file of a file system other than')
        self.assertEqual(self.run_state(qemu), 'prelaunch')


if __name__ == '__main__':
    unittest.main()
