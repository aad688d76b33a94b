# SPDX-License-Identifier: GPL-2.0-or-later
"""What it is all for, on Intel's nested paging: no fault in a guest that writes
all its memory, after firmware and a reset too.

Few guests, and small ones: the bed takes seconds to start each.
"""
import unittest

from common import BedTest, MIB, NX_HUGE_PAGES, bed

MIB_OF_RAM = 128
# Guest memory in huge pages, less the first one, which holds what firmware has
HUGE = MIB_OF_RAM // 2 - 1


class Ept(BedTest):

    kind = bed.IntelMachine

    def ready(self, prefault, machine='microvm', *extra, more=''):
        """A guest that halts before it writes: SeaBIOS starts it on pc and q35.

        more: of -m
        """
        return self.running(prefault, *extra, machine=machine,
                            mem=f'{MIB_OF_RAM}M{more}',
                            kernel=machine != 'microvm')

    def faults(self, qemu, what):
        """Faults while the guest writes all of its RAM."""
        sweep, faults = qemu.sweep()
        print(f'# note: EPT, {what}: {faults} faults in {sweep.pages} pages, '
              f'{qemu.vm_stats()["pages_2m"]} huge mappings')
        self.assertGreater(sweep.pages, (MIB_OF_RAM - 1) * MIB // 4096)
        return faults

    def test_microvm(self):
        qemu = self.ready('on')
        self.assertEqual(qemu.vm_stats()['pages_2m'], HUGE)
        self.assertEqual(self.faults(qemu, 'microvm'), 0)

    def test_faults_without_prefault(self):
        """The measurement sees faults where there are some."""
        for machine in 'microvm', 'q35':
            with self.subTest(machine=machine):
                qemu = self.ready('off', machine)
                self.assertGreater(
                    self.faults(qemu, f'{machine}, prefault=off'), HUGE)
                qemu.quit()

    def test_nx_huge_pages(self):
        """A host that does not let guests run code in huge pages."""
        self.knob(NX_HUGE_PAGES, 'force')
        self.assertEqual(self.faults(self.ready('on'),
                                     'microvm, nx_huge_pages=force'), 0)

    def test_execution(self):
        """That is what such a host's guests exit for: told, and counted."""
        execute = '-fw_cfg', 'name=opt/prefault/execute,string=1'
        self.knob(NX_HUGE_PAGES, 'N')
        qemu = self.ready('on', 'microvm', *execute)
        self.assertNotIn('exits', self.query(qemu))
        self.assertEqual(self.faults(qemu, 'executes'), 0)
        qemu.quit()
        self.knob(NX_HUGE_PAGES, 'force')
        qemu = self.ready('on', 'microvm', *execute)
        self.assertEqual(self.query(qemu)['exits'], ['execution'])
        self.assertEqual(self.faults(qemu, 'executes, nx_huge_pages=force'),
                         HUGE)

    def test_recovery(self):
        """What nx_huge_pages has split is dropped by KVM, and mapped again."""
        self.knob(NX_HUGE_PAGES, 'force')
        qemu = self.ready('on', 'microvm', '-fw_cfg',
                          'name=opt/prefault/execute,string=1')
        self.faults(qemu, 'before the recovery')

        def recover():
            self.knob(f'{NX_HUGE_PAGES}_recovery_ratio', 1)
            self.knob(f'{NX_HUGE_PAGES}_recovery_period_ms', 5000)
        self.assert_mapped_again(qemu, 'EPT, nx_huge_pages\' recovery', recover)

    def test_plugged(self):
        """A DIMM is mapped behind the running guest."""
        qemu = self.ready('on', 'q35', more=',slots=2,maxmem=1G')
        self.refilled(qemu)
        before = self.query(qemu)['mapped-now']
        qemu.qmp('object-add', qom_type='memory-backend-ram', id='mem',
                 size=MIB_OF_RAM * MIB)
        qemu.qmp('device_add', driver='pc-dimm', id='more', memdev='mem')
        self.until(lambda: not self.query(qemu)['owed'], 'mapped')
        grown = self.query(qemu)['mapped-now'] - before
        print(f'# note: EPT, {MIB_OF_RAM} MiB plugged: {grown >> 20} MiB more '
              f'are mapped')
        self.assertGreater(grown, (MIB_OF_RAM - 2) * MIB)

    def test_lost_and_mapped_again(self):
        """KVM drops all page tables of a running guest."""
        qemu = self.ready('on')
        self.assert_comes_back(
            qemu, 'EPT, nx_huge_pages=force',
            lambda: self.knob(NX_HUGE_PAGES, 'force'))

    def test_pc(self):
        """No fault after SeaBIOS, which replaces memslots of RAM."""
        figures = self.assert_all_mapped(self.ready('on', 'pc'), MIB_OF_RAM,
                                         'EPT, SeaBIOS, pc')
        self.assertFalse(figures['slot-zap-all'])

    def test_q35_and_its_reset(self):
        """The same, and again after a reset."""
        qemu = self.ready('on', 'q35')
        self.assert_all_mapped(qemu, MIB_OF_RAM, 'EPT, SeaBIOS, q35')
        since = qemu.qmp('system_reset').sent_ns
        self.assertEqual(self.completed(qemu, since).data['status'],
                         'completed')
        self.until(lambda: qemu.debugcon.count('READY') == 2, 'started again')
        self.assert_all_mapped(qemu, MIB_OF_RAM, 'EPT, q35 after a reset')

    def test_all_is_dropped(self):
        """The quirk in force: an idle guest gets all of it back."""
        figures = self.assert_all_mapped(
            self.ready('on,slot-zap-all=on', 'pc'), MIB_OF_RAM,
            'EPT, SeaBIOS, pc, slot-zap-all=on')
        self.assertTrue(figures['slot-zap-all'])
        self.assertGreaterEqual(figures['refilled'], (MIB_OF_RAM - 1) * MIB)


if __name__ == '__main__':
    unittest.main()
