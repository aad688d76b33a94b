# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine without vCPUs, a debugger's Ctrl-C."""
import unittest

from common import BedTest, MIB

SLOW = 'madvise:MADV_POPULATE_WRITE:delay-ms=100'
# "c" lets the guest go on; a byte 3 is Ctrl-C
GDB = '(printf "\\$c#63"; sleep 1; printf "\\003"; sleep 3)'
PORT = 1234


class Edges(BedTest):

    def test_no_vcpus(self):
        """Nothing maps, what a migration tracked is owed, and nothing ends."""
        qemu = self.machine.qemu('-M', 'none', '-m', '64M', '-S', '-display',
                                 'none', '-accel', 'kvm,prefault=auto')
        self.addCleanup(qemu.kill)
        qemu.qmp('cont')
        done = self.completed(qemu)
        self.assertEqual(done.data['status'], 'completed')
        self.assertEqual(done.data['mapped'], 0)
        qemu.qmp('migrate-set-parameters', max_bandwidth=4096)
        qemu.qmp('migrate', uri='exec:cat >/dev/null')
        qemu.qmp('migrate_cancel')
        self.until(lambda: qemu.qmp('query-migrate').value['status'] in
                   ('cancelled', 'completed'), 'cancelled')
        self.assertEqual(self.query(qemu)['populated'], 64 * MIB)
        self.assertEqual(qemu.quit()[0], 0)

    def test_ctrl_c_gives_the_start_up(self):
        """The debugger gets its answer, and the guest does not run."""
        out = self.machine.scratch('gdb')
        qemu = self.guest('on', '-gdb', f'tcp:127.0.0.1:{PORT}', inject=SLOW)
        self.machine.run('/bin/sh', '-c', 'ip link set lo up || '
                         'ifconfig lo 127.0.0.1 up; '
                         f'{GDB} | nc 127.0.0.1 {PORT} > {out}')
        self.assertIn('$S02#', self.machine.read(out))
        self.assertEqual(self.query(qemu)['status'], 'cancelled')
        self.assertEqual(self.run_state(qemu), 'prelaunch')
        self.assertNotIn('RESUME', [event.name for event in qemu.events])


if __name__ == '__main__':
    unittest.main()
