# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that is restored, or comes by migration, and what it waits for."""
import json
import unittest

from common import MIB, takes_qemu
from resources import ResourceTest

SIZE = 256                      # MiB
PAGES = SIZE * MIB // 4096 - 256    # that the guest writes, at least


class Restore(ResourceTest):

    def how(self, **options):
        """Of both sides."""
        return dict(mem=f'{SIZE}M', wait=True, paused=False, **options)

    def source(self, *extra, **options):
        """A guest that has written its memory, and halts."""
        qemu = self.guest('', *extra, **self.how(**options))
        qemu.wait_text('READY')
        qemu.sweep()
        return qemu

    def saved(self, *extra, uri=None, setup=lambda qemu: None, **options):
        """Let a guest become a file; returns its path."""
        path = self.new_path('stream')
        self.undo(f'rm -f {path}')
        source = self.source(*extra, **options)
        setup(source)
        source.qmp('migrate', uri=uri or f'file:{path}')
        self.migration_is(source, 'completed')
        source.quit()
        return path

    def prepare(self, qemu, capabilities=(), **parameters):
        """Set a side up for a migration."""
        qemu.qmp('migrate-set-capabilities', capabilities=[
            {'capability': name, 'state': True} for name in capabilities])
        if parameters:
            qemu.qmp('migrate-set-parameters', **parameters)

    def arrives(self, restore, uri, *extra, setup=lambda qemu: None,
                **options):
        """The other side: (Qemu, when it was told from where)."""
        qemu = self.guest(f'on,prefault-restore={restore}', '-incoming',
                          'defer', *extra, **self.how(**options))
        setup(qemu)
        return qemu, qemu.qmp('migrate-incoming', uri=uri).sent_ns

    def assert_ready(self, qemu, since, what, held, trigger='restore'):
        """All is mapped before it runs, or soon afterwards; a sweep is free."""
        resumed = self.resumed(qemu, since)
        done = self.completed(qemu, since)
        sweep, faults = qemu.sweep()
        info = self.query(qemu)
        print(f'# note: {what}: RESUME after {(resumed.ns - since) / 1e6:.0f} '
              f'ms, prefaulted after {(done.ns - since) / 1e6:.0f} ms in '
              f'{info["elapsed-ms"]} ms, {faults} faults in {sweep.pages} '
              'pages')
        self.assertEqual(done.data['status'], 'completed')
        self.assertEqual(info['trigger'], trigger)
        self.assertEqual(info['mapped'], SIZE * MIB)
        names = [event.name for event in qemu.events if event.ns >= since]
        self.assertEqual(names.index('PREFAULT_COMPLETED') <
                         names.index('RESUME'), held)
        self.assertGreater(sweep.pages, PAGES)
        self.assertEqual(faults, 0)

    def by_default(self, what, held, begin, restore='auto'):
        """begin(restore): returns the restored guest, and when it was told to
        come
        """
        with self.subTest(restore=restore):
            qemu, since = begin(restore)
            self.assert_ready(qemu, since, f'{what}, {restore}', held)
            self.assertEqual(qemu.quit()[0], 0)

    def each_way(self, what, held, begin):
        """With no option, hold, background and none; held: with no option."""
        self.by_default(what, held, begin)
        self.by_default(what, True, begin, 'hold')
        self.by_default(what, False, begin, 'background')
        qemu, since = begin('none')
        self.resumed(qemu, since)
        faults = qemu.sweep()[1]
        print(f'# note: {what}, none: {faults} faults')
        self.assertEqual(self.query(qemu)['status'], 'none')
        self.assertGreater(faults, 0)
        self.assertEqual(qemu.quit()[0], 0)

    def test_file(self):
        path = self.saved()
        self.each_way('file', True,
                      lambda restore: self.arrives(restore, f'file:{path}'))

    def test_command(self):
        path = self.saved()
        self.by_default('exec', True, lambda restore: self.arrives(
            restore, f'exec:cat {path}'))

    @takes_qemu('10.0', below='11.1')
    def test_descriptor(self):
        """Of a file, as libvirt's restore has it."""
        path = self.saved()
        self.by_default('fd', True, lambda restore: self.arrives(
            restore, 'fd:9', prefix=self.shell(f'exec 9<{path}')))

    def test_mapped_ram(self):
        """By several threads."""
        def setup(qemu):
            self.prepare(qemu, ['mapped-ram', 'multifd'], multifd_channels=2)
        path = self.saved(setup=setup)
        self.by_default('mapped-ram', True, lambda restore: self.arrives(
            restore, f'file:{path}', setup=setup))

    def migrated(self, restore, setup=lambda qemu: None):
        """From another QEMU that runs."""
        path = self.machine.scratch('migration')
        self.machine.run('/bin/rm', '-f', path)
        source = self.source()
        qemu, since = self.arrives(restore, f'unix:{path}', setup=setup)
        setup(source)
        source.qmp('migrate', uri=f'unix:{path}')
        self.resumed(qemu)
        self.migration_is(source, 'completed')
        source.quit()
        return qemu, since

    def test_socket(self):
        self.each_way('socket', False, self.migrated)

    def test_multifd(self):
        self.by_default('multifd', False, lambda restore: self.migrated(
            restore, lambda qemu: self.prepare(qemu, ['multifd'])))

    def from_template(self, **parameters):
        """Its memory is a file that stays: begin() of each_way()."""
        file = f'{self.tmpfs(SIZE + 64)}/ram'
        ram = ('-object', f'memory-backend-file,id=ram,size={SIZE}M,'
               f'mem-path={file},share=on')
        how = dict(machine='microvm,memory-backend=ram', setup=lambda qemu:
                   self.prepare(qemu, ['x-ignore-shared'], **parameters))
        path = self.saved(*ram, **how)
        return lambda restore: self.arrives(restore, f'file:{path}', *ram,
                                            **how)

    def test_template(self):
        self.each_way('template', True, self.from_template())

    def test_cpr_reboot(self):
        """QEMU is another one, and perhaps the host's kernel."""
        self.by_default('cpr-reboot', True,
                        self.from_template(mode='cpr-reboot'))

    def test_cpr_transfer(self):
        """To another QEMU, with the memory: it must not wait."""
        path = self.machine.scratch('cpr')
        self.machine.run('/bin/rm', '-f', path, f'{path}.state')
        how = self.how(machine='microvm,memory-backend=ram,aux-ram-share=on')
        ram = ('-object', f'memory-backend-memfd,id=ram,size={SIZE}M,share=on')
        source = self.guest('', *ram, **how)
        source.wait_text('READY')
        source.sweep()
        self.prepare(source, mode='cpr-transfer')
        qemu = self.guest(
            'on', *ram, '-incoming', self.channel('cpr', f'{path}.state'),
            '-incoming', self.channel('main', path), connect='later', **how)
        self.until(lambda: self.machine.run(
            '/bin/sh', '-c', f'test -S {path}.state')[0] == 0, 'listening')
        since = source.qmp('migrate', channels=[
            json.loads(self.channel('main', path)),
            json.loads(self.channel('cpr', f'{path}.state'))]).sent_ns
        qemu.connect()
        self.assert_ready(qemu, since, 'cpr-transfer', False)

    @staticmethod
    def channel(kind, path):
        """A migration channel to a Unix socket."""
        return json.dumps({'channel-type': kind, 'addr': {
            'transport': 'socket', 'type': 'unix', 'path': path}})

    def test_postcopy(self):
        """Whatever is asked for, after its end."""
        for restore in 'auto', 'hold':
            path = self.machine.scratch('migration')
            self.machine.run('/bin/rm', '-f', path)
            source = self.source()
            self.prepare(source, ['postcopy-ram'], max_bandwidth=16 * MIB,
                         max_postcopy_bandwidth=64 * MIB)
            qemu, since = self.arrives(
                restore, f'unix:{path}',
                setup=lambda qemu: self.prepare(qemu, ['postcopy-ram']))
            source.qmp('migrate', uri=f'unix:{path}')
            self.migration_is(source, 'active')
            source.qmp('migrate-start-postcopy')
            self.resumed(qemu)
            if self.query(source)['status'] == 'none':
                info = self.query(qemu)
                self.assertEqual(info['status'], 'active')
            self.assert_ready(qemu, since, f'postcopy, {restore}', False)
            self.assertEqual(source.qmp('query-migrate').value['status'],
                             'completed')
            source.kill()
            qemu.quit()

    def test_snapshot(self):
        """Loaded by QEMU's option."""
        disk = self.new_path('disk.qcow2')
        self.undo(f'rm -f {disk}')
        self.make_qcow2(disk)
        drive = ('-drive', f'if=none,format=qcow2,file={disk}')
        source = self.source(*drive)
        self.assertEqual(source.hmp('savevm one'), '')
        source.quit()
        for restore, held in ('auto', True), ('background', False):
            qemu = self.guest(f'on,prefault-restore={restore}', *drive,
                              '-loadvm', 'one', mem=f'{SIZE}M', wait=True)
            self.assert_ready(qemu, qemu.qmp('cont').sent_ns,
                              f'-loadvm, {restore}', held, 'snapshot-load')
            qemu.quit()

    def test_stopped_and_continued_while_it_waits(self):
        """As any guest whose start is held."""
        path = self.saved()
        qemu, _ = self.arrives('hold', f'file:{path}', inject=(
            'madvise:MADV_POPULATE_WRITE:delay-ms=60'))
        self.until(lambda: self.query(qemu)['status'] == 'active', 'held')
        self.assertEqual(self.run_state(qemu), 'paused')
        qemu.qmp('stop')
        self.assertEqual(self.query(qemu)['status'], 'cancelled')
        again = qemu.qmp('cont').sent_ns
        self.assert_ready(qemu, again, 'held again', True)


if __name__ == '__main__':
    unittest.main()
