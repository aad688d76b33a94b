# SPDX-License-Identifier: GPL-2.0-or-later
"""Each operation of libvirt's at each moment of a start: what it does, and that
the domain runs afterwards, without having been destroyed.

The table that the test prints is the one of docs/libvirt.md.
"""
import os
import unittest

from domains import LibvirtTest
import bed

BED = {'libvirt': True}

HELD = 'paused (starting up)'
FAILED = 'paused (api error)'
RUNS = 'running (booted)'
OFF = 'shut off'
# virsh's words, as far as they tell
NOT_RUNNING = 'error: domain is not running'
EARLY = ('error: domain is starting up, its memory is being mapped: wait until it '
         'runs, or suspend it')

# {operation: what it leads to when the domain is held, has failed, runs}; where a
# start was cancelled all is as where it failed
MATRIX = {
    'suspend': ('paused (user)', FAILED, 'paused (user)'),
    'resume': (HELD, HELD, 'error: domain is already running'),
    'managedsave': ('shut off (saved)',) * 3,
    'dump': (HELD, FAILED, 'running (unpaused)'),
    'snapshot': (HELD, FAILED, 'running (unpaused)'),
    'migrate': (EARLY, 'there: paused', 'there: running'),
    'reboot': (HELD, FAILED, RUNS),
    'reset': (HELD, FAILED, RUNS),
    'shutdown': (NOT_RUNNING, NOT_RUNNING, RUNS),
    'destroy': ('shut off (destroyed)',) * 3,
    'daemon': (HELD, FAILED, RUNS),
}


def error_of(error, domain):
    """What virsh said, without the name."""
    said = str(error).splitlines()[-1].split('not valid: ')[-1]
    return 'error: ' + said.replace(f" '{domain.name}'", '')


class Matrix(LibvirtTest):

    def bring(self, name, moment):
        """A domain at that moment, and the paths that keep it there."""
        fails, slow, variables = self.switches()
        domain = self.define(name, variables=variables)
        if moment == 'failed':
            self.machine.write(fails, '')
        if moment in ('held', 'cancelled'):
            self.machine.write(slow, '')
        domain.virsh('start')
        if moment == 'cancelled':
            domain.qmp('prefault-cancel')
        wanted = {'held': HELD, 'running': RUNS}.get(moment, FAILED)
        self.until(lambda: self.state(domain) == wanted, moment)
        if moment == 'running':
            domain.wait_text('READY')
        else:
            self.machine.write(slow, '')    # what comes next takes a while
        self.put_away(fails)
        return domain, slow

    @staticmethod
    def state(domain):
        """As virsh prints it."""
        return '{} ({})'.format(*domain.state())

    # Operations; each returns the domain as it is to be had from now on

    def do_dump(self, domain):
        """Of memory alone."""
        domain.virsh('dump', self.machine.scratch('dump'), '--memory-only')

    def do_snapshot(self, domain):
        """With memory."""
        domain.virsh('snapshot-create-as', domain.name, '--memspec',
                     self.machine.scratch(f'{domain.name}.memory') +
                     ',snapshot=external')

    def do_daemon(self, _):
        """Restart it."""
        self.libvirt.stop()
        self.libvirt.start()

    def do_migrate(self, domain):
        """To another daemon."""
        other = self.daemon(bed.Libvirt, 2)
        self.libvirt.virsh(
            'migrate', '--live', '--domain', domain.name, '--desturi',
            other.connection, '--migrateuri',
            f"unix://{self.machine.scratch('migration')}")
        return bed.Domain(other, domain.name)

    def operate(self, operation, domain):
        """Do it; returns what came of it, and the domain."""
        before = domain
        try:
            special = getattr(self, f'do_{operation}', None)
            domain = (special(domain) if special else
                      domain.virsh(operation) and None) or domain
        except bed.VirshError as error:
            return error_of(error, domain), domain
        if domain is not before:
            self.addCleanup(domain.end)
            return f'there: {domain.state()[0]}', domain
        return self.state(domain), domain

    def assert_heals(self, domain, operation, moment):
        """It can be had running, by start or resume alone."""
        if domain.state()[0] == OFF:
            domain.virsh('start')
        state = self.state(domain)
        if operation == 'managedsave':      # the wish to run is kept
            self.assertEqual(state.startswith('paused (') and state != HELD,
                             moment in ('failed', 'cancelled'), state)
        if state.startswith('paused') and state != HELD:
            domain.virsh('resume')
        self.runs(domain)
        self.assertEqual(self.run_state(domain), 'running')

    def at(self, moment, column):
        """All operations at the moment."""
        for operation, results in MATRIX.items():
            with self.subTest(operation=operation, moment=moment):
                name = f'{operation}-{moment}'
                domain, slow = self.bring(name, moment)
                came, domain = self.operate(operation, domain)
                print(f'# note: {operation} | {moment} | {came}')
                self.put_away(slow)
                self.assertEqual(came, results[column])
                self.assert_heals(domain, operation, moment)
                domain.end()

    def test_held(self):
        """Memory is being mapped."""
        self.at('held', 0)

    def test_failed(self):
        """The run failed."""
        self.at('failed', 1)

    @unittest.skipUnless(os.environ.get('PREFAULT_LONG'),
                         'long: as where it failed')
    def test_cancelled(self):
        """It was cancelled."""
        self.at('cancelled', 1)

    def test_running(self):
        """It runs."""
        self.at('running', 2)


if __name__ == '__main__':
    unittest.main()
