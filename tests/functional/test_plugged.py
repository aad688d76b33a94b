# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory that is plugged into a guest is prefaulted, or refused."""
import unittest

import bed
from common import MIB
from test_limits import SENTENCES
from test_room import RoomTest

SIZE = 256                      # MiB, of the guest and of what is plugged
LITTLE = 2                      # MiB: ROMs, and what firmware's memory costs
BACKENDS = 'ram', 'memfd', 'memfd,share=off', 'file,share=on'


class Plugged(RoomTest):

    def vm(self, prefault='on', *extra, **options):
        """A guest that may get more memory."""
        return self.guest(prefault, *extra, machine='q35', wait=True,
                          kernel=True, mem=f'{SIZE}M,slots=8,maxmem=4G',
                          **options)

    def up(self, *args, **options):
        """It runs, and all is mapped."""
        qemu = self.vm(*args, **options)
        self.let_run(qemu)
        self.refilled(qemu)
        return qemu

    def plug(self, qemu, name='more', kind='ram', driver='pc-dimm', **options):
        """Plug a device with a new backend; returns when it was sent."""
        words = dict(word.split('=') for word in kind.split(',')[1:])
        if kind.startswith('file'):
            words['mem_path'] = f'{self.tmpfs(SIZE + 8)}/file'
        for word in set(words) & {'share'}:
            words[word] = words[word] == 'on'
        qemu.qmp('object-add', qom_type=f'memory-backend-{kind.split(",")[0]}',
                 id=f'mem-{name}', size=SIZE * MIB, **words)
        return qemu.qmp('device_add', driver=driver, id=name,
                        memdev=f'mem-{name}', **options).sent_ns

    def mapped(self, qemu):
        return self.query(qemu)['mapped-now']

    def assert_grown(self, qemu, before):
        """So much more is mapped than before; firmware's pages come and go."""
        self.assertGreater(self.mapped(qemu), before + (SIZE - LITTLE) * MIB)

    def test_while_the_guest_is_stopped(self):
        """It waits for that: B07 of the field's reports."""
        qemu = self.up()
        before = self.mapped(qemu)
        qemu.qmp('stop')
        self.plug(qemu)
        since = qemu.qmp('cont').sent_ns
        done = self.completed(qemu, since)
        self.assertGreaterEqual(self.resumed(qemu, since).ns, done.ns)
        info = self.query(qemu)
        print(f'# note: {info}')
        self.assertEqual(info['trigger'], 'plug')
        self.assertGreater(info['total'], (2 * SIZE - LITTLE) * MIB)
        self.assertEqual(info['mapped'], info['total'])
        self.assert_grown(qemu, before)

    def test_stopped_with_a_run_behind_it(self):
        """That run's end does not let the guest go on."""
        qemu = self.up(inject='madvise:MADV_POPULATE_WRITE:from=65:delay-ms=20')
        since = qemu.qmp('prefault-start').sent_ns
        qemu.qmp('stop')
        self.plug(qemu)
        self.completed(qemu, since)
        since = qemu.qmp('cont').sent_ns
        self.completed(qemu, since)
        self.resumed(qemu, since)
        self.assertEqual(self.query(qemu)['trigger'], 'plug')

    def test_before_the_first_start(self):
        """As what was there from the beginning."""
        qemu = self.vm()
        qemu.qmp('prefault-start')
        self.completed(qemu)
        self.plug(qemu)
        since = qemu.qmp('cont').sent_ns
        self.completed(qemu, since)
        self.resumed(qemu, since)
        self.assertGreaterEqual(self.mapped(qemu), (2 * SIZE - LITTLE) * MIB)

    def test_while_the_guest_runs(self):
        """Each kind of backend: behind the guest, and its figures agree."""
        for kind in BACKENDS:
            with self.subTest(backend=kind):
                qemu = self.up()
                before = self.mapped(qemu)
                since = self.plug(qemu, kind=kind)
                self.until(lambda: not self.query(qemu)['owed'], 'mapped')
                took = (self.machine.now_ns() - since) / 1e6
                print(f'# note: {kind}: {SIZE} MiB mapped {took:.0f} ms after '
                      f'device_add')
                self.assert_grown(qemu, before)
                self.assertEqual(self.run_state(qemu), 'running')
                self.assertEqual(qemu.quit()[0], 0)

    def test_is_owed(self):
        """Until it is mapped."""
        qemu = self.up(inject='madvise:MADV_POPULATE_WRITE:from=65:delay-ms=20')
        self.plug(qemu)
        owed = self.query(qemu)['owed-for']
        self.assertEqual([x['reason'] for x in owed], ['plugged'])
        self.assertEqual(qemu.qmp('query-memory-size-summary')
                         .value['plugged-memory'], SIZE * MIB)
        self.until(lambda: not self.query(qemu)['owed'], 'mapped')

    def test_huge_pages(self):
        qemu = self.up()
        before = self.mapped(qemu)
        folder = self.hugepages(SIZE // 2)
        qemu.qmp('object-add', qom_type='memory-backend-file', id='mem',
                 size=SIZE * MIB, mem_path=folder, share=True, reserve=False)
        qemu.qmp('device_add', driver='pc-dimm', id='more', memdev='mem')
        self.until(lambda: not self.query(qemu)['owed'], 'mapped')
        self.assert_grown(qemu, before)
        qemu.quit()

    def test_too_large(self):
        """With on the plug is refused, and the guest goes on; else not."""
        for prefault in 'on', 'auto':
            path = self.group()
            qemu = self.up(prefault, prefix=self.entering(path))
            self.limit(path, memory_max=self.used(path) + SIZE // 2 * MIB)
            if prefault == 'on':
                with self.assertRaisesRegex(
                        bed.QmpError, 'prefault=on: ' +
                        SENTENCES['cgroup'].format('/.*')) as said:
                    self.plug(qemu)
                print(f'# note: {said.exception}')
            else:
                self.plug(qemu)
                self.until(lambda: self.query(qemu)['mapped-now'] >
                           (SIZE + SIZE // 4) * MIB, 'as much as there is')
            self.assertEqual(self.run_state(qemu), 'running')
            self.assertIn('oom_kill 0',
                          self.machine.read(f'{path}/memory.events'))
            self.assertEqual(qemu.quit()[0], 0)

    def test_nvdimm(self):
        qemu = self.vm('on', '-machine', 'q35,nvdimm=on')
        self.let_run(qemu)
        before = self.mapped(qemu)
        self.plug(qemu, driver='nvdimm')
        self.until(lambda: not self.query(qemu)['owed'], 'mapped')
        self.assert_grown(qemu, before)

    def test_a_reset_keeps_it(self):
        qemu = self.up()
        self.plug(qemu)
        since = qemu.qmp('system_reset').sent_ns
        self.completed(qemu, since)
        info = self.query(qemu)
        self.assertGreater(info['total'], (2 * SIZE - LITTLE) * MIB)
        self.assertEqual(info['mapped'], info['total'])


if __name__ == '__main__':
    unittest.main()
