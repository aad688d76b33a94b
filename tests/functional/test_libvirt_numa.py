# SPDX-License-Identifier: GPL-2.0-or-later
"""libvirt pins before memory is touched: on which node it lands.

L1 has two nodes with one CPU each: node N has CPU N.
"""
import unittest

from domains import LibvirtTest
from resources import ResourceTest

BED = {'libvirt': True, 'nodes': 2}

SIZE = 64                       # MiB
PINNED = '''<cputune>{vcpus}<emulatorpin cpuset='{emulator}'/></cputune>'''
STRICT = "<numatune><memory mode='strict' nodeset='{}'/></numatune>"
CELLS = '''<numatune>
  <memnode cellid='0' mode='strict' nodeset='{}'/>
  <memnode cellid='1' mode='strict' nodeset='{}'/>
</numatune>'''
TWO_CELLS = f'''<numa>
  <cell id='0' cpus='0' memory='{SIZE}' unit='MiB'/>
  <cell id='1' cpus='1' memory='{2 * SIZE}' unit='MiB'/>
</numa>'''
UNPLACED = 'workers cannot be placed'
# QEMU's main thread writes to one huge page itself before the guest is started
OF_QEMU = 2048


def pinned(emulator, *vcpus):
    """XML: the emulator and each vCPU on a CPU."""
    return PINNED.format(emulator=emulator, vcpus=''.join(
        f"<vcpupin vcpu='{vcpu}' cpuset='{cpu}'/>"
        for vcpu, cpu in enumerate(vcpus)))


class Numa(LibvirtTest, ResourceTest):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The kernel would move pages to the CPUs that use them
        cls.machine.write('/proc/sys/kernel/numa_balancing', '0')

    def ready(self, name, extra, **parts):
        """A domain whose memory is ready; its guest has hardly run."""
        domain = self.started(name, extra=extra, **parts)
        self.assertEqual(domain.stats('prefault')['prefault.status'],
                         'completed')
        return domain

    def assert_on(self, domain, mib, node, what, other_kib=0):
        """The memory of this size is on the node, but for other_kib at most."""
        nodes = self.on_nodes(domain, mib)
        print(f'# note: {what}: KiB by host node {nodes}')
        self.assertLessEqual(sum(nodes.values()) - nodes.get(node, 0),
                             other_kib, what)

    def test_strict(self):
        """On the node asked for, though all threads are pinned to the other."""
        for node in 0, 1:
            with self.subTest(node=node):
                domain = self.ready(f'strict{node}', STRICT.format(node) +
                                    pinned(1 - node, 1 - node))
                self.assert_on(domain, SIZE, node, f'numatune strict {node}')
                self.assertNotIn(UNPLACED, domain.log)
                domain.end()

    def test_cells(self):
        """Each guest cell on its own node, crosswise to its vCPU."""
        domain = self.ready('cells', CELLS.format(1, 0) + pinned(0, 0, 1),
                            mem=3 * SIZE, vcpus=2, numa=TWO_CELLS)
        self.assert_on(domain, SIZE, 1, 'cell 0, memnode 1')
        self.assert_on(domain, 2 * SIZE, 0, 'cell 1, memnode 0')

    def test_pinned_to_one_node(self):
        """No policy: memory is where the threads are."""
        for node in 0, 1:
            with self.subTest(node=node):
                domain = self.ready(f'pinned{node}', pinned(node, node))
                self.assert_on(domain, SIZE, node,
                               f'vcpupin and emulatorpin {node}')
                domain.end()

    def test_pinned_apart(self):
        """No policy: memory is where the guest would have put it.

        Though the sandbox and the cgroups that libvirt puts QEMU into do not
        let its workers run there.
        """
        off = self.running('without', 'off', extra=pinned(0, 1))
        self.sweep_of(off, 'pinned apart, prefault off')
        self.assert_on(off, SIZE, 1, 'vcpupin 1, emulatorpin 0, touched by '
                       'the guest', OF_QEMU)
        off.end()
        domain = self.ready('apart', pinned(0, 1))
        self.assert_on(domain, SIZE, 1, 'vcpupin 1, emulatorpin 0, prefault',
                       OF_QEMU)
        self.assertNotIn(UNPLACED, domain.log)


if __name__ == '__main__':
    unittest.main()
