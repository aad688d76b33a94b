# SPDX-License-Identifier: GPL-2.0-or-later
"""Prefault leaves the guest's registers as they are, whatever fails.

KVM drops page tables that it has retired if a register changes that decides about
them.  What is changed for that is put back, or the guest never runs on.
"""
import re
import unittest

from common import BedTest

# KVM_PRE_FAULT_MEMORY gets nowhere, as with retired page tables
NOWHERE = 'ioctl:KVM_PRE_FAULT_MEMORY:when={}:count=12:until-signal=200:errno=EINTR'

# What changes EFER, and back: which call fails
FAILING = (
    ('KVM_GET_MSRS/0xc0000080', 1, 1), ('KVM_SET_MSRS/0xc0000080', 1, 1),
    ('KVM_SET_MSRS/0xc0000080', 2, 1),
    ('KVM_SET_MSRS/0xc0000080', 2, 0),      # never can it be put back
)


class PutBack(BedTest):
    """The guest goes on with its registers, or is stopped before it runs."""

    def registers(self, qemu):
        """{name: value} of those that decide about page tables."""
        return dict(re.findall(r'\b(CR3|EFER)=(\w+)',
                               qemu.hmp('info registers')))

    def rules(self, path, call, first, count):
        return (f'{NOWHERE.format(path)};ioctl:{call}:when={path}:from={first}'
                f':count={count}:errno=ENOMEM')

    def for_each(self, scenario, starts=1):
        """Start a guest with each call failing; scenario(qemu, path).

        starts: how often the guest is to say READY
        """
        for call, first, count in FAILING:
            with self.subTest(call=call, first=first, count=count):
                path = self.trigger()
                qemu = self.guest('on', wait=True, machine='pc', kernel=True,
                                  inject=self.rules(path, call, first, count))
                scenario(qemu, path)
                self.assert_sane(qemu, path, starts)
                qemu.quit()
                hits = [hits for _, hits in qemu.injected().values()]
                print(f'# note: {call} {first}: {hits} hits')
                self.assertGreater(min(hits), 0)

    def assert_sane(self, qemu, path, starts):
        """It runs as if nothing had been, or never again."""
        self.until(lambda: self.run_state(qemu) == 'internal-error' or
                   self.query(qemu)['status'] != 'active' and
                   not self.query(qemu)['retention']['refill-pending'],
                   'at rest')
        if self.run_state(qemu) == 'internal-error':
            self.assertRegex(qemu.stderr, 'prefault: .*CPU 0.*reset')
            return
        self.put_away(path)
        self.until(lambda: self.run_state(qemu) == 'running', 'running')
        self.assertEqual({int(value, 16) for value in
                          self.registers(qemu).values()}, {0})
        self.until(lambda: qemu.debugcon.count('READY') == starts, 'started')
        qemu.sweep()

    def test_start(self):
        def start(qemu, path):
            self.machine.write(path, '')
            qemu.qmp('cont')
        self.for_each(start)

    def test_reset(self):
        def reset(qemu, path):
            self.let_run(qemu)
            self.refilled(qemu)
            self.machine.write(path, '')
            qemu.qmp('system_reset')
            self.until(lambda: self.query(qemu)['trigger'] == 'reset' or
                       self.run_state(qemu) != 'running', 'reset')
        self.for_each(reset, starts=2)

    def test_while_the_guest_runs(self):
        def change_map(qemu, path):
            self.let_run(qemu)
            self.refilled(qemu)
            self.machine.write(path, '')
            qemu.flip_pam()
        self.for_each(change_map)


if __name__ == '__main__':
    unittest.main()
