# SPDX-License-Identifier: GPL-2.0-or-later
"""Each call of prefault's fails once: a guest with private memory."""
import unittest

from injected import InjectedTest, OF_REGISTERS
from private import PRIVATE, PrivateTest

BED = {'private': True}


class InjectedPrivate(InjectedTest, PrivateTest):

    def convert_to(self, name, state, flags):
        """A guest converts 2 MiB that it has written."""
        def up(inject):
            path = inject.partition(':when=')[2].partition(':')[0]
            qemu = self.private_running(
                state, inject=f'{inject};{self.fault(path, flags)}')
            self.at_rest(qemu)
            qemu.sweep()
            self.path = path
            return qemu

        self.moment(name, up, lambda qemu: self.fire(qemu, self.path, 0),
                    OF_REGISTERS)

    def test_to_private(self):
        self.convert_to('to private', 'shared', PRIVATE)

    def test_to_shared(self):
        self.convert_to('to shared', 'private', 0)

    def test_private_start(self):
        def paused(**how):
            return self.private('private', wait=True, **how)

        def start(qemu):
            self.completed(qemu, qemu.qmp('cont').sent_ns)
            if self.run_state(qemu) == 'running':
                qemu.wait_text('READY')
        self.moment('private start', paused, start)

    def judge(self, qemu, usual):
        """A guest whose conversion is undone is stopped, and a reset mends."""
        if (qemu.process.code is None
                and self.run_state(qemu) == 'internal-error'):
            self.assertRegex(qemu.stderr, 'qemu-system-x86_64: .*memory')
            since = qemu.qmp('system_reset').sent_ns
            qemu.qmp('cont')
            self.resumed(qemu, since)
            self.until(lambda: qemu.debugcon.count('READY') == 2, 'up again')
            self.at_rest(qemu)
        super().judge(qemu, usual)


if __name__ == '__main__':
    unittest.main()
