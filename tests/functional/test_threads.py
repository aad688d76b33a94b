# SPDX-License-Identifier: GPL-2.0-or-later
"""How many workers there are, and what they leave to QEMU's main thread.

L1 has two CPUs, 0 and 1, and each guest is worth four workers.
"""
import unittest

from resources import ResourceTest

# The same machine as that of test_numa
BED = {'nodes': 2}

SIZE = 256                      # MiB
SANDBOX = ('-sandbox', 'on,resourcecontrol=deny')
TRACE = ('-trace', 'prefault_threads_count')
SLOW = 'madvise:MADV_POPULATE_WRITE:delay-ms=60'
NO_AFFINITY = 'sched_setaffinity:*:errno=EPERM'

# Of the monitor while workers are busy.  One that has to wait for them gives its
# first when they are done; how long one takes is for the benchmark to say.
ANSWERS = 40

FIFO, OTHER, IDLE = 1, 0, 5     # as /proc has them

# vCPUs' CPUs, the emulator's CPU, and how many workers those are worth
PINNED = (
    ([0, 1], 0, 2),
    ([0, 1], None, 2),
    ([1, 1], 0, 1),
    ([1, 1], None, 1),
    ([0, 0], 0, 1),
)

# cpu.max of a cgroup and of one in it, where QEMU is; and the workers
QUOTAS = (
    ('max 100000', '50000 100000', 1),
    ('max 100000', '150000 100000', 1),
    ('max 100000', '200000 100000', 2),
    ('max 100000', 'max 100000', 2),
    ('50000 100000', 'max 100000', 1),
)


class Count(ResourceTest):

    def workers(self, *words, vcpus=(), emulator=None, mem=SIZE, **how):
        """How many a run has; what was traced lies in self.traced."""
        qemu = self.guest('on', *TRACE, *words, mem=f'{mem}M', smp=2, **how)
        self.pin(qemu, vcpus, emulator)
        threads = self.run_once(qemu)['threads']
        self.traced = qemu.stderr
        qemu.quit()
        return threads

    def test_qemu_on_one_cpu(self):
        """Started under taskset: one CPU is one worker."""
        self.assertEqual(self.workers(prefix=['/bin/taskset', '1']), 1)

    def test_vcpus_pinned(self):
        """Workers go to the vCPUs' CPUs: these count, not the emulator's."""
        for vcpus, emulator, workers in PINNED:
            with self.subTest(vcpus=vcpus, emulator=emulator):
                self.assertEqual(self.workers(vcpus=vcpus, emulator=emulator),
                                 workers)

    def test_workers_cannot_move(self):
        """They stay on the emulator's CPU, and are as many as that is worth."""
        for emulator, workers in ((0, 1), (None, 2)):
            with self.subTest(emulator=emulator):
                self.assertEqual(self.workers(
                    vcpus=[0, 1], emulator=emulator, inject=NO_AFFINITY),
                    workers)

    def test_workers_cannot_give_way(self):
        """They leave a CPU to the monitor, if there are several."""
        for taskset in '3', '1':
            with self.subTest(taskset=taskset):
                self.assertEqual(self.workers(
                    *SANDBOX, prefix=['/bin/taskset', taskset]), 1)
                self.assertIn('one fewer 1', self.traced)

    def test_quota(self):
        """Whole CPUs of the tightest cgroup above QEMU; the trace says why."""
        root = '/sys/fs/cgroup'
        self.sh(f'echo +cpu > {root}/cgroup.subtree_control')
        self.undo(f'echo -cpu > {root}/cgroup.subtree_control')
        name = self.new_path('quota').rpartition('/')[2]
        upper = self.cgroup(name)
        self.sh(f'echo +cpu > {upper}/cgroup.subtree_control')
        lower = self.cgroup(f'{name}/leaf')
        for above, below, workers in QUOTAS:
            with self.subTest(above=above, below=below):
                self.limit(upper, cpu_max=above)
                self.limit(lower, cpu_max=below)
                self.assertEqual(self.workers(prefix=self.entering(lower)),
                                 workers)
        self.limit(upper, cpu_max='max 100000')
        self.limit(lower, cpu_max='100000 100000')
        self.workers(prefix=self.entering(lower))
        self.assertIn('CPUs 2, by cgroups 1, one fewer 0, by memory 4: 1',
                      self.traced)

    def test_little_memory(self):
        """One for each 64 MiB."""
        for mem, workers in ((64, 1), (127, 1), (128, 2)):
            with self.subTest(mem=mem):
                self.assertEqual(self.workers(mem=mem), workers)


    def test_memory_that_is_owed(self):
        """Workers wait for vCPUs, wherever these and the emulator are."""
        qemu = self.guest('on,slot-zap-all=on', *TRACE, machine='pc', smp=2,
                          kernel=True, wait=True, mem='64M')
        self.pin(qemu, [0, 1], 0)
        self.let_run(qemu)
        self.refilled(qemu)
        before = qemu.stderr.count('prefault_threads_count')
        qemu.flip_pam()
        self.until(lambda: qemu.stderr.count('prefault_threads_count') > before,
                   'a run')
        self.assertRegex(qemu.stderr.splitlines()[-1], '^prefault_threads_count '
                         'CPUs 2, .*, one fewer 0, .*: 2$')


class RealTime(ResourceTest):
    """QEMU is started under SCHED_FIFO, as by libvirt's emulatorsched."""

    def real_time(self, *words, mode='on', **how):
        return self.guest(mode, *words, prefix=[self.machine.tool('chrt'),
                                                '-f', '1'], **how)

    def tasks(self, qemu):
        """{thread: (policy, nice)}."""
        # One that ends meanwhile has no file
        text = self.sh(f'cat /proc/{qemu.process.pid}/task/*/stat || :')
        found = {}
        for line in text.splitlines():
            fields = line.rpartition(')')[2].split()
            found[int(line.split()[0])] = int(fields[38]), int(fields[16])
        return found

    def new_tasks(self, qemu, before):
        """Those of the workers, whose main thread is still what it was."""
        now = self.tasks(qemu)
        self.assertEqual(now[qemu.process.pid], (FIFO, 0))
        return [now[thread] for thread in now.keys() - before.keys()]

    def test_workers_are_not(self):
        """Only they: SCHED_OTHER and nicer, or what the sandbox lets through."""
        for words, expected in (((), (OTHER, 10)), (SANDBOX, (IDLE, 0))):
            with self.subTest(words=words):
                qemu = self.real_time(*words, inject=SLOW)
                before = self.tasks(qemu)
                qemu.qmp('cont')
                seen = []
                while self.query(qemu)['status'] == 'active':
                    seen.append(self.new_tasks(qemu, before))
                # At first and at last not all of them are at work
                workers = seen[len(seen) // 2]
                self.assertEqual(workers, [expected] * len(workers))
                self.assertEqual(len(workers), self.query(qemu)['threads'])
                self.completed(qemu)
                qemu.quit()

    def test_workers_for_what_is_owed_are_not(self):
        """These are not nicer: vCPUs do the work."""
        qemu = self.real_time(mode='on,slot-zap-all=on', machine='pc', smp=2,
                              kernel=True, wait=True)
        self.let_run(qemu)
        self.refilled(qemu)
        before = self.tasks(qemu)

        def seen():
            qemu.flip_pam()
            return (OTHER, 0) in self.new_tasks(qemu, before)
        self.until(seen, 'a worker without real time')

    def test_the_monitor_answers(self):
        """While two workers do all they can."""
        qemu = self.real_time(mem='2G')
        qemu.qmp('prefault-start')
        longest, answers = 0, 0
        while True:
            reply = qemu.qmp('query-prefault')
            if reply.value['status'] != 'active':
                break
            longest = max(longest, reply.received_ns - reply.sent_ns)
            answers += 1
        print(f'# note: {answers} answers, the longest after '
              f'{longest / 1e6:.1f} ms')
        self.assertEqual(reply.value['status'], 'completed')
        self.assertGreater(answers, ANSWERS)


if __name__ == '__main__':
    unittest.main()
