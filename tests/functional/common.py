# SPDX-License-Identifier: GPL-2.0-or-later
"""What the functional tests share: a guest in the bed, and what to expect."""
import os
import sys
import time
import unittest

from prefaultlib.assemble import project
import bed
from bed import instrument, linuxfiles

MIB = 1 << 20

# Emulated, and perhaps on a busy machine: only a hang takes this long.
RUN_SECONDS = 120

NEXT_TO_NONE = 8                # faults
SETTLED_SECONDS = 0.5           # a refill, khugepaged or a run does something meanwhile

THP = '/sys/kernel/mm/transparent_hugepage'
NX_HUGE_PAGES = '/sys/module/kvm/parameters/nx_huge_pages'


def machine_of(module, kind=bed.BedMachine):
    """The shared machine of the kind that a test module's BED names.

    BED: options of bed.shared(); scripts/check reads it, too

    With `scripts/check --host` that is this host, for tests that need no more.
    """
    wanted = getattr(sys.modules[module], 'BED', {})
    if not os.environ.get('PREFAULT_HOST'):
        return bed.shared(kind, **wanted)
    if wanted:
        words = ', '.join(f'{name}={value}' for name, value in wanted.items())
        raise unittest.SkipTest(f'host: it takes an emulated machine ({words})')
    cannot = bed.cannot_prefault()
    if cannot:
        raise unittest.SkipTest(f'host: {cannot}')
    return bed.shared(bed.HostMachine)


def takes_qemu(version, below=None):
    """For tests of what QEMU does since a version, '11.0' for instance, and before
    another."""
    def parts(text):
        return [int(n) for n in text.split('.')[:2]]
    base = parts(project.QEMU.base)
    if below and base >= parts(below):
        return unittest.skip(f'base: QEMU {below} does it no more')
    return unittest.skipIf(base < parts(version),
                           f'base: it takes QEMU {version} or later')


def not_on_a_host():
    """For a module whose tests are about the bed."""
    if os.environ.get('PREFAULT_HOST'):
        raise unittest.SkipTest('host: it is about an emulated machine')


# Nothing is known to be mapped still: each run walks all memory, as the first
WALKED = 'on,prefault-keep=off'


class BedTest(unittest.TestCase):
    """A test with the shared machine; skipped where there is none.

    kind: of the machine, for bed.shared()
    pace: seconds between two looks of until()
    """

    kind = bed.BedMachine
    pace = 0.02
    triggers = 0                # files of trigger() so far

    @classmethod
    def setUpClass(cls):
        cls.machine = machine_of(cls.__module__, cls.kind)
        cls.addClassCleanup(cls.machine.clear)

    def __init__(self, *args):
        super().__init__(*args)
        self.guests = []        # of this test
        self.addCleanup(lambda: instrument.check(self.machine))     # the last

    def guest(self, prefault='on', *extra, paused=True, **options):
        """Start QEMU with a guest, by default with -S.

        It is killed at the test's end.  Options: see bed.Machine.guest().
        """
        accel = f'kvm,prefault={prefault}' if prefault else 'kvm'
        qemu = self.machine.guest(*extra, accel=accel, paused=paused,
                                  **options)
        self.addCleanup(qemu.kill)
        self.guests.append(qemu)
        return qemu

    def linux_guest(self, append, *extra, mib, keep='auto', **how):
        """Start QEMU with a Linux guest; its console is QEMU's output.

        append: more of the kernel's command line
        how:    as of Machine.qemu()
        """
        # If L1 has ended, as a kernel may that runs nested, it is a new one
        self.machine = machine_of(type(self).__module__, self.kind)
        qemu = self.machine.qemu(
            '-machine', 'q35', '-cpu', 'host', '-accel',
            f'kvm,prefault=on,prefault-keep={keep}',
            '-m', f'{mib}M', '-nodefaults', '-display', 'none',
            '-chardev', 'stdio,id=console,signal=off',
            '-serial', 'chardev:console', *extra,
            '-kernel', self.machine.path(linuxfiles.KERNEL),
            '-initrd', self.machine.path(linuxfiles.ROOT),
            '-append', f'console=ttyS0 quiet panic=-1 {append}', **how)
        self.addCleanup(qemu.kill)
        self.guests.append(qemu)
        return qemu

    def query(self, qemu):
        """query-prefault's answer."""
        return qemu.qmp('query-prefault').value

    def rss(self, qemu):
        """MiB that its process has."""
        return int(self.machine.read(f'/proc/{qemu.pid}/status')
                   .partition('VmRSS:')[2].split()[0]) // 1024

    def run_state(self, qemu):
        """The run state's name."""
        return qemu.qmp('query-status').value['status']

    def completed(self, qemu, since_ns=0):
        """Wait for the end of a run; returns the event."""
        return qemu.wait_event('PREFAULT_COMPLETED', RUN_SECONDS, since_ns)

    def resumed(self, qemu, since_ns=0):
        """Wait until the guest is started; returns the event."""
        return qemu.wait_event('RESUME', RUN_SECONDS, since_ns)

    def let_run(self, qemu):
        """Start the guest; returns when it has not written its memory yet."""
        qemu.qmp('cont')
        self.resumed(qemu)
        qemu.wait_text('READY', RUN_SECONDS)

    def running(self, prefault='on', *extra, **options):
        """A guest that runs and has not written its memory yet."""
        qemu = self.guest(prefault, *extra, wait=True, **options)
        self.let_run(qemu)
        return qemu

    def assert_held_until_ready(self, qemu):
        """The start waits for the run, and the guest then takes no fault."""
        self.assertEqual(self.run_state(qemu), 'prelaunch')
        self.assertEqual(self.query(qemu)['status'], 'active')
        done = self.completed(qemu)
        self.assertEqual(done.data['status'], 'completed')
        self.assertGreaterEqual(self.resumed(qemu).ns, done.ns)
        qemu.wait_sweep()
        self.assertEqual(qemu.faults(), 0)

    def assert_cont_succeeds(self, qemu, faults=0):
        """A new try completes, clears the error, and does all the work.

        faults: how many the guest may take all the same
        """
        again = qemu.qmp('cont').sent_ns
        self.assertEqual(self.completed(qemu, again).data['status'],
                         'completed')
        self.assertNotIn('error', self.query(qemu))
        qemu.wait_sweep()
        self.assertLessEqual(qemu.faults(), faults)

    def refilled(self, qemu):
        """Wait until nothing that was dropped is pending; query's retention."""
        self.until(lambda: not
                   self.query(qemu)['retention']['refill-pending'], 'refilled')
        return self.query(qemu)['retention']

    def assert_all_mapped(self, qemu, mib, what):
        """After firmware: all is mapped huge but the first 2 MiB, which firmware
        cuts up, and the guest writes it with two faults below 1 MiB at most.

        Returns query's retention from before the guest wrote.
        """
        figures = self.refilled(qemu)
        huge = mib // 2 - 1
        self.assertEqual(qemu.vm_stats()['pages_2m'], huge)
        sweep, faults = qemu.sweep()
        print(f'# note: {what}: {faults} faults in {sweep.pages} pages; '
              f'{figures}')
        self.assertGreater(sweep.pages, (mib - 1) * MIB // 4096)
        self.assertLessEqual(faults, 2)
        self.assertEqual(qemu.vm_stats()['pages_2m'], huge)
        return figures

    def assert_mapped_again(self, qemu, what, take, done=lambda: True, rest=0):
        """take() takes mappings; they come back while the guest is idle.

        done: the host has come to an end
        rest: so many bytes need not come back
        """
        before = self.query(qemu)['mapped-now']
        since = self.machine.now_ns()
        take()
        taken = self.machine.now_ns()
        noticed = qemu.wait_event('PREFAULT_LOST', RUN_SECONDS, since).ns
        self.until(lambda: done() and self.is_mapped_again(
            self.query(qemu), before, rest), what)
        if rest:        # a part of it may be on its way
            def look():
                info = self.query(qemu)
                return info['mapped-now'], info['retention']['refill-pending']
            self.settles(look, what)
        mapped = self.machine.now_ns()
        print(f'# note: {what}: {(taken - since) / 1e6:.0f} ms, noticed after '
              f'{(noticed - since) / 1e6:.0f} ms, mapped again '
              f'{(mapped - taken) / 1e6:.0f} ms after its end')

    def settles(self, look, what):
        """Wait until nothing comes and goes: look() returns the same once more."""
        def same():
            before = look()
            time.sleep(SETTLED_SECONDS)
            return look() == before
        self.until(same, f'{what}: at rest')

    @staticmethod
    def is_mapped_again(info, before, rest):
        """All is, or, once a run has ended, all but a rest."""
        return (info['mapped-now'] >= before or
                info['mapped-now'] >= before - rest and
                info['retention']['refill-pending'] <= rest)

    def assert_comes_back(self, qemu, what, *how, **rest):
        """Mappings that the host takes come back before the guest needs them.

        Arguments: as for assert_mapped_again()
        """
        self.assert_mapped_again(qemu, what, *how, **rest)
        self.assert_none_is_missing(qemu, what)

    def assert_none_is_missing(self, qemu, what):
        """The guest writes all of it."""
        faults = qemu.sweep()[1]
        info = self.query(qemu)['retention']
        print(f'# note: {what}: {info["lost"]} bytes lost, {info["remapped"]} '
              f'mapped again so far, {faults} faults in a sweep')
        self.assertGreater(info['lost'], 0)
        self.assert_hmp_says(qemu, r'\d+ KiB taken by the host, \d+ KiB mapped again')
        self.assertLessEqual(faults, NEXT_TO_NONE)

    def assert_hmp_says(self, qemu, words):
        """`info prefault` has these words, a regular expression.

        qemu: a Qemu or a Domain
        """
        self.assertRegex(qemu.hmp('info prefault'), words)

    def knob(self, path, value):
        """Set a knob of the kernel's; the choice in brackets, or the
        value, is put back at the test's end.
        """
        now = self.machine.read(path).strip()
        now = now.partition('[')[2].partition(']')[0] or now
        self.addCleanup(self.machine.write, path, now)
        self.machine.write(path, str(value))

    def let_khugepaged_rest(self):
        """It puts small pages together at any time, which costs their mappings."""
        self.knob(f'{THP}/khugepaged/scan_sleep_millisecs', 3600000)

    def trigger(self):
        """A path for rules with when=: they rest until the machine's write()."""
        BedTest.triggers += 1
        path = self.machine.scratch(f'now{BedTest.triggers}')
        self.addCleanup(self.put_away, path)
        return path

    def asleep(self, qemu, number, where='nanosleep'):
        """Wait until so many of its threads are in this function of the kernel.

        where: a part of its name, default that of an injected delay
        """
        self.until(lambda: self.machine.run(
            '/bin/sh', '-c', f'for file in /proc/{qemu.pid}/task/*/wchan; do cat $file; '
            'echo; done')[1].count(where) == number, f'{number} threads asleep')

    def put_away(self, path):
        """The path's rules rest again."""
        self.machine.run('/bin/rm', '-f', path)

    def migration_is(self, qemu, status):
        """Wait until the migration's status is this one."""
        self.until(lambda: qemu.qmp('query-migrate').value.get('status') ==
                   status, status)

    def migrate_nowhere(self, qemu):
        """Begin a migration that soon gets stuck; returns what cancels it."""
        path = self.trigger()
        qemu.qmp('migrate', uri=f'exec:until test -e {path}; do sleep 0.1; '
                 'done; cat >/dev/null')
        self.migration_is(qemu, 'active')

        def cancel():
            # If it is not stuck yet, QEMU waits for the program before it answers
            number = qemu.qmp_send('migrate_cancel')
            self.machine.write(path, '')
            qemu.reply(number)
            self.migration_is(qemu, 'cancelled')
        return cancel

    def make_qcow2(self, path):
        """An empty image, made by QEMU's own jobs."""
        with self.machine.qemu('-M', 'none', '-display', 'none') as maker:
            def create(job, **options):
                maker.qmp('blockdev-create', job_id=job, options=options)
                self.until(lambda: any(
                    j['id'] == job and j['status'] == 'concluded'
                    for j in maker.qmp('query-jobs').value), 'created')
            create('file', driver='file', filename=path, size=0)
            maker.qmp('blockdev-add', driver='file', filename=path,
                      node_name='node')
            create('qcow2', driver='qcow2', file='node', size=64 * MIB)
            maker.quit()

    def until(self, condition, what):
        """Poll until the condition holds; if never, say what the guests do."""
        deadline = (time.monotonic()
                    + RUN_SECONDS * self.machine.link.patience)
        while not condition():
            if time.monotonic() > deadline:
                self.fail('\n'.join([f'never {what}', *(
                    guest.describe() for guest in self.guests
                    if guest.process.code is None)]))
            time.sleep(self.pace)

    def assert_injected(self, qemu):
        """End QEMU; every rule of its injection applied at least once."""
        qemu.quit()
        counts = qemu.injected()
        self.assertTrue(counts, 'the injection library was not there')
        for rule, (_, hits) in counts.items():
            self.assertGreater(hits, 0, f'{rule} never applied')
