# SPDX-License-Identifier: GPL-2.0-or-later
"""What it is all for: a guest that writes every page takes no stage-2 fault."""
import unittest

from prefaultlib.build import linux

from common import BedTest

# Guest memory in huge pages, less the first one, which holds the BIOS alias
HUGE_AT_256M = 127

BACKENDS = ('memfd', 'file,mem-path=/dev/shm/shared,share=on',
            'file,mem-path=/dev/shm/private,share=off')

GUESTS = (('256M', 1), ('256M', 4), ('2G', 1), ('2G', 4))


class FirstWrites(BedTest):

    def sweep(self, qemu):
        """Start the guest, let it write all of its RAM; returns the Sweep."""
        qemu.qmp('cont')
        return qemu.wait_sweep()

    def faults(self, prefault, mem, smp):
        """Faults of one guest that writes all of its RAM."""
        qemu = self.guest(prefault, mem=mem, smp=smp)
        sweep = self.sweep(qemu)
        self.assertGreater(sweep.pages, 0)
        taken = qemu.vcpu_stats()['pf_taken']
        print(f'# note: prefault={prefault}, {mem}, {smp} vCPU: {taken} faults '
              f'in {sweep.pages} pages, first write p99 {sweep.p99} cycles')
        qemu.quit()
        return taken

    def test_no_fault(self):
        for mem, smp in GUESTS:
            with self.subTest(mem=mem, smp=smp):
                self.assertEqual(self.faults('on', mem, smp), 0)

    def test_faults_without_prefault(self):
        """The measurement sees faults where there are some."""
        for smp in 1, 4:
            with self.subTest(smp=smp):
                self.assertGreater(self.faults('off', '256M', smp),
                                   HUGE_AT_256M)

    def test_no_fault_on_other_backends(self):
        for backend in BACKENDS:
            with self.subTest(backend=backend):
                qemu = self.guest('on', '-object',
                                  f'memory-backend-{backend},id=ram,size=256M',
                                  machine='microvm,memory-backend=ram')
                self.sweep(qemu)
                taken = qemu.vcpu_stats()['pf_taken']
                print(f'# note: {backend}: {taken} faults')
                self.assertEqual(taken, 0)
                qemu.quit()

    def test_faults_with_the_ioctl_alone(self):
        """Without populating first, mapping in advance is no use."""
        qemu = self.guest(inject='madvise:MADV_POPULATE_WRITE:errno=0',
                          mem='64M')
        sweep = self.sweep(qemu)
        if linux.bed_series() == linux.SERIES:
            self.assertGreater(qemu.faults(), sweep.pages // 2)
            # On a slow host khugepaged gets to some of it
            self.assertLess(qemu.vm_stats()['pages_2m'], HUGE_AT_256M // 8)
        else:                   # 6.18: one for each huge page, as without any
            self.assertGreaterEqual(qemu.faults(), 64 // 2 - 2)
        self.assert_injected(qemu)

    def test_huge_mappings_before_the_guest_runs(self):
        """What the guest meets was mapped huge, before its first exit."""
        qemu = self.guest(inject='ioctl:KVM_RUN:count=1:delay-ms=3000')
        qemu.qmp('cont')
        self.completed(qemu)
        huge = qemu.vm_stats()['pages_2m']
        print(f'# note: {huge} huge mappings at 256M when the run ends')
        self.assertEqual(huge, HUGE_AT_256M)
        self.assertEqual(qemu.vcpu_stats()['exits'], 0)
        self.assert_injected(qemu)


if __name__ == '__main__':
    unittest.main()
