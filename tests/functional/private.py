# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests with private memory, and exits of their vCPU made up on purpose."""
from common import BedTest, MIB, RUN_SECONDS, takes_qemu

PRIVATE = 8                     # KVM_MEMORY_EXIT_FLAG_PRIVATE
MEMORY_FAULT = 39               # KVM_EXIT_MEMORY_FAULT
MADE_UP = ': made up\n'         # tests/inject has fabricated an exit
WORD_IN_PAGE = 0xff8            # where the guest's sweep writes its number


@takes_qemu('10.1')
class PrivateTest(BedTest):
    """A test in the bed whose KVM has KVM_X86_SW_PROTECTED_VM."""

    def private(self, state, *extra, machine='microvm', mem='64M', **options):
        """Start QEMU with a guest whose RAM begins 'private' or 'shared'."""
        return self.guest(
            options.pop('prefault', 'on'), *extra, '-object',
            f'sw-protected-vm,id=cgs0,initial-state={state}',
            machine=f'{machine},confidential-guest-support=cgs0', mem=mem,
            **options)

    def private_running(self, state, *extra, **options):
        """Likewise, once it runs; it has not written its memory yet."""
        qemu = self.private(state, *extra, wait=True, **options)
        self.let_run(qemu)
        return qemu

    def fire(self, qemu, path, before=None):
        """The path's rules apply from now on; the vCPU left KVM_RUN for one.

        before: how often it had left, if the path was there already
        """
        if before is None:
            before = qemu.stderr.count(MADE_UP)
        self.machine.write(path, '')

        def left():
            qemu.hmp('info registers')      # a new KVM_RUN
            return qemu.stderr.count(MADE_UP) > before
        self.until(left, f'made to leave KVM_RUN by {path}')

    @staticmethod
    def fault(when, flags=0, gpa=16 * MIB, size=2 * MIB,
              result='errno=EFAULT', reason=MEMORY_FAULT, times='count=1'):
        """A rule: the next KVM_RUN is a memory fault.

        times: which of the next, and more keys of tests/inject
        """
        return (f'ioctl:KVM_RUN:when={when}:{times}:{result}:exit={reason}'
                f':flags={flags:#x}:gpa={gpa:#x}:size={size:#x}')

    def conversions(self, qemu):
        """query's conversions."""
        return self.query(qemu)['conversions']

    def converted(self, qemu, **wanted):
        """Wait until the counters are as wanted, and nothing is pending."""
        wanted = {name.replace('_', '-'): value
                  for name, value in wanted.items()}
        wanted.setdefault('prefault-pending', 0)

        def so():
            return wanted.items() <= self.conversions(qemu).items()
        self.until(so, f'converted: {wanted}')
        # A conversion counts before its vCPU begins to map it: nothing may be
        # pending yet.  The vCPU answers when it is done, or refill's turn is
        qemu.hmp('info registers')
        self.until(so, f'mapped as well: {wanted}')
        return self.conversions(qemu)

    def word(self, qemu, page):
        """What QEMU reads where the sweep wrote its number: shared memory."""
        return int(qemu.hmp(f'xp /1wx {page + WORD_IN_PAGE:#x}').split()[1], 0)

    def assert_said(self, qemu, text):
        """QEMU says so on standard error, if not yet then soon."""
        self.until(lambda: text in qemu.stderr, f"'{text}' in {qemu.stderr}")

    def assert_stopped(self, qemu, message, since_ns=0):
        """The guest is stopped for the reason, and QEMU answers."""
        qemu.wait_event('STOP', RUN_SECONDS, since_ns)
        self.assertEqual(self.run_state(qemu), 'internal-error')
        self.assert_said(qemu, message)

    def assert_reset_mends(self, qemu):
        """After a reset the guest starts as at first."""
        started = qemu.debugcon.count('READY')
        stopped = self.run_state(qemu) != 'running'
        qemu.qmp('system_reset')
        if stopped:
            self.until(lambda: self.run_state(qemu) == 'prelaunch', 'reset')
            qemu.qmp('cont')
        self.until(lambda: qemu.debugcon.count('READY') > started, 'started')

    def assert_ended_well(self, qemu):
        """It quits with 0, and what was injected happened."""
        self.assert_injected(qemu)
        self.assertEqual(qemu.process.code, 0)
