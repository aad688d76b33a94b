# SPDX-License-Identifier: GPL-2.0-or-later
"""Where memory comes from in L1, for tests of backends, nodes and limits.

Everything made here is undone at the test's end.
"""
import re
import unittest

from common import BedTest


class ResourceTest(BedTest):
    """A test that makes file systems, huge pages and cgroups in L1."""

    made = 0

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if cls.machine.kind == 'host':
            raise unittest.SkipTest('host: it changes limits of the kernel')

    def sh(self, script):
        """Run a shell script in L1; returns what it printed."""
        code, said, errors = self.machine.run('/bin/sh', '-ec', script)
        self.assertEqual(code, 0, f'{script}: {said}{errors}')
        return said

    def undo(self, script):
        """Run the script at the test's end, whatever it says."""
        self.addCleanup(self.machine.run, '/bin/sh', '-c', script)

    def new_path(self, name):
        """A path that no other test has."""
        ResourceTest.made += 1
        return self.machine.scratch(f'{name}{ResourceTest.made}')

    def tmpfs(self, mib):
        """Mount a tmpfs; returns its folder."""
        path = self.new_path('tmpfs')
        self.sh(f'mkdir {path}; mount -t tmpfs -o size={mib}M t {path}')
        self.undo(f'umount -l {path}')
        return path

    def ext4(self, mib):
        """Make and mount an ext4 on a loop device; returns its folder.

        Dirty pages are written by sync only, or when half of it is full:
        writing protects them, which takes stage-2 mappings of shared memory
        away.
        """
        self.hold_writeback()
        path = self.new_path('ext4')
        mke2fs = self.machine.tool('mke2fs')
        self.machine.load('loop')
        self.sh(f'truncate -s {mib}M {path}.img; mkdir {path}; '
                f'{mke2fs} -q -F -t ext4 -m 0 {path}.img; '
                f'mount -t ext4 -o loop {path}.img {path}')
        self.undo(f'umount {path}; rm {path}.img')
        return path

    def swap(self, mib):
        """A swap area of so many MiB; returns its path."""
        folder = self.ext4(mib + 64)
        self.sh(f'dd if=/dev/zero of={folder}/swap bs=1M count={mib} '
                f'2>/dev/null; mkswap {folder}/swap >/dev/null; '
                f'swapon {folder}/swap')
        self.undo(f'swapoff {folder}/swap; rm {folder}/swap')
        return f'{folder}/swap'

    def hold_writeback(self):
        """Nothing is written back by itself, until the test's end."""
        for knob, value in (('dirty_writeback_centisecs', 360000),
                            ('dirty_expire_centisecs', 360000),
                            ('dirty_background_ratio', 80),
                            ('dirty_ratio', 90)):
            self.knob(f'/proc/sys/vm/{knob}', value)

    def hugepages(self, count, node=None):
        """Have this many huge pages of 2 MiB; returns a hugetlbfs folder."""
        pool = ('/proc/sys/vm/nr_hugepages' if node is None else
                f'/sys/devices/system/node/node{node}'
                '/hugepages/hugepages-2048kB/nr_hugepages')
        path = self.new_path('huge')
        self.sh(f'mkdir {path}; mount -t hugetlbfs h {path}')
        self.undo(f'rm -f {path}/*; umount {path}; echo 0 > {pool}')
        self.set_pool(pool, count)
        return path

    def set_pool(self, pool, count):
        """Write the number of huge pages; the machine must have them."""
        self.sh(f'echo 1 > /proc/sys/vm/compact_memory; echo {count} > {pool}')
        self.assertEqual(int(self.machine.read(pool)), count)

    def cgroup(self, name, **limits):
        """Make a cgroup with limits, 'memory_max=...'; returns its folder.

        A name may be a path: its last part is new.
        """
        path = f'/sys/fs/cgroup/{name}'
        self.sh(f'mkdir {path}')
        self.undo(f'rmdir {path}')
        self.limit(path, **limits)
        return path

    def limit(self, path, **limits):
        """Set limits of a cgroup; '_' stands for '.' once."""
        for knob, value in limits.items():
            self.machine.write(f'{path}/{knob.replace("_", ".", 1)}',
                               str(value))

    def entering(self, path):
        """A prefix for QEMU that moves it into the cgroup first."""
        return self.shell(f'echo 0 > {path}/cgroup.procs')

    def setpriv(self, *options, user=False):
        """A prefix for QEMU: fewer rights; user: tester of /etc/passwd."""
        words = [self.machine.tool('setpriv'), '--bounding-set=-all',
                 '--inh-caps=-all', *options]
        return words + ['--reuid=1000', '--regid=1000',
                        '--clear-groups'] * user

    def vcpu_threads(self, qemu):
        """Thread ids of the vCPUs, in order."""
        return [cpu['thread-id'] for cpu in
                qemu.qmp('query-cpus-fast').value]

    def pin(self, qemu, vcpus, emulator=None):
        """As libvirt does before cont: vCPU i to CPU vcpus[i]; the rest."""
        threads = self.vcpu_threads(qemu)
        for thread, cpu in zip(threads, vcpus):
            self.sh(f'taskset -p {1 << cpu:x} {thread}')
        if emulator is not None:
            pid = qemu.process.pid
            others = set(map(int, self.sh(f'ls /proc/{pid}/task').split()))
            for thread in others - set(threads):
                self.sh(f'taskset -p {1 << emulator:x} {thread}')

    def run_once(self, qemu):
        """Run prefault, without starting the guest."""
        qemu.qmp('prefault-start')
        self.assertEqual(self.completed(qemu).data['status'], 'completed')
        info = self.query(qemu)
        self.assertEqual(info['mapped'], info['total'])
        return info

    @staticmethod
    def shell(script):
        """A prefix for QEMU: what a shell does before it becomes QEMU."""
        return ['/bin/sh', '-ec', f'{script}; exec "$0" "$@"']

    def file(self, path, mib, content=False):
        """Make a file: sparse, or with bytes that differ within 16 MiB."""
        if content:
            block = self.new_path('block')
            self.sh(f'seq 150000 > {block}0; for i in $(seq 18); do '
                    f'echo $i; cat {block}0; done > {block}; '
                    f'truncate -s 16M {block}; for i in $(seq {mib // 16}); '
                    f'do cat {block}; done > {path}; rm {block}*')
        self.sh(f'truncate -s {mib}M {path}')
        self.undo(f'rm -f {path}')

    def stat(self, qemu, field):
        """A number of /proc/PID/stat by its place there, from 1."""
        text = self.machine.read(f'/proc/{qemu.process.pid}/stat')
        return int(text.rpartition(')')[2].split()[field - 3])

    def minor_faults(self, qemu):
        """Page faults of all of QEMU's threads that took no I/O."""
        return self.stat(qemu, 10)

    def on_nodes(self, qemu, mib):
        """{host node: KiB} of QEMU's mapping with so many MiB in memory.

        A little less is allowed: the guest's ROM may hide RAM.
        """
        found = []
        for line in self.machine.read(
                f'/proc/{qemu.pid}/numa_maps').splitlines():
            page = int(re.search(r'kernelpagesize_kB=(\d+)|$', line)[1] or 0)
            nodes = {int(node): int(pages) * page for node, pages in
                     re.findall(r' N(\d+)=(\d+)', line)}
            found.append(nodes)
            if mib - 1 < sum(nodes.values()) / 1024 < mib + 2:
                return nodes
        most = sorted(found, key=lambda nodes: sum(nodes.values()))[-4:]
        return self.fail(f'no mapping with {mib} MiB, the largest: {most}')
