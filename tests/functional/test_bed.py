# SPDX-License-Identifier: GPL-2.0-or-later
"""The test bed itself: it boots, counts faults, and its injections happen.

Without prefault everywhere here: what these tests show is that the bed can
see the trouble which the other tests say is gone.
"""
import unittest

from common import not_on_a_host
import bed

MIB = 1 << 20
HUGE_MAPPINGS_256M = 127        # the first 2 MiB hold the BIOS alias


def setUpModule():
    not_on_a_host()
    bed.shared()


def tearDownModule():
    bed.release()


class TestBed(unittest.TestCase):
    """One test for each thing the bed promises."""

    def setUp(self):
        self.machine = bed.shared()

    def test_kvm_can_prefault(self):
        self.assertTrue(self.machine.can_prefault())

    def test_bare_program_maps_huge_pages(self):
        figures = self.machine.barefault(256)
        self.assertGreaterEqual(figures['pages_2m'], HUGE_MAPPINGS_256M)

    def test_guest_without_prefault_faults(self):
        with self.machine.guest(mem='256M') as qemu:
            sweep = qemu.wait_sweep()
            self.assertEqual(sweep.skipped, 0)
            self.assertEqual(sweep.pages, (256 * MIB - 0x60000) // 4096)
            self.assertGreater(qemu.faults(), 100)

    def test_second_sweep_does_not_fault(self):
        with self.machine.guest(wait=True) as qemu:
            qemu.wait_text('READY')
            first, faults = qemu.sweep()
            self.assertGreater(faults, 100)
            second, faults = qemu.sweep()
            self.assertEqual(faults, 0)
            self.assertEqual(first.pages, second.pages)

    def test_histogram_of_writes(self):
        """It is what median and p99 are taken from."""
        with self.machine.guest('-fw_cfg',
                                'name=opt/prefault/histogram,string=1') as qemu:
            sweep = qemu.wait_sweep()
        self.assertEqual(sum(sweep.histogram.values()), sweep.pages)
        for percent, figure in (50, sweep.median), (99, sweep.p99):
            below = sum(count for cycles, count in sweep.histogram.items()
                        if cycles < figure)
            self.assertLess(below, sweep.pages * percent / 100)
            self.assertGreaterEqual(below + sweep.histogram[figure],
                                    sweep.pages * percent / 100)

    def test_several_sweeps_at_a_go(self):
        with self.machine.guest('-fw_cfg', 'name=opt/prefault/sweeps,string=3',
                                wait=True) as qemu:
            qemu.wait_text('READY')
            qemu.sweep()
            self.assertEqual(qemu.wait_sweep(3).sweep, 3)
            self.assertEqual(qemu.sweep()[0].histogram, {})
            self.assertEqual(qemu.wait_sweep(6).sweep, 6)

    def test_pc_and_q35_run_the_guest(self):
        for name in ('pc', 'q35'):
            with self.subTest(name), self.machine.guest(machine=name) as qemu:
                self.assertEqual(qemu.wait_sweep().pages,
                                 (256 * MIB - 0x60000) // 4096)

    def test_injection_happens_and_is_counted(self):
        rule = 'ioctl:KVM_CREATE_VCPU:errno=ENOMEM'
        qemu = self.machine.guest(inject=rule, connect=False)
        self.assertNotEqual(qemu.wait_exit(), 0)
        self.assertEqual(qemu.injected()[rule], (1, 1))

    def test_prefix_runs_qemu(self):
        with self.machine.guest(prefix=['/bin/taskset', '2']) as qemu:
            status = self.machine.read(f'/proc/{qemu.process.pid}/status')
            self.assertIn('Cpus_allowed_list:\t1\n', status)

    def test_modules_on_demand(self):
        self.machine.load('loop')
        with self.assertRaisesRegex(bed.BedError, 'no module nothing'):
            self.machine.load('nothing')

    def test_bad_rule_is_refused(self):
        qemu = self.machine.guest(inject='ioctl:KVM_RUN:erno=1',
                                  connect=False)
        self.assertEqual(qemu.wait_exit(), 2)
        self.assertIn('bad rule', qemu.stderr)

    def test_times_are_of_one_clock(self):
        before = self.machine.now_ns()
        with self.machine.guest(paused=True) as qemu:
            answer = qemu.qmp('query-status')
            after = self.machine.now_ns()
        order = [before, qemu.start_ns, qemu.connected_ns, answer.sent_ns,
                 answer.received_ns, after]
        self.assertEqual(order, sorted(order))

    def test_quit_is_timed(self):
        with self.machine.guest() as qemu:
            qemu.wait_sweep()
            code, elapsed_ns = qemu.quit()
            self.assertEqual(code, 0)
            self.assertLess(elapsed_ns, 5_000_000_000)


class TestNodes(unittest.TestCase):
    """Two NUMA nodes, with a CPU and half of the memory each."""

    def test_two_nodes(self):
        machine = bed.shared(nodes=2)
        for node in 0, 1:
            folder = f'/sys/devices/system/node/node{node}'
            self.assertEqual(machine.read(f'{folder}/cpulist'), f'{node}\n')
            text = machine.read(f'{folder}/meminfo')
            total = int(text.split('MemTotal:')[1].split()[0])
            self.assertAlmostEqual(total / (2 << 20), 1, delta=0.1)


if __name__ == '__main__':
    unittest.main(verbosity=2)
