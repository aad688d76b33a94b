# SPDX-License-Identifier: GPL-2.0-or-later
"""Each call of prefault's fails once: a guest starts."""
import unittest

from injected import InjectedTest, OF_REGISTERS, SIZE


class Injected(InjectedTest):

    def paused(self, **how):
        """A guest that is about to start."""
        return self.guest('on', mem=f'{SIZE}M', wait=True, **how)

    def start(self, qemu):
        self.completed(qemu, qemu.qmp('cont').sent_ns)
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
            self.completed(qemu, qemu.qmp('system_reset').sent_ns)
            if self.run_state(qemu) == 'running':
                self.until(lambda: qemu.debugcon.count('READY') == 2, 'up')
        self.readies = 2
        self.moment('reset', self.up, reset, without=OF_REGISTERS)

    def test_restore(self):
        self.readies = 0        # it did so before it was saved
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
            self.completed(qemu, since)
        # Without memory for a coroutine's stack QEMU aborts, as it always did
        self.moment('restore', incoming, restore,
                    without=(*OF_REGISTERS, 'mmap:*'))


if __name__ == '__main__':
    unittest.main()
