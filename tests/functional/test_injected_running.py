# SPDX-License-Identifier: GPL-2.0-or-later
"""Each call of prefault's fails once: something happens to a guest that runs."""
import unittest

from bed import QmpError
from common import MIB, NX_HUGE_PAGES
from injected import InjectedTest, SIZE


class InjectedRunning(InjectedTest):

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
        # Without a thread for the migration QEMU aborts, with prefault or not
        self.moment('migration', up,
                    lambda qemu: self.migrate_nowhere(qemu)(),
                    without=('pthread_create:*',))


if __name__ == '__main__':
    unittest.main()
