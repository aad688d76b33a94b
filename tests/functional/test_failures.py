# SPDX-License-Identifier: GPL-2.0-or-later
"""What fails: the guest's start, the message, the second try."""
import unittest

from common import BedTest, MIB
import bed

POPULATE = 'madvise:MADV_POPULATE_WRITE'
MAP = 'ioctl:KVM_PRE_FAULT_MEMORY'

# What fails once, at the fifth call; what the message says of it
FATAL = (
    (POPULATE, 'ENOMEM', 'populating', 'Cannot allocate memory'),
    (POPULATE, 'EFAULT', 'populating', 'Bad address'),
    (MAP, 'ENOENT', 'mapping', 'No such file or directory'),
    (MAP, 'ENOMEM', 'mapping', 'Cannot allocate memory'),
    (MAP, 'EIO', 'mapping', 'Input/output error'),
    (MAP, '0', 'mapping', 'Input/output error'),
)

# What passes by: tried again, or left out
PASSING = (
    f'{MAP}:from=5:count=3:errno=EINTR',
    f'{MAP}:from=5:count=3:errno=EAGAIN',
    f'{MAP}:from=5:count=4:shrink=4096',
    f'{POPULATE}:from=5:count=3:errno=EINTR',
    f'{POPULATE}:from=5:count=3:errno=EAGAIN',
)


class Failures(BedTest):

    def test_failure_with_on(self):
        """The guest stays stopped, the reason is told, cont tries again."""
        for call, errno, step, cause in FATAL:
            with self.subTest(call=call, errno=errno):
                qemu = self.guest(
                    inject=f'{call}:from=5:count=1:errno={errno}')
                qemu.qmp('cont')
                event = self.completed(qemu)
                self.assertEqual(event.data['status'], 'failed')
                info = self.query(qemu)
                self.assertEqual(info['status'], 'failed')
                self.assertRegex(info['error'], f'{step} guest memory '
                                 f'0x[0-9a-f]+-0x[0-9a-f]+ failed: {cause}')
                self.assertEqual(event.data['error'], info['error'])
                self.assertIn(info['error'], qemu.stderr)
                self.assertEqual(self.run_state(qemu), 'prelaunch')
                self.assert_cont_succeeds(qemu)
                self.assert_injected(qemu)

    def test_failure_with_auto(self):
        """The rest is done, the guest starts, and the reason is told."""
        for call, errno, step, cause in FATAL:
            with self.subTest(call=call, errno=errno):
                qemu = self.guest(
                    'auto', inject=f'{call}:from=5:count=1:errno={errno}')
                qemu.qmp('cont')
                self.assertEqual(self.completed(qemu).data['status'],
                                 'completed')
                qemu.wait_sweep()
                info = self.query(qemu)
                self.assertRegex(info['left-out'], f'a part: {step} guest memory '
                                 f'0x[0-9a-f]+-0x[0-9a-f]+ failed: {cause}')
                self.assertIn(step, qemu.stderr)
                # A chunk that is not populated, a page that is not mapped
                self.assertGreater(info['failed'], 0)
                self.assertLessEqual(info['failed'], 4 * MIB)
                self.assertEqual(info['mapped'] + info['failed'],
                                 info['total'])
                self.assertNotIn('error', info)
                self.assert_injected(qemu)

    def test_what_passes_by(self):
        for rule in PASSING:
            with self.subTest(rule=rule):
                qemu = self.guest(inject=rule)
                qemu.qmp('cont')
                self.assertEqual(self.completed(qemu).data['status'],
                                 'completed')
                qemu.wait_sweep()
                self.assertEqual(qemu.faults(), 0)
                self.assert_injected(qemu)

    def test_poisoned_page(self):
        """It alone is left out: 4 MiB in halves are ten calls that fail."""
        qemu = self.guest(
            'on,prefault-threads=1',    # another would take calls that fail
            inject=f'{POPULATE}:from=5:count=11:errno=EHWPOISON')
        qemu.qmp('cont')
        event = self.completed(qemu)
        self.assertEqual(event.data['status'], 'completed')
        info = self.query(qemu)
        self.assertGreater(info['failed'], 0)
        self.assertLess(info['failed'], 8 * MIB)
        self.assertEqual(info['mapped'] + info['failed'], info['total'])
        self.assertIn(f'{info["failed"]} bytes of guest memory left out',
                      qemu.stderr)
        self.resumed(qemu)
        self.assert_injected(qemu)

    def test_no_capability(self):
        """On a host that cannot map in advance: on refuses, auto populates."""
        rule = 'ioctl:KVM_CHECK_EXTENSION/236:return=0'
        with self.assertRaisesRegex(bed.BedError,
                                    'KVM_CAP_PRE_FAULT_MEMORY.*prefault=auto'):
            self.guest(inject=rule)
        qemu = self.guest('auto', inject=rule)
        qemu.qmp('cont')
        self.assertEqual(self.completed(qemu).data['status'], 'completed')
        info = self.query(qemu)
        self.assertEqual(info['populated'], info['total'])
        self.assertEqual(info['mapped'], 0)
        self.assertIn('KVM_CAP_PRE_FAULT_MEMORY', info['left-out'])
        qemu.wait_sweep()
        self.assert_injected(qemu)


if __name__ == '__main__':
    unittest.main()
