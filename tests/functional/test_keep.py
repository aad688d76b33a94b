# SPDX-License-Identifier: GPL-2.0-or-later
"""Mappings that the host would take: it is kept from that.

L1 has two nodes with a CPU each, and NUMA balancing is on, as on any such host.
"""
import unittest

from common import MIB, THP
from keeping import BALANCING, FEW, KeepTest, SIZE

BED = {'nodes': 2}

LEAST = 32                      # MiB, several times what is QEMU's own

WARNING = "prefault: the host's NUMA balancing takes mappings of"


class Balancing(KeepTest):

    def test_off(self):
        """What the host does if nobody keeps it from that."""
        qemu = self.vm('off')
        before = qemu.faults()
        self.sweeps(qemu, 'keep=off')
        self.sweeps_until(qemu, lambda: qemu.faults() - before > FEW,
                          'balanced')
        self.assertEqual(self.retention(qemu)['lost'], 0)

    def test_on(self):
        qemu = self.vm('on')
        self.assertLessEqual(self.sweeps(qemu, 'keep=on'), FEW)
        self.assertNotIn('balanced', self.query(qemu))
        self.assertNotIn(WARNING, qemu.stderr)

    def test_auto_pinned(self):
        qemu = self.vm(cpus=[1])
        self.assertLessEqual(self.sweeps(qemu, 'auto, pinned'), FEW)
        self.assertNotIn('balanced', self.query(qemu))
        self.assertNotIn(WARNING, qemu.stderr)

    def test_other_backends(self):
        """Shared memory is balanced, too."""
        folder = self.tmpfs(SIZE + 1)
        for backend in 'memfd', f'file,mem-path={folder}/f,share=on':
            with self.subTest(backend=backend):
                qemu = self.vm('on', backend)
                self.assertLessEqual(
                    self.sweeps(qemu, f'keep=on, {backend}'), FEW)
                qemu.quit()

    def test_sandbox(self):
        """One that forbids to place threads."""
        qemu = self.vm('on', 'ram', '-sandbox', 'on,resourcecontrol=deny')
        self.assertLessEqual(self.sweeps(qemu, 'keep=on, sandbox'), FEW)
        self.assertNotIn('balanced', self.query(qemu))

    def test_memory_on_both_nodes(self):
        """Auto: each guest node's vCPU is confined to one host node."""
        sizes = SIZE // 4, SIZE * 3 // 4
        words = []
        for node, mib in enumerate(sizes):
            words += ['-object', f'memory-backend-ram,id=m{node},size={mib}M',
                      '-numa', f'node,memdev=m{node},cpus={node}']
        qemu = self.guest('on', *words, mem=f'{SIZE}M', smp=2, wait=True,
                          machine='pc', kernel=True)
        self.pin(qemu, [0, 1])
        self.let_run(qemu)
        self.refilled(qemu)
        self.assertLessEqual(
            self.sweeps(qemu, 'auto, pinned, two guest nodes'), FEW)
        for node, mib in enumerate(sizes):
            nodes = self.on_nodes(qemu, mib)        # what QEMU loaded may be
            self.assertEqual(max(nodes, key=nodes.get), node)   # elsewhere
        self.assertNotIn('balanced', self.query(qemu))

    def test_auto_floating(self):
        """The sentence, and what is lost is mapped again."""
        qemu = self.vm()
        self.assertIn(WARNING, qemu.stderr)
        self.assertGreaterEqual(self.query(qemu)['balanced'], SIZE * MIB)
        self.assert_hmp_says(qemu, r'NUMA balancing works on \d+ KiB')
        self.sweeps(qemu, 'auto, floating')
        self.sweeps_until(qemu, lambda: self.retention(qemu)['remapped'],
                          'balanced, noticed and mapped again')
        print(f'# note: floating: {self.retention(qemu)}')


class Known(KeepTest):
    """A reset does not walk what is known to be mapped."""

    def test_what_was_lost_is_walked(self):
        """A file loses its pages behind QEMU's back, right before a reset."""
        self.knob(BALANCING, 0)
        folder = self.tmpfs(SIZE + 1)
        qemu = self.vm('on', f'file,mem-path={folder}/f,share=on')
        self.sh(f'truncate -s 16M {folder}/f; truncate -s {SIZE}M {folder}/f')
        since = qemu.qmp('system_reset').sent_ns
        done = self.completed(qemu, since).data
        self.assertEqual(done['status'], 'completed')
        self.assertIn(f'{SIZE}', self.sh(f'du -m {folder}/f'))
        self.until(lambda: qemu.debugcon.count('READY') > 1, 'reset')
        self.assertEqual(qemu.sweep()[1], 0)


class Merging(KeepTest):
    """KSM; the guest's pages are all alike."""

    def merged(self, keep):
        """(pages that KSM has merged, faults of a sweep after that)."""
        self.knob(BALANCING, 0)
        self.knob(f'{THP}/enabled', 'never')
        qemu = self.vm(keep, mib=LEAST)
        qemu.sweep()
        merged = self.merge_all(qemu)
        faults = qemu.sweep()[1]
        print(f'# note: keep={keep}: KSM has merged {merged} pages, {faults} '
              'faults in a sweep')
        return merged, faults

    def test_on(self):
        merged, faults = self.merged('on')
        self.assertLess(merged, 1024)           # of QEMU's own
        self.assertEqual(faults, 0)

    def test_off(self):
        merged, faults = self.merged('off')
        self.assertGreater(merged, LEAST * MIB // 4096 // 2)
        self.assertGreater(faults, LEAST * MIB // 4096 // 2)


if __name__ == '__main__':
    unittest.main()
