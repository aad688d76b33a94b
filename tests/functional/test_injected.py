# SPDX-License-Identifier: GPL-2.0-or-later
"""Each call of prefault's fails once: a guest with ordinary memory."""
import unittest

from common import MIB, NX_HUGE_PAGES
from bed import QmpError
from injected import InjectedTest

SIZE = 64                       # MiB


class Injected(InjectedTest):

    def paused(self, **how):
        """A guest that is about to start."""
        return self.guest('on', mem=f'{SIZE}M', wait=True, **how)

    def up(self, *extra, machine='microvm', more='', prefault='on', **how):
        """One that runs, all mapped."""
        qemu = self.running(prefault, *extra, machine=machine,
                            kernel=machine != 'microvm', mem=f'{SIZE}M{more}',
                            **how)
        self.at_rest(qemu)
        return qemu

    def runs_or_says(self, qemu, since):
        """It runs again, or a run has ended that says why not."""
        self.completed(qemu, since)

    def start(self, qemu):
        self.runs_or_says(qemu, qemu.qmp('cont').sent_ns)
        if self.run_state(qemu) == 'running':
            qemu.wait_text('READY')

    def test_start(self):
        self.moment('start', self.paused, self.start)

    def test_locked_start(self):
        """With prefault-keep=lock."""
        def paused(**how):
            return self.guest('on,prefault-keep=lock', mem=f'{SIZE}M',
                              wait=True, **how)
        self.moment('locked start', paused, self.start)

    def test_reset(self):
        def reset(qemu):
            self.runs_or_says(qemu, qemu.qmp('system_reset').sent_ns)
            if self.run_state(qemu) == 'running':
                self.until(lambda: qemu.debugcon.count('READY') == 2, 'up')
        self.moment('reset', self.up, reset)

    def test_refill(self):
        """Memslots are dropped and created, below 64 MiB of RAM."""
        def up(**how):
            return self.up(machine='pc', **how)
        self.moment('refill', up, lambda qemu: qemu.flip_pam())

    def test_loss(self):
        """KVM drops all mappings."""
        self.knob(NX_HUGE_PAGES, 'N')
        def up(**how):
            self.machine.write(NX_HUGE_PAGES, 'N')
            return self.up(**how)

        def lose(qemu):
            since = self.machine.now_ns()
            self.machine.write(NX_HUGE_PAGES, 'force')
            qemu.wait_event('PREFAULT_LOST', since_ns=since)
        self.moment('loss', up, lose)

    def test_plug(self):
        def up(**how):
            return self.up(machine='q35', more=',slots=2,maxmem=1G', **how)

        def plug(qemu):
            try:
                qemu.qmp('object-add', qom_type='memory-backend-ram', id='mem',
                         size=SIZE * MIB)
                qemu.qmp('device_add', driver='pc-dimm', id='more',
                         memdev='mem')
            except QmpError as refusal:
                self.assertRegex(str(refusal), '^[^\n]+$')
        self.moment('plug', up, plug)

    def test_migration(self):
        """Writes are tracked for one that is cancelled."""
        def up(**how):
            return self.up(machine='pc', **how)
        self.moment('migration', up,
                    lambda qemu: self.migrate_nowhere(qemu)())

    def test_restore(self):
        self.greets = False     # it did so before it was saved
        stream = self.machine.scratch('stream')
        self.addCleanup(self.put_away, stream)
        source = self.up()
        source.qmp('migrate', uri=f'file:{stream}')
        self.migration_is(source, 'completed')
        source.quit()

        def incoming(**how):
            return self.guest('on', '-incoming', 'defer', mem=f'{SIZE}M',
                              wait=True, paused=False, **how)

        def restore(qemu):
            since = qemu.qmp('migrate-incoming', uri=f'file:{stream}').sent_ns
            self.runs_or_says(qemu, since)
        self.moment('restore', incoming, restore)


if __name__ == '__main__':
    unittest.main()
