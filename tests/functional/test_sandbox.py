# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU with few rights: prefault does its work all the same, and quietly.

That a restriction is really in force is seen from outside, in /proc.
"""
import unittest

from common import MIB
from resources import ResourceTest

SIZE = 256                      # MiB: two workers

SECCOMP = r'Seccomp:\s+2'
NO_CAPS = r'CapEff:\s+0+\n'
TESTER = r'Uid:\s+1000\s+1000'

# A -sandbox argument each.  elevateprivileges=children is left out: QEMU 10.2.2
# leaves prctl()'s last three arguments to chance, and Linux refuses them then.
SANDBOXES = ('on', 'on,obsolete=deny', 'on,elevateprivileges=deny',
             'on,spawn=deny', 'on,resourcecontrol=deny',
             'on,obsolete=deny,elevateprivileges=deny,spawn=deny,'
             'resourcecontrol=deny')

# -run-with, and what /proc/PID/status and the root folder show then
RUN_WITH = (
    ('user=tester', TESTER, '/'),
    ('user=1000:1000', TESTER, '/'),
    ('chroot={jail}', r'Uid:\s+0\s', '{jail}'),
    ('chroot={jail},user=tester', TESTER, '{jail}'),
)

# Options of setpriv, whether to be another user, and what the status shows
RIGHTS = (
    ('root without capabilities', (), False, NO_CAPS),
    ('a user without capabilities', ('--no-new-privs',), True,
     TESTER + r'(.|\n)*' + NO_CAPS),
)


class Sandbox(ResourceTest):

    def assert_works(self, what, *words, status='Name:', root='/', **how):
        """No stage-2 fault and no message, under the restrictions seen."""
        qemu = self.guest('on', *words, mem=f'{SIZE}M', **how)
        proc = f'/proc/{qemu.process.pid}'
        qemu.qmp('cont')
        self.assertEqual(self.completed(qemu).data['status'], 'completed')
        info = self.query(qemu)
        qemu.wait_sweep()
        taken = qemu.vcpu_stats()['pf_taken']
        print(f'# note: {what}: {taken} stage-2 faults, {info["threads"]} '
              f'threads, {info["elapsed-ms"]} ms')
        self.assertEqual(taken, 0)
        self.assertEqual(info['mapped'], SIZE * MIB)
        self.assertEqual(qemu.stderr, '')
        self.assertRegex(self.machine.read(f'{proc}/status'), status)
        self.assertEqual(self.sh(f'readlink {proc}/root').strip(), root)
        self.assertEqual(qemu.quit()[0], 0)

    def test_sandbox(self):
        for sandbox in SANDBOXES:
            with self.subTest(sandbox=sandbox):
                self.assert_works(f'-sandbox {sandbox}', '-sandbox', sandbox,
                                  status=SECCOMP)

    def test_run_with(self):
        """Another user, another root folder without /proc and /sys, both."""
        jail = self.new_path('jail')
        self.sh(f'mkdir {jail}')
        self.undo(f'rmdir {jail}')
        for option, status, root in RUN_WITH:
            with self.subTest(option=option):
                self.assert_works(f'-run-with {option}', '-run-with',
                                  option.format(jail=jail), status=status,
                                  root=root.format(jail=jail))

    def test_run_with_and_sandbox(self):
        """All at once, as far as QEMU allows it."""
        jail = self.new_path('jail')
        self.sh(f'mkdir {jail}')
        self.undo(f'rmdir {jail}')
        self.assert_works('chroot, sandbox', '-run-with', f'chroot={jail}',
                          '-sandbox', SANDBOXES[-1], status=SECCOMP, root=jail)

    def test_no_capabilities(self):
        for what, options, user, status in RIGHTS:
            with self.subTest(what=what):
                self.assert_works(what, status=status,
                                  prefix=self.setpriv(*options, user=user))

    def test_without_proc_or_sys(self):
        """Where limits cannot be read, they are taken to suffice."""
        for gone in '/sys', '/proc', '/proc /sys':
            with self.subTest(gone=gone):
                checks = '; '.join(f'test -z "$(ls {folder})"'
                                   for folder in gone.split())
                self.assert_works(
                    f'no {gone}', prefix=['/bin/unshare', '-m', *self.shell(
                        f'umount -l {gone}; {checks}')])
                self.sh('test -e /proc/self -a -e /sys/kernel')

    def test_pinning_is_refused(self):
        """Workers are not where the vCPUs are, but memory is: no warning."""
        qemu = self.guest('on', '-sandbox', 'on,resourcecontrol=deny',
                          mem=f'{SIZE}M')
        thread = qemu.qmp('query-cpus-fast').value[0]['thread-id']
        self.sh(f'taskset -p 1 {thread}')
        qemu.qmp('cont')
        self.completed(qemu)
        qemu.wait_sweep()
        self.assertEqual(qemu.vcpu_stats()['pf_taken'], 0)
        self.assertEqual(qemu.stderr, '')


if __name__ == '__main__':
    unittest.main()
