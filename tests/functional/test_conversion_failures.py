# SPDX-License-Identifier: GPL-2.0-or-later
"""Each kernel call of a conversion fails, with each error that it can give.

What fails before memory is given back is undone, and the guest stopped; what
fails afterwards is counted, and the guest goes on.
"""
import re
import unittest

from common import MIB
from private import PRIVATE, PrivateTest
import bed

BED = {'private': True}

ATTRIBUTES = 'ioctl:KVM_SET_MEMORY_ATTRIBUTES'
PUNCH = 'fallocate:FALLOC_FL_PUNCH_HOLE'
DONTNEED = 'madvise:MADV_DONTNEED'
MAP = 'ioctl:KVM_PRE_FAULT_MEMORY'
RAM = 16 * MIB
SIZE = 2 * MIB

# Two regions of RAM, for the firmware's copy lies between them.  The guest writes
# to the first page of each, not to what is VGA's on other machines
SPAN, SPAN_SIZE = 0x90000, 0x90000
BELOW, ABOVE = (0x90000, 0x60000), (0x100000, 0x20000)
DIRECTIONS = (('shared', PRIVATE), ('private', 0))
# Which call for SPAN fails, and how.  Linux gives EINVAL and ENOMEM
# (kvm_vm_ioctl_set_mem_attributes()), and EFAULT as any ioctl
ONE_FAILS = ((1, 'ENOMEM', 'Cannot allocate memory'),
             (2, 'EINVAL', 'Invalid argument'),
             (2, 'EFAULT', 'Bad address'))
MAP_RETRIED = ('EAGAIN', 'EINTR', 'EOPNOTSUPP')
MAP_LEFT_OUT = ('EFAULT', 'EHWPOISON', 'ENOMEM', 'ENOENT', 'EIO', '0')


class Attributes(PrivateTest):
    """KVM_SET_MEMORY_ATTRIBUTES fails: all is undone."""

    def failing(self, state, flags, *rules):
        """A guest whose conversion of SPAN fails, once by each of the rules.

        Returns QEMU and the triggers, with one more for a conversion without
        a rule.  when= of the rules is filled in.
        """
        nows = [self.trigger() for _ in (*rules, None)]
        inject = [self.fault(now, flags, SPAN, SPAN_SIZE) for now in nows]
        inject += [rule.format(now=now) for rule, now in zip(rules, nows)]
        qemu = self.private_running(
            state, '-trace', 'kvm_attributes_set', '-trace',
            'kvm_conversion_undo', inject=';'.join(inject))
        qemu.sweep()
        return qemu, nows

    def attributes_set(self, qemu, undone=1):
        """[(start, size, private, result)] of what was set while it ran.

        undone: how many conversions were undone so far
        """
        self.until(lambda: qemu.stderr.count('kvm_conversion_undo') == undone,
                   f'undone {undone} times')
        text = qemu.stderr.rpartition('kvm_conversion_undo')[0]
        return [(int(start, 16), int(size, 16), int(private), int(ret))
                for start, size, private, ret in re.findall(
                    r'kvm_attributes_set start (\S+) size (\S+) '
                    r'private (\d): (\S+)', text)][-3:]

    def assert_reset_and_works(self, qemu, flags, again, failures):
        """After a reset the same conversion succeeds."""
        self.assert_reset_mends(qemu)
        self.fire(qemu, again)
        bytes_of = ('to_private_bytes' if flags else 'to_shared_bytes')
        self.converted(qemu, implicit=1, failures=failures, kept=0,
                       **{bytes_of: BELOW[1] + ABOVE[1]})
        qemu.sweep()
        for page in BELOW[0], ABOVE[0]:
            self.assertEqual(self.word(qemu, page), 0 if flags else 1)

    def test_one_call_fails(self):
        """In each direction each call, and with each error."""
        for state, flags in DIRECTIONS:
            with self.subTest(state=state):
                qemu, nows = self.failing(state, flags, *(
                    f'{ATTRIBUTES}/{flags}:when={{now}}:from={call}:count=1'
                    f':errno={errno}' for call, errno, _ in ONE_FAILS))
                for i, now in enumerate(nows[:-1]):
                    self.assert_undone(qemu, state, flags, i, now)
                    self.put_away(now)
                    if i + 1 < len(ONE_FAILS):
                        self.assert_reset_mends(qemu)
                        qemu.sweep()
                self.assert_reset_and_works(qemu, flags, nows[-1],
                                            len(ONE_FAILS))
                self.assert_ended_well(qemu)

    def assert_undone(self, qemu, state, flags, number, now):
        """The conversion fails as ONE_FAILS[number] says."""
        call, _, text = ONE_FAILS[number]
        part = (BELOW, ABOVE)[call - 1]
        since = self.machine.now_ns()
        self.fire(qemu, now)
        self.assert_stopped(
            qemu, f'KVM_EXIT_MEMORY_FAULT: guest address {SPAN:#x}, size '
            f"{SPAN_SIZE:#x}, flags {flags:#x}, memory region 'microvm.ram': "
            f'KVM_SET_MEMORY_ATTRIBUTES at {part[0]:#x}, size {part[1]:#x}: '
            f'{text}', since)
        figures = self.conversions(qemu)
        self.assertEqual(figures['failures'], number + 1)
        self.assertEqual(figures['to-private'] + figures['to-shared'], 0)
        if state == 'shared':
            for page in BELOW[0], ABOVE[0]:
                self.assertEqual(self.word(qemu, page), 1, 'lost')
        last = self.attributes_set(qemu, number + 1)
        if call == 2:
            done, failed, undone = last
            self.assertEqual(done, (*BELOW, int(flags > 0), 0))
            self.assertEqual(failed[:3], (*ABOVE, int(flags > 0)))
            self.assertEqual(undone, (*BELOW, int(not flags), 0))
        self.assertEqual(qemu.stderr.count('undone 1'), number + 1)

    def test_undoing_fails(self):
        """The message says so, and a reset mends that too."""
        for state, flags in DIRECTIONS:
            with self.subTest(state=state):
                qemu, (now, again) = self.failing(
                    state, flags, f'{ATTRIBUTES}:when={{now}}:from=2'
                    ':errno=ENOMEM')
                self.fire(qemu, now)
                self.assert_stopped(
                    qemu, '(and what was done already cannot be undone) '
                    f'KVM_SET_MEMORY_ATTRIBUTES at {ABOVE[0]:#x}')
                self.put_away(now)
                self.assert_reset_and_works(qemu, flags, again, 1)
                self.assert_ended_well(qemu)

    def test_undone_page_by_page(self):
        """What was private before in the range is so again, no more."""
        first, now = self.trigger(), self.trigger()
        inside = BELOW[0] + 0x4000
        qemu = self.private_running(
            'shared', '-trace', 'kvm_attributes_set', '-trace',
            'kvm_conversion_undo', inject=';'.join((
                self.fault(first, PRIVATE, inside, 4096),
                self.fault(now, PRIVATE, SPAN, SPAN_SIZE),
                f'{ATTRIBUTES}/8:when={now}:from=2:count=1:errno=ENOMEM')))
        qemu.sweep()
        self.fire(qemu, first)
        self.converted(qemu, to_private_bytes=4096)
        self.fire(qemu, now)
        self.assert_stopped(qemu, f'KVM_SET_MEMORY_ATTRIBUTES at {ABOVE[0]:#x}')
        self.assertEqual(self.attributes_set(qemu), [
            (BELOW[0], 0x4000, 0, 0), (inside, 4096, 1, 0),
            (inside + 4096, 0x5b000, 0, 0)])
        self.assertEqual(self.word(qemu, inside - 4096), 1)
        self.assertEqual(self.word(qemu, inside), 0)
        self.assertEqual(self.word(qemu, inside + 4096), 1)
        self.assert_ended_well(qemu)


class GivingBack(PrivateTest):
    """Memory that cannot be given back is counted; the conversion stands."""

    def assert_kept(self, state, flags, rules, *extra, **options):
        """For each rule convert a range with it; then all back without."""
        nows, back = [self.trigger() for _ in rules], self.trigger()
        ranges = [RAM + i * 2 * SIZE for i in range(len(rules))]
        total = len(rules) * SIZE
        inject = [self.fault(back, PRIVATE - flags, RAM, 2 * total)]
        for now, start, rule in zip(nows, ranges, rules):
            inject += [self.fault(now, flags, start), f'{rule}:when={now}']
        qemu = self.private_running(state, *extra, inject=';'.join(inject),
                                    **options)
        qemu.sweep()
        for number, now in enumerate(nows, 1):
            self.fire(qemu, now)
            self.converted(qemu, implicit=number, kept=number * SIZE,
                           failures=0)
            self.put_away(now)
        qemu.sweep()
        for start in ranges:
            self.assertEqual(self.word(qemu, start + SIZE),
                             2 * (state == 'shared'))
            if state == 'private':
                self.assertEqual(self.word(qemu, start), 2)
        self.fire(qemu, back)
        self.converted(qemu, implicit=len(rules) + 1, kept=total, failures=0,
                       to_private_bytes=total, to_shared_bytes=total)
        qemu.sweep()
        for start in ranges:
            self.assertEqual(self.word(qemu, start), 3 * (state == 'shared'))
        self.assertEqual(self.run_state(qemu), 'running')
        self.assert_ended_well(qemu)

    def test_private_memory(self):
        self.assert_kept('private', 0, [
            f'{PUNCH}:errno={errno}'
            for errno in ('EIO', 'EOPNOTSUPP', 'EINTR', 'ENOSPC')])

    def test_shared_memory(self):
        self.assert_kept('shared', PRIVATE, [
            f'{DONTNEED}:errno={errno}'
            for errno in ('EINVAL', 'EAGAIN', 'ENOMEM')])

    def test_shared_memory_of_a_file(self):
        """Of a memfd both calls can fail."""
        self.assert_kept('shared', PRIVATE,
                         [f'{call}:errno=EIO' for call in (PUNCH, DONTNEED)],
                         '-object',
                         'memory-backend-memfd,id=m,size=64M,share=on',
                         machine='microvm,memory-backend=m')

    def test_hugetlb(self):
        """Its shared memory is not given back, nor counted as kept."""
        self.machine.write('/proc/sys/vm/nr_hugepages', '40')
        self.addCleanup(self.machine.write, '/proc/sys/vm/nr_hugepages', '0')
        now = self.trigger()
        rules = [f'{call}:when={now}:errno=EIO' for call in (PUNCH, DONTNEED)]
        qemu = self.private_running(
            'shared', '-object', 'memory-backend-memfd,id=m,size=64M,'
            'share=on,hugetlb=on,hugetlbsize=2M',
            machine='microvm,memory-backend=m',
            inject=';'.join((self.fault(now, PRIVATE), *rules)))
        qemu.sweep()
        self.fire(qemu, now)
        self.converted(qemu, to_private_bytes=SIZE, kept=0)
        self.assertEqual(self.word(qemu, RAM), 1)
        qemu.sweep()
        qemu.quit()
        for rule in rules:
            self.assertEqual(qemu.injected()[rule], (0, 0))


class MappingAfterwards(PrivateTest):
    """KVM_PRE_FAULT_MEMORY after a conversion: the guest never notices."""

    def converting(self, state, flags, errnos):
        """A guest whose conversions are not mapped, for the reasons.

        Returns QEMU and a trigger for each, with a range of its own.
        """
        nows, inject = [self.trigger() for _ in errnos], []
        for i, (now, errno) in enumerate(zip(nows, errnos)):
            inject += [self.fault(now, flags, RAM + i * SIZE),
                       f'{MAP}:when={now}:errno={errno}']
        return self.private_running(state, inject=';'.join(inject)), nows

    def test_tried_again(self):
        """It is pending as long as it cannot be, then it is mapped."""
        for state, flags in DIRECTIONS:
            with self.subTest(state=state):
                qemu, nows = self.converting(state, flags, MAP_RETRIED)
                for i, now in enumerate(nows):
                    self.fire(qemu, now)
                    self.converted(qemu, implicit=i + 1, prefaulted=i * SIZE,
                                   prefault_pending=SIZE)
                    self.put_away(now)
                    self.converted(qemu, prefaulted=(i + 1) * SIZE, failures=0)
                _, faults = qemu.sweep()
                self.assertEqual(faults, 0)
                self.assert_ended_well(qemu)

    def test_left_to_page_faults(self):
        for state, flags in DIRECTIONS:
            with self.subTest(state=state):
                qemu, nows = self.converting(state, flags, MAP_LEFT_OUT)
                for i, now in enumerate(nows):
                    self.fire(qemu, now)
                    self.converted(qemu, implicit=i + 1, prefaulted=0,
                                   failures=0)
                    self.put_away(now)
                _, faults = qemu.sweep()
                # Of private memory each page, else of 2 MiB one
                self.assertGreaterEqual(
                    faults, len(nows) * (SIZE // 4096 if flags else 1))
                self.assertEqual(self.run_state(qemu), 'running')
                self.assert_ended_well(qemu)

    def test_populating_fails(self):
        """Shared memory is populated first."""
        now = self.trigger()
        qemu = self.private_running('private', inject=';'.join((
            self.fault(now),
            f'madvise:MADV_POPULATE_WRITE:when={now}:errno=ENOMEM')))
        self.fire(qemu, now)
        self.converted(qemu, implicit=1, prefaulted=0, failures=0)
        qemu.sweep()
        self.assertEqual(self.word(qemu, RAM), 1)
        self.assert_ended_well(qemu)


class AtTheStart(PrivateTest):
    """What the machine is made of fails: QEMU says what, and ends."""

    def test_refusals(self):
        for rule, message in (
                ('ioctl:KVM_CREATE_VM/1:errno=EINVAL', 'Invalid argument'),
                ('ioctl:KVM_CREATE_GUEST_MEMFD:errno=EMFILE',
                 'Error creating KVM guest_memfd: Too many open files'),
                ('ioctl:KVM_CREATE_GUEST_MEMFD:errno=ENOMEM',
                 'Error creating KVM guest_memfd: Cannot allocate memory'),
                ('ioctl:KVM_ENABLE_CAP/201:errno=EINVAL',
                 'KVM does not pass KVM_HC_MAP_GPA_RANGE on')):
            with self.subTest(rule=rule):
                with self.assertRaisesRegex(bed.BedError, message):
                    self.private('private', inject=rule)

    def test_attributes(self):
        """A guest whose memory is not what it believes never runs."""
        with self.assertRaisesRegex(
                bed.BedError, 'QEMU ended with 1 (.|\n)*KVM refuses to note '
                'which guest memory is private, at guest address 0x0'):
            self.private('private', inject=f'{ATTRIBUTES}:count=1:errno=ENOMEM')

    def test_attributes_of_new_memory(self):
        """A guest that runs is stopped; one that is stopped does not go on."""
        for stopped in False, True:
            with self.subTest(stopped=stopped):
                now = self.trigger()
                qemu = self.private_running(
                    'private', machine='pc', mem='64M,slots=1,maxmem=1G',
                    inject=f'{ATTRIBUTES}:when={now}:count=1:errno=ENOMEM')
                if stopped:
                    qemu.qmp('stop')
                self.machine.write(now, '')
                qemu.qmp('object-add', qom_type='memory-backend-ram', id='m',
                         size=128 * MIB)
                since = qemu.qmp('device_add', driver='pc-dimm', id='d',
                                 memdev='m').sent_ns
                if stopped:
                    since = qemu.qmp('cont').sent_ns
                self.assert_stopped(
                    qemu, 'KVM refuses to note which guest memory is private, '
                    'at guest address 0x100000000', since)
                self.assert_reset_mends(qemu)
                self.assert_ended_well(qemu)


if __name__ == '__main__':
    unittest.main()
