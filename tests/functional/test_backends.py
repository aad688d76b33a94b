# SPDX-License-Identifier: GPL-2.0-or-later
"""Every kind of memory backend: populated, mapped, and its content kept."""
import unittest

from common import MIB
from resources import ResourceTest

SIZE = 32                       # MiB of the backends here
CONTENT = 16                    # MiB of those that have content
HUGE_PAGES = SIZE // 2 + 8
FILE_SIZE = SIZE + 16           # room for an offset

# Huge: whether KVM can map 2 MiB at a time
KINDS = (
    ('ram', True),
    ('ram,share=on', False),
    ('ram,merge=on', True),
    ('ram,merge=off', True),
    ('ram,dump=off', True),
    ('ram,reserve=off', True),
    ('shm', False),
    ('memfd', False),
    ('memfd,seal=off', False),
    ('memfd,hugetlb=on', True),
    ('file,mem-path={tmpfs}/f,share=on', False),
    ('file,mem-path={tmpfs}/f,share=off', False),
    ('file,mem-path={tmpfs}/f,share=off,readonly=on,rom=off', False),
    ('file,mem-path={tmpfs}/f,share=on,offset=16M', False),
    ('file,mem-path={tmpfs}/f,share=on,align=2M', False),
    ('file,mem-path={huge}/f,share=on', True),
    ('file,mem-path={huge}/f,share=off', True),
    ('file,mem-path={huge}/f,share=on,offset=16M', True),
    ('file,mem-path={ext4}/f,share=on', False),
    ('file,mem-path={ext4}/f,share=off', False),
    ('file,mem-path={ext4}/f,share=off,readonly=on,rom=off', False),
)

NO_DAX = "Using non DAX backing file with 'pmem=on'"


class Backends(ResourceTest):

    def places(self):
        """A folder of each kind of file system."""
        return {'tmpfs': self.tmpfs(2 * FILE_SIZE),
                'huge': self.hugepages(HUGE_PAGES),
                'ext4': self.ext4(4 * FILE_SIZE)}

    def backed(self, backend, *extra, prefault='on', mib=SIZE, **options):
        """A microvm whose memory is the backend, with -S."""
        return self.guest(prefault, '-object',
                          f'memory-backend-{backend},id=ram,size={mib}M',
                          *extra, mem=f'{mib}M',
                          machine='microvm,memory-backend=ram', **options)

    def run_once(self, qemu):
        """Run prefault, without starting the guest; returns its figures."""
        before = self.minor_faults(qemu)
        qemu.qmp('prefault-start')
        done = self.completed(qemu)
        self.assertEqual(done.data['status'], 'completed')
        info = self.query(qemu)
        self.assertEqual(info['mapped'], info['total'])
        self.assertEqual(self.run_state(qemu), 'prelaunch')
        return info, self.minor_faults(qemu) - before

    def test_no_fault_on_any_kind(self):
        """Each is populated and mapped whole, quietly; no write faults."""
        places = self.places()
        for kind, huge in KINDS:
            with self.subTest(kind=kind):
                path = kind.partition('mem-path=')[2].partition(',')[0]
                if path:
                    path = path.format(**places)
                    self.sh(f'truncate -s {FILE_SIZE}M {path}')
                qemu = self.backed(kind.format(**places))
                info, minor = self.run_once(qemu)
                self.assertEqual(info['total'], SIZE * MIB)
                self.assertEqual(qemu.stderr, '')
                qemu.qmp('cont')
                qemu.wait_sweep()
                taken, vm = qemu.vcpu_stats()['pf_taken'], qemu.vm_stats()
                print(f'# note: {kind.replace("{", "").replace("}", "")}: '
                      f'{taken} stage-2 faults, {vm["pages_2m"]} huge '
                      f'mappings; {minor} page faults in the run, '
                      f'{info["elapsed-ms"]} ms')
                self.assertEqual(taken, 0)
                # The first 2 MiB hold the BIOS alias
                self.assertEqual(vm['pages_2m'], (SIZE // 2 - 1) * huge)
                qemu.quit()
                if path:
                    self.sh(f'rm {path}')

    def test_writeback_takes_mappings_back(self):
        """A limit: a file system that writes dirty pages protects them."""
        path = self.ext4(4 * SIZE)
        qemu = self.backed(f'file,mem-path={path}/f,share=on')
        self.run_once(qemu)
        self.sh(f'sync {path}/f')
        qemu.qmp('cont')
        qemu.wait_sweep()
        taken = qemu.vcpu_stats()['pf_taken']
        print(f'# note: ext4, share=on, written back before the sweep: '
              f'{taken} stage-2 faults')
        self.assertGreater(taken, 0)

    def test_content_survives(self):
        """Populating for write changes no byte, in memory or in the file."""
        places = self.places()
        original = self.new_path('original')
        self.file(original, CONTENT, content=True)
        for kind in 'tmpfs', 'ext4':
            for share in 'on', 'off':
                with self.subTest(kind=kind, share=share):
                    path = f'{places[kind]}/content'
                    self.sh(f'cp {original} {path}')
                    qemu = self.backed(f'file,mem-path={path},share={share}',
                                       mib=CONTENT)
                    self.run_once(qemu)
                    self.assert_sees(qemu, original)
                    qemu.quit()
                    self.sh(f'cmp {path} {original}')

    def assert_sees(self, qemu, original):
        """The guest would see this file in its memory, above 1 MiB."""
        saved = self.new_path('saved')
        qemu.qmp('pmemsave', val=MIB, size=(CONTENT - 1) * MIB, filename=saved)
        self.sh(f'cmp {saved} {original} 0 {MIB}; rm {saved}')

    def test_private_writes_stay_private(self):
        """The guest writes every page; the host's file stays as it was."""
        path = f'{self.tmpfs(2 * SIZE)}/f'
        self.file(path, CONTENT, content=True)
        original = self.new_path('original')
        self.sh(f'cp {path} {original}')
        self.undo(f'rm {original}')
        qemu = self.backed(f'file,mem-path={path},share=off,'
                           'readonly=on,rom=off', mib=CONTENT)
        qemu.qmp('cont')
        qemu.wait_sweep()
        self.assertEqual(qemu.vcpu_stats()['pf_taken'], 0)
        self.sh(f'cmp {path} {original}')

    def test_prealloc_as_well(self):
        """What prealloc=on has populated is not populated once more."""
        path = f'{self.tmpfs(2 * SIZE)}/f'
        for kind in 'ram', f'file,mem-path={path},share=on':
            with self.subTest(kind=kind):
                found = {}
                for prealloc in 'off', 'on':
                    qemu = self.backed(f'{kind},prealloc={prealloc}')
                    info, minor = self.run_once(qemu)
                    found[prealloc] = minor
                    print(f'# note: {kind.split(",")[0]}, prealloc={prealloc}:'
                          f' {minor} page faults in the run, '
                          f'{info["elapsed-ms"]} ms')
                    qemu.quit()
                    self.sh(f'rm -f {path}')
                # But for those that any run takes, for its threads
                self.assertGreaterEqual(found['off'] - found['on'],
                                        SIZE // 2 - 4)

    def test_mem_lock(self):
        """Locked at once, or as it is populated: all is, and no fault."""
        for lock in 'on', 'on-fault':
            with self.subTest(lock=lock):
                qemu = self.backed('ram', '-overcommit', f'mem-lock={lock}')
                info, minor = self.run_once(qemu)
                status = self.machine.read(f'/proc/{qemu.process.pid}/status')
                locked = int(status.split('VmLck:')[1].split()[0])
                print(f'# note: mem-lock={lock}: {locked} KiB locked, {minor} '
                      f'page faults in the run, {info["elapsed-ms"]} ms')
                self.assertGreaterEqual(locked, SIZE * 1024)
                qemu.qmp('cont')
                qemu.wait_sweep()
                self.assertEqual(qemu.vcpu_stats()['pf_taken'], 0)
                qemu.quit()

    def test_several_backends(self):
        """One for each guest node, of different kinds."""
        huge = self.hugepages(HUGE_PAGES)
        kinds = ('ram', 'memfd', f'file,mem-path={huge}/f,share=on')
        for machine in 'pc', 'q35':
            with self.subTest(machine=machine):
                words = []
                for node, kind in enumerate(kinds):
                    words += ['-object', f'memory-backend-{kind},id=m{node},'
                              f'size={SIZE}M', '-numa',
                              f'node,nodeid={node},memdev=m{node}']
                qemu = self.guest('on', *words, machine=machine,
                                  mem=f'{len(kinds) * SIZE}M')
                info, _ = self.run_once(qemu)
                qemu.qmp('cont')
                qemu.wait_sweep()
                taken = qemu.vcpu_stats()['pf_taken']
                print(f'# note: {machine}, three nodes: total {info["total"]}'
                      f' + skipped {info["skipped"]}, {taken} stage-2 faults')
                self.assertGreater(info['total'],
                                   (len(kinds) * SIZE - 1) * MIB)
                # The guest itself is ROM at two addresses: not prefaulted
                self.assertLessEqual(taken, 2)
                qemu.quit()

    def with_nvdimm(self, backend, device=''):
        """(query's figures, page faults, QEMU) of a q35 with an nvdimm."""
        qemu = self.guest('on', '-object', f'memory-backend-{backend},id=nv,'
                          f'size={SIZE}M', '-device',
                          f'nvdimm,memdev=nv,id=nv0{device}',
                          machine='q35,nvdimm=on',
                          mem='64M,slots=2,maxmem=1G')
        return (*self.run_once(qemu), qemu)

    def test_nvdimm(self):
        """Prefaulted as other memory, unless the guest cannot write to it."""
        places = self.places()
        for kind in 'tmpfs', 'ext4', 'huge':
            with self.subTest(kind=kind):
                path = f'{places[kind]}/f'
                self.sh(f'truncate -s {SIZE}M {path}')
                info, minor, qemu = self.with_nvdimm(
                    f'file,mem-path={path},share=on')
                print(f'# note: nvdimm on {kind}: total {info["total"]}, '
                      f'{minor} page faults in the run')
                self.assertGreater(info['total'], (SIZE + 63) * MIB)
                qemu.quit()
                self.sh(f'rm {path}')

    def test_nvdimm_that_is_rom(self):
        path = f'{self.tmpfs(2 * SIZE)}/f'
        self.file(path, SIZE)
        info, minor, _ = self.with_nvdimm(
            f'file,mem-path={path},share=on,readonly=on,rom=on',
            ',unarmed=on')
        rom = {skip['reason']: skip['bytes'] for skip in info['skips']}['rom']
        self.assertGreaterEqual(rom, SIZE * MIB)
        self.assertLess(info['total'], 65 * MIB)
        self.assertLess(minor, SIZE * MIB // 4096)
        self.assertEqual(self.sh(f'du -k {path}').split()[0], '0')

    def test_pmem_without_dax(self):
        """QEMU warns, as it does without prefault; prefault does its job."""
        path = f'{self.ext4(2 * SIZE)}/f'
        said = {}
        for mode in 'off', 'on':
            self.sh(f'truncate -s {SIZE}M {path}')
            qemu = self.backed(f'file,mem-path={path},share=on,pmem=on',
                               prefault=mode)
            if mode == 'on':
                self.run_once(qemu)
            qemu.qmp('cont')
            qemu.wait_sweep()
            said[mode] = qemu.stderr
            qemu.quit()
            self.sh(f'rm {path}')
        self.assertIn(NO_DAX, said['off'])
        self.assertEqual(said['on'], said['off'])


if __name__ == '__main__':
    unittest.main()
