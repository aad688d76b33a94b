# SPDX-License-Identifier: GPL-2.0-or-later
"""Private memory is mapped before the guest touches it, and after conversions."""
import re
import unittest

from common import MIB, RUN_SECONDS, takes_qemu
from private import PrivateTest
import bed

BED = {'private': True}

PRIVATE = 16                    # KVM_MAP_GPA_RANGE_ENCRYPTED
KIB = 1 << 10
# The converting guest keeps its page tables in shared memory
OWN_BYTES = 72 * KIB


class FirstWrites(PrivateTest):

    def faults(self, state, prefault):
        """Stage-2 faults while a guest of 256 MiB writes to each page."""
        qemu = self.private_running(state, mem='256M', prefault=prefault)
        sweep, faults = qemu.sweep()
        print(f'# note: {state}, prefault={prefault}: {faults} faults in '
              f'{sweep.pages} pages, {sweep.total} cycles')
        self.assertGreater(sweep.pages, 65400)
        return faults

    def test_private(self):
        self.assertGreater(self.faults('private', 'off'), 65000)
        self.assertLessEqual(self.faults('private', 'on'), 8)

    def test_shared(self):
        self.assertGreater(self.faults('shared', 'off'), 100)
        self.assertLessEqual(self.faults('shared', 'on'), 8)

    def test_event_and_query_agree(self):
        """Of private memory that nobody can map, for instance."""
        qemu = self.private('private', wait=True, prefault='auto',
                            inject='ioctl:KVM_CHECK_EXTENSION/236:return=0')
        qemu.qmp('cont')
        done = self.completed(qemu).data
        info = self.query(qemu)
        self.assertEqual((done['total'], done['mapped']),
                         (info['total'], info['mapped']))
        self.assertGreater(info['skipped'], 0)

    def test_told_apart(self):
        """Firmware's memory is shared, the rest is private; all is mapped."""
        qemu = self.private_running('private')
        figures = self.query(qemu)
        self.assertEqual(figures['total'], 64 * MIB)
        self.assertEqual(figures['mapped'], 64 * MIB)
        self.assertEqual(figures['private'], 64 * MIB - 64 * KIB)
        self.assertEqual(figures['private-mapped'], figures['private'])
        self.assertEqual(figures['populated'], 64 * KIB)
        qemu = self.private_running('shared')
        figures = self.query(qemu)
        self.assertEqual(figures['populated'], 64 * MIB)
        self.assertNotIn('private', figures)

    def test_behind_the_guest(self):
        """It runs meanwhile.  All of it is told apart as before the start."""
        qemu = self.private('private', wait=True, prefault='background')
        qemu.qmp('cont')
        self.assertEqual(self.completed(qemu).data['status'], 'completed')
        figures = self.query(qemu)
        self.assertEqual(figures['mapped'], 64 * MIB)
        self.assertEqual(figures['private'], 64 * MIB - 64 * KIB)
        self.assertEqual(figures['private-mapped'], figures['private'])
        self.assertEqual(figures['owed'], 0)
        qemu.wait_text('READY', RUN_SECONDS)
        self.assertLessEqual(qemu.sweep()[1], 8)

    def test_plugged(self):
        """A DIMM, into a guest that runs."""
        for state in 'private', 'shared':
            with self.subTest(state=state):
                qemu = self.private_running(state, machine='pc',
                                            mem='64M,slots=2,maxmem=1G')
                before = self.query(qemu)['mapped-now']
                qemu.qmp('object-add', qom_type='memory-backend-ram',
                         id='mem', size=64 * MIB)
                qemu.qmp('device_add', driver='pc-dimm', id='dimm',
                         memdev='mem')
                self.until(lambda: self.query(qemu)['mapped-now'] >=
                           before + 63 * MIB, 'mapped')
                self.until(lambda: not self.query(qemu)['owed'], 'at rest')
                qemu.quit()

    @takes_qemu('11.1')
    def test_not_plugged_in(self):
        """virtio-mem decides as well: what it has not plugged is left alone."""
        for state in 'private', 'shared':
            with self.subTest(state=state):
                qemu = self.private(
                    state, '-object', 'memory-backend-ram,id=mem,size=128M',
                    '-device', 'virtio-mem-pci,memdev=mem,requested-size=0',
                    machine='pc', mem='64M,maxmem=1G')
                qemu.qmp('cont')
                self.assertEqual(self.completed(qemu).data['status'],
                                 'completed')
                info = self.query(qemu)
                skips = {skip['reason']: skip['bytes']
                         for skip in info['skips']}
                print(f'# note: virtio-mem, {state}: {info["mapped"]} mapped, '
                      f'{skips}')
                self.assertGreaterEqual(skips['discard-manager'], 128 * MIB)
                self.assertLess(info['mapped'], 80 * MIB)
                qemu.quit()

    def test_auto_cancelled(self):
        """What a cancelled run left is faulted in, nothing else is different."""
        qemu = self.private('private', wait=True, prefault='auto', inject=
                            'ioctl:KVM_PRE_FAULT_MEMORY:delay-ms=100')
        qemu.qmp('cont')
        qemu.qmp('prefault-cancel')
        self.resumed(qemu)
        qemu.wait_text('READY', RUN_SECONDS)
        self.assertEqual(self.query(qemu)['status'], 'cancelled')
        _, faults = qemu.sweep()
        self.assertGreater(faults, 8)


class Firmware(PrivateTest):

    def test_shared_memory_boots(self):
        """SeaBIOS and a kernel, as they are, with RAM that begins shared."""
        for machine in 'pc', 'q35':
            with self.subTest(machine=machine):
                qemu = self.private_running('shared', machine=machine,
                                            kernel=True)
                self.assert_all_mapped(qemu, 64, f'{machine}, begins shared')
                self.assert_reset_mends(qemu)
                self.assert_all_mapped(qemu, 64, f'{machine}, after a reset')


class Converting(PrivateTest):

    def converting(self, state='private', machine='pc', mem='256M', cpus=1,
                   **files):
        """A converting guest that waits for go()."""
        qemu = self.private(state, *bed.convert(**files), wait=True,
                                 machine=machine, mem=mem, bios='convert.bin',
                                 smp=cpus)
        self.let_run(qemu)
        return qemu


class MapChanges(Converting):
    """Firmware switches the last 64 KiB below 1 MiB between RAM and ROM."""

    def test_rom_takes_the_place_of_private_memory(self):
        """The guest's code in ROM can be run again."""
        qemu = self.converting(one=f'{16 * MIB},1,0')
        qemu.flip_pam()
        qemu.go()
        self.assertEqual(qemu.conversions('request')[0]['result'], 0)

    def test_conversion_survives(self):
        """A memslot that comes back has the state that its pages had: the one
        before these 64 KiB is joined with them, and parted again."""
        page = 0xe8000
        qemu = self.converting(one=f'{page},1,0', touch=page)
        qemu.go()
        qemu.go()
        qemu.flip_pam()
        qemu.go()
        touched = qemu.conversions('touch')[-1]
        self.assertEqual(touched['value'], touched['wanted'])


class Conversions(Converting):

    def convert_and_touch(self, qemu):
        """A request, and the guest's writing to its pages: what that took."""
        qemu.go()
        before = qemu.faults()
        self.converted(qemu)
        qemu.go()
        request, touched = (qemu.conversions(name)[-1]
                            for name in ('request', 'touched'))
        self.assertEqual(request['result'], 0)
        faults = qemu.faults() - before
        print(f"# note: {request['pages']} pages, flags {request['flags']}: "
              f"{request['cycles']} cycles, touched in {touched['cycles']} "
              f'cycles with {faults} faults')
        return faults

    def both_ways(self, start, mib, mem):
        size = mib * MIB
        pages = size // 4096
        qemu = self.converting(mem=mem, one=f'{start},{pages},0,1;'
                                            f'{start},{pages},{PRIVATE},1')
        for way in 'shared', 'private':
            with self.subTest(mib=mib, to=way):
                self.assertEqual(self.convert_and_touch(qemu), 0)
        self.converted(qemu, to_shared_bytes=size + OWN_BYTES,
                       to_private_bytes=size, failures=0, kept=0)

    def test_4_mib(self):
        self.both_ways(16 * MIB + 4096, 4, '256M')

    def test_512_mib(self):
        self.both_ways(64 * MIB + 4096, 512, '640M')

    def test_prefaulted_at_once(self):
        """The guest touches it right after the hypercall."""
        qemu = self.private('private', *bed.convert(
            one=f'{16 * MIB},64,0,1;{16 * MIB},64,{PRIVATE},1'),
            bios='convert.bin')
        qemu.qmp('cont')
        qemu.wait_text('DONE', RUN_SECONDS)
        self.assertEqual(len(qemu.conversions('touched')), 2)
        self.assertEqual(qemu.faults(), 0)

    def test_across_the_hole(self):
        """One request for the end of low RAM, the hole and high RAM."""
        low, high = 256 * MIB, 1 << 32
        start, end = low - 8 * MIB, high + 8 * MIB
        pages = (end - start) // 4096
        qemu = self.converting(machine='q35,max-ram-below-4g=256M', mem='512M',
                               one=f'{start},{pages},0;'
                                   f'{start},{pages},{PRIVATE}')
        qemu.go()
        qemu.go()
        self.assertEqual([one['result'] for one in
                          qemu.conversions('request')], [0, 0])
        self.converted(qemu, to_private_bytes=16 * MIB, failures=0,
                       to_shared_bytes=16 * MIB + OWN_BYTES)

    def test_dma(self):
        """What QEMU's fw_cfg writes arrives in shared memory, and only there."""
        for state in 'private', 'shared':
            with self.subTest(state=state):
                qemu = self.converting(state, dma=1, message='hello')
                qemu.go()
                self.assertEqual(qemu.conversions('dma'), [
                    {'dma': 1, 'result': 0, 'bytes': 5, 'wrong': 0, 'kept': 0,
                     'leak': 0}])

    def test_bad_requests(self):
        """The message has all of it; a reset mends the guest."""
        for gpa, pages, flags, size, region, problem in (
                (64 * MIB, (1 << 52) + 1, PRIVATE, (1 << 52) + 1, 'pc.ram',
                 'more pages (given as size) than there are addresses'),
                (64 * MIB, 2, 32, 8192, 'pc.ram', 'unknown flags'),
                (3 << 30, 16, PRIVATE, 65536, 'none',
                 'there is no memory that can be private')):
            with self.subTest(pages=pages, flags=flags):
                qemu = self.converting(one=f'{gpa},{pages},{flags}')
                qemu.qmp('inject-nmi')
                self.assert_stopped(
                    qemu, f'KVM_HC_MAP_GPA_RANGE: guest address {gpa:#x}, size '
                    f"{size:#x}, flags {flags:#x}, memory region '{region}': "
                    f'{problem}')
                self.converted(qemu, failures=1)
                self.assert_reset_mends(qemu)

    def test_again_and_again(self):
        """A page that never comes to rest is named once in a while."""
        qemu = self.converting(storm=1500, max=1, window=1)
        qemu.go(timeout=RUN_SECONDS)
        self.assertRegex(qemu.stderr, 'warning: guest address 0x[0-9a-f]+ was '
                         'converted between private and shared 1000 times in '
                         '10 seconds')
        self.assertEqual(qemu.stderr.count('was converted'), 1)

    def allocated(self, qemu, mib):
        """What the host has of the guest's RAM: private bytes, shared bytes.

        A guest_memfd's st_blocks is always 0 in Linux 6.12; its pages are the
        page cache's that are no tmpfs.
        """
        cache = dict(re.findall(r'^(\w+): +(\d+) kB', self.machine.read(
            '/proc/meminfo'), re.M))
        smaps = self.machine.run('/bin/cat',
                                 f'/proc/{qemu.process.pid}/smaps')[1]
        shared = re.findall(rf'^Size: +{mib << 10} kB\n(?:.*\n){{2}}'
                            r'Rss: +(\d+) kB', smaps, re.M)
        return ((int(cache['Cached']) - int(cache['Shmem'])) * KIB,
                sum(map(int, shared)) * KIB)

    def storm(self, **files):
        """A guest that converted and checked from all CPUs, and how often.

        In the bed a vCPU triple-faults once in some 50,000 conversions, with
        prefault=off too (docs/testing.md): once is no news.
        """
        for _ in range(2):
            qemu = self.converting(machine='q35,max-ram-below-4g=256M',
                                   mem='512M', cpus=4, hole=1, **files)
            qemu.go(timeout=RUN_SECONDS)
            if 'RESET' not in [event.name for event in qemu.events]:
                break
            print('# note: the guest was reset; once more')
        results = qemu.conversions('storm')
        self.assertEqual(len(results), 4)
        self.assertEqual(qemu.conversions('mismatch'), [])
        for result in results:
            self.assertGreater(result['erased'], 100)
            for wrong in 'failures', 'stale', 'lost', 'foreign':
                self.assertEqual(result[wrong], 0, wrong)
        return qemu, sum(result['conversions'] for result in results)

    def test_storm(self):
        """4 vCPUs convert at the same time: no data is lost, nothing leaks."""
        qemu, done = self.storm(storm=500, max=64)
        figures = self.converted(qemu)
        is_shared = figures['to-shared-bytes'] - figures['to-private-bytes']
        private, shared = self.allocated(qemu, 512)
        print(f'# note: {done} conversions; {is_shared >> 10} KiB are shared; '
              f'allocated {private >> 10} KiB of private memory, '
              f'{shared >> 10} KiB of shared')
        self.assertEqual(done, 2000)
        self.assertAlmostEqual(private, 512 * MIB - is_shared, delta=MIB)
        self.assertGreaterEqual(shared, is_shared)


if __name__ == '__main__':
    unittest.main()
