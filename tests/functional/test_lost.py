# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host takes all the same is noticed, and mapped again."""
import unittest

from common import MIB, NX_HUGE_PAGES, THP
from keeping import BALANCING, KeepTest, LITTLE, SIZE, SPLIT

BED = {'nodes': 2}


class Lost(KeepTest):
    """The guest is idle meanwhile."""

    def setUp(self):
        super().setUp()
        self.knob(BALANCING, 0)

    def test_moved_to_another_node(self):
        """By a cpuset that changes."""
        path = self.cgroup('mems')
        self.sh('echo +cpuset > /sys/fs/cgroup/cgroup.subtree_control; '
                f'echo 0 > {path}/cpuset.mems')
        qemu = self.vm('on', prefix=self.entering(path))
        for node in 1, 0:
            self.assert_comes_back(
                qemu, f'memory moves to node {node}',
                lambda n=node: self.machine.write(f'{path}/cpuset.mems',
                                                  str(n)),
                lambda n=node: set(self.on_nodes(qemu, SIZE)) == {n})

    def test_page_tables_dropped(self):
        """KVM drops all of a guest's when its nx_huge_pages is turned."""
        qemu = self.vm('on')
        self.knob(NX_HUGE_PAGES, 'N')
        self.assert_comes_back(
            qemu, 'nx_huge_pages=force',
            lambda: self.machine.write(NX_HUGE_PAGES, 'force'))

    def small(self, mib, **how):
        """A guest that has written all its memory, in small pages."""
        self.knob(f'{THP}/enabled', 'never')
        qemu = self.vm('on', mib=mib, **how)
        qemu.sweep()
        return qemu

    def test_split_and_collapsed(self):
        """The host splits huge pages, and khugepaged makes new ones."""
        self.let_khugepaged_rest()
        qemu = self.vm('on', mib=LITTLE)
        # What is zero Linux gives up when it splits a page: below 1 MiB
        qemu.sweep()
        self.assert_comes_back(qemu, 'huge pages are split',
                               lambda: self.machine.write(SPLIT, '1'),
                               rest=MIB)
        self.knob(f'{THP}/khugepaged/alloc_sleep_millisecs', 10)
        self.knob(f'{THP}/khugepaged/pages_to_scan', 100000)
        self.assert_comes_back(
            qemu, 'khugepaged',
            lambda: self.knob(f'{THP}/khugepaged/scan_sleep_millisecs', 10),
            lambda: qemu.vm_stats()['pages_2m'] >= LITTLE // 2 - 2, rest=MIB)

    def test_swapped_in(self):
        """Swapped out, and in again before the guest touches it."""
        area = self.swap(2 * LITTLE)
        path = self.cgroup('swapped')
        qemu = self.small(LITTLE, prefix=self.entering(path))

        def out_and_in():
            self.reclaim(path, LITTLE // 2)
            self.until(lambda: self.retention(qemu)['lost'], 'out')
            self.sh(f'swapoff {area}')
        self.assert_comes_back(qemu, 'swapped out and in', out_and_in)

    def test_compaction(self):
        """It moves small pages."""
        for qemu in self.compacted('on'):
            if self.retention(qemu)['lost']:
                self.refilled(qemu)
                self.assert_none_is_missing(qemu, 'compaction')
                return
        self.fail('compaction moved nothing')


if __name__ == '__main__':
    unittest.main()
