# SPDX-License-Identifier: GPL-2.0-or-later
"""Migration while memslots stay or go: no page may be lost."""
import unittest

from common import BedTest, MIB

MIB_OF_RAM = 32
RAM = MIB_OF_RAM * MIB
BANDWIDTH = 16 * MIB            # a second
SLOW = 2 * MIB                  # the guest is faster, whatever slows it down;
                                # until it has written once, for each migration
ROUNDS = 4                      # over memory


class Migration(BedTest):

    def source(self, prefault, *extra, **options):
        """A guest that runs, with something in each page."""
        qemu = self.running(prefault, *extra, machine='pc', kernel=True,
                            mem=f'{MIB_OF_RAM}M', **options)
        qemu.sweep()            # a page of zeros is no work for migration
        return qemu

    def target(self, prefault, incoming=None):
        """One that waits for it: (Qemu, where)."""
        path = self.machine.scratch('migration')
        self.machine.run('/bin/rm', '-f', path)
        qemu = self.guest(prefault, '-incoming', incoming or f'unix:{path}',
                          wait=True, machine='pc', kernel=True,
                          mem=f'{MIB_OF_RAM}M')
        return qemu, f'unix:{path}'

    def status(self, qemu):
        """The migration's status."""
        return qemu.qmp('query-migrate').value.get('status')

    def migrate(self, source, uri):
        """Begin, slowly; it ends by itself if the guest writes nothing."""
        source.qmp('migrate-set-parameters', max_bandwidth=SLOW,
                   downtime_limit=1)
        source.qmp('migrate', uri=uri)
        self.until(lambda: self.status(source) == 'active', 'migrating')

    def disturb(self, source, rounds, bandwidth=BANDWIDTH):
        """The guest writes all memory and memslots change; how often.

        Until migration went over memory so many times, and the guest too.  On
        a busy machine the guest may write nothing for a moment, and migration
        ends earlier.
        """
        flips, before = 0, len(source.sweeps)
        done = before - 1       # sweeps when the last one was asked for
        while self.status(source) == 'active' and (
                self.rounds(source) < rounds or len(source.sweeps) == before):
            if len(source.sweeps) > done:
                done = len(source.sweeps)
                if done > before:
                    source.qmp('migrate-set-parameters',
                               max_bandwidth=bandwidth)
                source.qmp('inject-nmi')
            source.flip_pam()
            flips += 2
        sweeps = len(source.sweeps) - before
        self.assertGreaterEqual(self.rounds(source), min(rounds, 2))
        self.assertGreater(flips, 0)
        self.assertGreater(sweeps, 0)
        return (f'{flips} memslot changes and {sweeps} sweeps while writes '
                'were tracked')

    def rounds(self, source):
        """How many times migration went over memory."""
        ram = source.qmp('query-migrate').value.get('ram', {})
        return ram.get('dirty-sync-count', 0)

    def finish(self, source, target):
        """Let it come to its end."""
        source.qmp('migrate-set-parameters', max_bandwidth=1 << 30,
                   downtime_limit=10000)
        self.until(lambda: self.status(source) == 'completed', 'migrated')
        self.until(lambda: self.run_state(target) != 'inmigrate', 'loaded')

    def memory(self, qemu, name):
        """The path of a file with what a stopped guest has in memory."""
        path = self.machine.scratch(f'memory-{name}')
        qemu.qmp('pmemsave', val=0, size=RAM, filename=path)
        return path

    def differing_bytes(self, *paths):
        """Compare two files of memory."""
        _, said, _ = self.machine.run('/bin/sh', '-c', 'cmp -l ' +
                                      ' '.join(paths) + ' | wc -l')
        self.machine.run('/bin/rm', *paths)
        return int(said)

    def assert_same(self, source, target, what):
        self.assertEqual(self.differing_bytes(self.memory(source, 'source'),
                                              self.memory(target, 'target')),
                         0)
        kept = self.query(source)['retention']['slots-kept']
        self.assertGreater(kept, 0)
        print(f'# note: {what}, {kept} memslots kept; no difference')

    def goes_on(self, target, sweeps):
        """The guest goes on there, and what it has is mapped by and by."""
        target.qmp('cont')
        self.resumed(target)
        figures = self.refilled(target)
        self.assertGreater(figures['refilled'], RAM // 2)
        target.qmp('inject-nmi')
        sweep = target.wait_sweep(1)
        self.assertGreater(sweep.sweep, sweeps)     # 1 after a reset

    def prepare(self, capabilities, *sides):
        """Set both sides up."""
        for qemu in sides:
            qemu.qmp('migrate-set-capabilities', capabilities=[
                {'capability': name, 'state': True} for name in capabilities])

    def once(self, prefault, what, bandwidth=BANDWIDTH, rounds=ROUNDS, *,
             capabilities=(), begin=lambda source: None, **options):
        """Migrate a guest that writes; compare.

        begin(source): done just before
        """
        source = self.source(prefault, **options)
        target, uri = self.target(prefault, 'defer')
        self.prepare(capabilities, source, target)
        target.qmp('migrate-incoming', uri=uri)
        begin(source)
        self.migrate(source, uri)
        before = self.query(source)['retention']['refilled']
        said = self.disturb(source, rounds, bandwidth)
        refilled = self.query(source)['retention']['refilled']
        if self.status(source) == 'active':
            # Memory below 1 MiB, and it would be marked dirty
            self.assertEqual(refilled, before)
            if 'postcopy-ram' in capabilities:
                source.qmp('migrate-start-postcopy')
        self.finish(source, target)
        self.assert_same(source, target, f'{what}: {said}')
        self.goes_on(target, len(source.sweeps))
        source.quit()
        target.quit()

    def test_guest_that_writes(self):
        self.once('on', 'dirty bitmap')

    def test_dirty_ring(self):
        self.once('on,dirty-ring-size=4096', 'dirty ring')

    def test_all_is_dropped(self):
        """With the quirk in force, refill runs beside it."""
        self.once('on,slot-zap-all=on', 'slot-zap-all=on', SLOW, 2)

    def test_several_channels(self):
        self.once('on', 'multifd', rounds=2, capabilities=['multifd'])

    def test_differences_only(self):
        self.once('on', 'xbzrle', rounds=2, capabilities=['xbzrle'])

    def test_postcopy(self):
        self.once('on', 'postcopy', rounds=2, capabilities=['postcopy-ram'])

    def test_slowed_down(self):
        """The guest is, so that migration comes to its end."""
        self.once('on', 'auto-converge', rounds=2,
                  capabilities=['auto-converge'])

    def test_limited(self):
        self.once('on,dirty-ring-size=4096', 'dirty limit', rounds=2,
                  capabilities=['dirty-limit'])

    def test_while_memory_is_owed(self):
        """A run behind the guest is under way: it waits for the end."""
        now = self.trigger()

        def begin(source):
            self.machine.write(now, '')
            source.qmp('prefault-start')
            self.assertEqual(self.query(source)['status'], 'active')
        self.once('on', 'a run behind the guest', rounds=2, begin=begin,
                  inject=f'madvise:MADV_POPULATE_WRITE:when={now}:delay-ms=200')

    def test_while_writes_are_counted(self):
        """calc-dirty-rate tracks them, too: all is mapped after its end."""
        def begin(source):
            source.qmp('calc-dirty-rate', calc_time=1, mode='dirty-bitmap')
            self.until(lambda: source.qmp('query-dirty-rate').value['status']
                       == 'measured', 'measured')
            self.assert_all_mapped(source, MIB_OF_RAM, 'writes were counted')
            source.qmp('calc-dirty-rate', calc_time=1, mode='dirty-bitmap')
        self.once('on', 'dirty rate', rounds=2, begin=begin)

    def arrived(self, restore):
        """A guest that wrote nothing: its memory does not come."""
        path = self.machine.scratch('migration')
        how = dict(machine='pc', mem=f'{MIB_OF_RAM}M')
        source = self.guest('on', **how)
        target = self.guest(f'on,prefault-restore={restore}', '-incoming',
                            f'unix:{path}', wait=True, **how)
        source.qmp('migrate', uri=f'unix:{path}')
        self.finish(source, target)
        target.qmp('cont')
        self.resumed(target)
        figures = self.refilled(target)
        print(f'# note: prefault-restore={restore}, of {RAM} bytes that are '
              f'mostly zero {figures}')
        return figures['refilled']

    def test_what_is_zero_is_mapped_too(self):
        """Though it does not come with the stream."""
        self.assertGreater(self.arrived('auto'), (MIB_OF_RAM - 1) * MIB)
        self.assertLess(self.arrived('none'), RAM // 4)

    def give_up(self, source, how):
        """One that does not come to its end; all is mapped as before then."""
        target, uri = self.target('on')
        self.migrate(source, uri)
        self.disturb(source, 1, SLOW)
        if how == 'cancelled':
            source.qmp('migrate_cancel')
        else:
            target.kill()
        self.until(lambda: self.status(source) == how, how)
        target.kill()
        self.assert_all_mapped(source, MIB_OF_RAM, how)

    def test_given_up_and_repeated(self):
        """Writes are tracked, then not, then tracked again."""
        source = self.source('on')
        for how in 'cancelled', 'failed':
            self.give_up(source, how)
        target, uri = self.target('on')
        self.migrate(source, uri)
        said = self.disturb(source, ROUNDS)
        self.finish(source, target)
        self.assert_same(source, target, f'repeated: {said}')

    def test_savevm_and_loadvm(self):
        """Memory is what was saved, and mapped as it was."""
        path = self.machine.scratch('disk.qcow2')
        self.make_qcow2(path)
        qemu = self.source('on', '-drive', f'if=none,format=qcow2,file={path}')
        qemu.qmp('stop')
        saved = self.memory(qemu, 'saved')
        self.assertEqual(qemu.hmp('savevm one'), '')
        qemu.qmp('cont')
        qemu.sweep()
        qemu.flip_pam()
        qemu.qmp('stop')
        self.assertEqual(qemu.hmp('loadvm one'), '')
        self.assertEqual(
            self.differing_bytes(saved, self.memory(qemu, 'loaded')), 0)
        since = qemu.qmp('cont').sent_ns
        self.resumed(qemu, since)
        self.assert_all_mapped(qemu, MIB_OF_RAM, 'loaded')


if __name__ == '__main__':
    unittest.main()
