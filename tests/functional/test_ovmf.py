# SPDX-License-Identifier: GPL-2.0-or-later
"""What was mapped stays mapped after UEFI firmware, without and with SMM.

Flash turns from ROM into a device and back for every variable that OVMF writes,
and each time QEMU replaces memslots.  In the build with SMM the firmware also
cuts TSEG off the top of RAM below 4 GiB; the guest leaves that alone.
"""
import unittest

from common import BedTest, MIB, bed

# With one CPU a boot takes two thirds of the time
BED = {'uefi': True, 'smp': 1}

MIB_OF_RAM = 512
DEFAULT_TSEG = 64               # MiB, QEMU's default
SMALL_TSEG = 16                 # not a multiple of what memslots are cut at
BELOW_1_MIB = 2                 # faults
BOOT_SECONDS = 120
# Less would mean that OVMF has not written a variable
DELETIONS = 100

CODE = {'no SMM': 'OVMF_CODE_4M.fd', 'SMM': 'OVMF_CODE_4M.secboot.fd'}
SMM = ['-global', 'driver=cfi.pflash01,property=secure,value=on',
       '-global', 'ICH9-LPC.disable_s3=1']


class Ovmf(BedTest):

    def booted(self, what, prefault, variables, *extra):
        """A guest that OVMF has started: (Qemu, boots it counts)."""
        log = self.machine.scratch('memslots')
        since = self.machine.now_ns()
        qemu = self.guest(
            prefault, *self.machine.ovmf(variables, CODE[what]), '-D', log,
            '-trace', 'kvm_set_user_memory', *extra, machine=bed.OVMF_MACHINE,
            mem=f'{MIB_OF_RAM}M', kernel='guest.efi', wait=True, paused=False)
        ready = qemu.wait_text('READY', BOOT_SECONDS).ns
        deleted = self.machine.read(log).count('size=0x0 ')
        self.assertGreater(deleted, DELETIONS)
        print(f'# note: {what}, prefault={prefault}: {deleted} memslots deleted '
              f'until READY, {(ready - since) / 1e9:.1f} s')
        said = qemu.wait_text('boots=').text
        return qemu, int(said.split('=')[1])

    def swept(self, qemu, tseg=0):
        """Let the guest write all of its RAM but TSEG; (faults, huge pages).

        @tseg: its size in MiB
        """
        sweep, faults = qemu.sweep()
        huge = qemu.vm_stats()['pages_2m']
        print(f'# note: {faults} faults in {sweep.pages} pages, {huge} huge '
              'mappings')
        self.assertEqual(sweep.skipped, tseg * MIB // 4096)
        self.assertGreater(sweep.pages,
                           (MIB_OF_RAM - tseg - 1) * MIB // 4096)
        return faults, huge

    def assert_all_mapped(self, qemu, tseg=0):
        """All but TSEG is mapped huge, and written without faults.

        The first 2 MiB are cut up by what lies below 1 MiB.  With SMM KVM
        also counts the mappings that vCPUs use there.
        """
        figures = self.refilled(qemu)
        before, expected = qemu.vm_stats()['pages_2m'], MIB_OF_RAM - tseg
        faults, huge = self.swept(qemu, tseg)
        print(f'# note: {figures}')
        self.assertLessEqual(faults, BELOW_1_MIB)
        self.assertGreaterEqual(huge, expected // 2 - 1)
        self.assertEqual(huge, before)
        self.assertFalse(figures['slot-zap-all'])
        # Kept rather than mapped again with every switch of the flash
        self.assertLess(figures['refilled'], MIB_OF_RAM * MIB)

    def test_without_smm(self):
        """No fault after OVMF; without prefault there are some.

        Each boot reads from flash what the one before has written.
        """
        variables = self.machine.variables()
        qemu, boots = self.booted('no SMM', 'on', variables)
        self.assertEqual(boots, 1)
        self.assert_all_mapped(qemu)
        qemu.quit()
        qemu, boots = self.booted('no SMM', 'off', variables)
        self.assertEqual(boots, 2)
        faults, huge = self.swept(qemu)
        self.assertGreater(faults, huge)
        qemu.quit()

    def test_with_smm(self):
        """No fault outside TSEG, wherever that begins in a memslot."""
        variables = self.machine.variables()
        for boot, tseg in enumerate((DEFAULT_TSEG, SMALL_TSEG), 1):
            with self.subTest(tseg=tseg):
                qemu, boots = self.booted(
                    'SMM', 'on', variables, *SMM, '-machine', 'smm=on',
                    '-global', f'mch.extended-tseg-mbytes={tseg}')
                self.assertEqual(boots, boot)
                self.assert_all_mapped(qemu, tseg)
                qemu.quit()


if __name__ == '__main__':
    unittest.main()
