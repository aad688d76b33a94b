# SPDX-License-Identifier: GPL-2.0-or-later
"""Which host node memory comes from: L1 has two, with one CPU each.

Node N has CPU N here.
"""
import unittest

from common import MIB
from resources import ResourceTest

BED = {'nodes': 2}

SIZE = 64                       # MiB

# Of guests with two nodes; their own memory is of other sizes
DIMMS = (('pc-dimm', 96, 1), ('nvdimm', 160, 0))

UNPLACED = 'prefault: workers cannot be placed'
NO_AFFINITY = 'sched_setaffinity:*:errno=EPERM'
NO_POLICY = 'set_mempolicy:*:errno=EPERM'
SANDBOX = dict(extra=['-sandbox', 'on,resourcecontrol=deny'])

KINDS = ('ram', 'memfd', 'memfd,hugetlb=on',
         'file,mem-path={tmpfs}/f,share=on',
         'file,mem-path={tmpfs}/f,share=off')


class Numa(ResourceTest):

    def backed(self, backend='ram', *extra, prefault='on', **options):
        """A microvm whose memory is the backend, with -S."""
        return self.guest(prefault, '-object',
                          f'memory-backend-{backend},id=ram,size={SIZE}M',
                          *extra, mem=f'{SIZE}M',
                          machine='microvm,memory-backend=ram', **options)

    def two_nodes(self, first='ram', second='ram', *extra, machine='q35',
                  **options):
        """A q35 with two guest nodes, a vCPU each; the second is larger."""
        return self.guest(
            'on', '-object', f'memory-backend-{first},id=m0,size={SIZE}M',
            '-object', f'memory-backend-{second},id=m1,size={2 * SIZE}M',
            '-numa', 'node,cpus=0,memdev=m0', '-numa', 'node,cpus=1,memdev=m1',
            *extra, machine=machine, smp=2, mem=f'{3 * SIZE}M', **options)

    def test_dimms_follow_the_vcpus_of_their_node(self):
        """No policy: a DIMM's memory is where the vCPUs of its node= are."""
        for cpus in [0, 1], [1, 0]:
            with self.subTest(cpus=cpus):
                qemu = self.two_nodes(
                    'ram', 'ram', '-m', 'slots=2,maxmem=1G',
                    *(word for kind, mib, node in DIMMS for word in (
                        '-object', f'memory-backend-ram,id={kind},size={mib}M',
                        '-device', f'{kind},memdev={kind},node={node}')),
                    machine='q35,nvdimm=on')
                self.pin(qemu, cpus)
                self.run_once(qemu)
                for kind, mib, node in DIMMS:
                    self.assert_all_on(self.on_nodes(qemu, mib), cpus[node],
                                       f'{kind} of guest node {node}, its vCPU '
                                       f'on CPU {cpus[node]}')
                qemu.quit()

    def touched_by_guest(self, vcpus, emulator=None):
        """Where memory lands without prefault, when the guest writes it."""
        qemu = self.backed(prefault='off')
        self.pin(qemu, vcpus, emulator)
        qemu.qmp('cont')
        qemu.wait_sweep()
        nodes = self.on_nodes(qemu, SIZE)
        qemu.quit()
        return nodes

    def assert_all_on(self, nodes, node, what):
        """All of it is on the node."""
        print(f'# note: {what}: KiB by host node {nodes}')
        self.assertEqual(set(nodes), {node}, what)

    def test_bind(self):
        """On the node asked for, of every kind, wherever vCPUs are."""
        tmpfs = self.tmpfs(SIZE + 1)
        for node in 0, 1:
            self.hugepages(SIZE // 2 + 4, node)
        for kind in KINDS:
            for node in 0, 1:
                with self.subTest(kind=kind, node=node):
                    self.sh(f'rm -f {tmpfs}/f')
                    qemu = self.backed(kind.format(tmpfs=tmpfs) +
                                       f',policy=bind,host-nodes={node}')
                    self.pin(qemu, [1 - node], 1 - node)
                    self.run_once(qemu)
                    self.assert_all_on(self.on_nodes(qemu, SIZE), node,
                                       f'bind {node}, {kind}')
                    self.assertNotIn(UNPLACED, qemu.stderr)
                    qemu.quit()

    def test_preferred(self):
        qemu = self.backed('ram,policy=preferred,host-nodes=1')
        self.pin(qemu, [0], 0)
        self.run_once(qemu)
        self.assert_all_on(self.on_nodes(qemu, SIZE), 1, 'preferred 1')

    def test_interleave(self):
        """Half on each."""
        for kind in 'ram', 'memfd':
            with self.subTest(kind=kind):
                qemu = self.backed(f'{kind},policy=interleave,host-nodes=0-1')
                self.run_once(qemu)
                nodes = self.on_nodes(qemu, SIZE)
                print(f'# note: interleave, {kind}: KiB by host node {nodes}')
                # Page by page, and some of it is hidden
                self.assertAlmostEqual(nodes[0], nodes[1], delta=128)
                qemu.quit()

    def test_guest_nodes_bound_crosswise(self):
        """Each guest node has its own policy."""
        qemu = self.two_nodes('ram,policy=bind,host-nodes=1',
                              'ram,policy=bind,host-nodes=0')
        self.run_once(qemu)
        self.assert_all_on(self.on_nodes(qemu, SIZE), 1, 'guest node 0')
        self.assert_all_on(self.on_nodes(qemu, 2 * SIZE), 0, 'guest node 1')
        self.assertNotIn(UNPLACED, qemu.stderr)

    def test_guest_nodes_follow_their_vcpus(self):
        """No policy: a guest node's memory is where its vCPUs are pinned."""
        for kind in 'ram', 'memfd':
            for cpus in ([0, 1], [1, 0], [1, 1]):
                with self.subTest(kind=kind, cpus=cpus):
                    qemu = self.two_nodes(kind, kind)
                    self.pin(qemu, cpus)
                    self.run_once(qemu)
                    for node, mib in enumerate((SIZE, 2 * SIZE)):
                        self.assert_all_on(
                            self.on_nodes(qemu, mib), cpus[node],
                            f'{kind}, guest node {node}, its vCPU on CPU '
                            f'{cpus[node]}')
                    self.assertNotIn(UNPLACED, qemu.stderr)
                    qemu.quit()

    def test_memory_follows_the_vcpus(self):
        """vCPUs and emulator pinned apart: as if the guest touched it."""
        for vcpu, emulator in ((1, 0), (0, 1)):
            with self.subTest(vcpu=vcpu, emulator=emulator):
                without = self.touched_by_guest([vcpu], emulator)
                self.assert_all_on(without, vcpu,
                                   f'vCPU on {vcpu}, emulator on {emulator}, '
                                   'touched by the guest')
                qemu = self.backed()
                self.pin(qemu, [vcpu], emulator)
                self.run_once(qemu)
                self.assert_all_on(self.on_nodes(qemu, SIZE), vcpu,
                                   f'vCPU on {vcpu}, emulator on {emulator}, '
                                   'prefault')
                self.assertNotIn(UNPLACED, qemu.stderr)
                qemu.quit()

    def test_nothing_pinned(self):
        """All of it on nodes of the vCPU's CPUs: any, here."""
        without = self.touched_by_guest([])
        qemu = self.backed()
        self.run_once(qemu)
        nodes = self.on_nodes(qemu, SIZE)
        print(f'# note: nothing pinned: touched by the guest {without}, '
              f'prefault {nodes}')
        self.assertLessEqual(set(nodes), {0, 1})

    def test_qemu_on_one_node(self):
        """Started under taskset: memory, workers and all are there."""
        for cpu in 0, 1:
            with self.subTest(cpu=cpu):
                qemu = self.backed(prefix=['/bin/taskset', f'{1 << cpu:x}'])
                self.run_once(qemu)
                self.assert_all_on(self.on_nodes(qemu, SIZE), cpu,
                                   f'taskset to CPU {cpu}')
                qemu.quit()

    def test_placing_is_refused(self):
        """Workers stay, but take memory from where their place is."""
        for refusal in SANDBOX, dict(inject=NO_AFFINITY):
            with self.subTest(**refusal):
                qemu = self.refused(refusal)
                for node, mib in enumerate((SIZE, 2 * SIZE)):
                    self.assert_all_on(self.on_nodes(qemu, mib), 1 - node,
                                       f'{refusal}, guest node {node}')
                self.assertNotIn(UNPLACED, qemu.stderr)
                self.end(qemu, refusal)

    def test_memory_cannot_be_placed_either(self):
        """One warning, and the run completes."""
        refusal = dict(inject=f'{NO_AFFINITY};{NO_POLICY}')
        qemu = self.refused(refusal)
        self.assertEqual(qemu.stderr.count(UNPLACED), 1)
        self.end(qemu, refusal)

    def refused(self, refusal):
        """Two guest nodes, their vCPUs crosswise, after a run."""
        options = dict(refusal)
        qemu = self.two_nodes('ram', 'ram', *options.pop('extra', []),
                              **options)
        self.pin(qemu, [1, 0], 0)
        self.run_once(qemu)
        return qemu

    def end(self, qemu, refusal):
        """The guest runs, and what was injected happened."""
        qemu.qmp('cont')
        qemu.wait_sweep()
        if 'inject' in refusal:
            self.assert_injected(qemu)
        else:
            qemu.quit()

    def test_no_warning_where_nothing_has_to_be_placed(self):
        """The sandbox refuses, but nobody asked for anything."""
        # Or the host takes mappings of a guest that nobody has pinned
        self.knob('/proc/sys/kernel/numa_balancing', 0)
        qemu = self.backed('ram', '-sandbox', 'on,resourcecontrol=deny')
        self.run_once(qemu)
        self.assertEqual(qemu.stderr, '')
        self.assertEqual(self.query(qemu)['total'], SIZE * MIB)


if __name__ == '__main__':
    unittest.main()
