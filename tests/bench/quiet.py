# SPDX-License-Identifier: GPL-2.0-or-later
"""Samples that other work on this host disturbed little.

Others may compute on the host while a time is taken.  Watch tells how much of
the host's CPU time they had.  calm() waits for calm moments, takes samples
until enough of them were little disturbed, but not for ever, and returns the
least disturbed ones.  The report says how much others had at most, so a figure
cannot hide it.
"""
import collections
import contextlib
import glob
import os
import time

from prefaultlib import say

import bed

CALM_CPUS = 0.2                 # CPUs that others keep busy
CALM_SHARE = CALM_CPUS / os.cpu_count()     # of the host's CPU time
TRIES = 3                       # samples taken for each one that is wanted
LOOK_SECONDS = 1
TICKS_OF_STAT = 8               # user .. steal: guest times are in user again
IDLE = slice(3, 5)              # idle and iowait
# Words of /proc/PID/stat behind the name
SESSION = 3
OWN_TIMES = slice(11, 13)       # user, system
ALL_TIMES = slice(11, 15)       # those of waited-for children as well
SECOND = os.sysconf('SC_CLK_TCK')

# results: the least disturbed samples; others: the largest share there was
# while one of them was taken, None if it does not matter; tries: how many
# were taken
Calm = collections.namedtuple('Calm', 'results others tries')


class Machine(bed.BedMachine):
    """The test bed, and what CPU time its emulation has had.

    counts: its clock counts instructions, nobody can disturb it
    """

    def __init__(self, **options):
        self.counts = options.get('icount', False)
        super().__init__(**options)

    def cpu_ticks(self):
        """CPU time of the emulator, in ticks."""
        with open(f'/proc/{self._l0.pid}/stat', encoding='ascii') as stat:
            words = stat.read().rpartition(')')[2].split()
        return int(words[11]) + int(words[12])


class Host(bed.HostMachine):
    """This host, and what CPU time QEMU and all that belongs to it has had."""

    counts = False

    def write(self, path, text):
        """Knobs of the kernel's, too; memory.knob() puts them back, if need be when
        the agent is gone."""
        with open(path, 'w', encoding='ascii') as file:
            file.write(text)

    def cpu_ticks(self):
        """CPU time of the agent's session, in ticks: what lives, and what the agent
        has waited for."""
        ticks = 0
        for path in glob.glob('/proc/[0-9]*/stat'):
            with contextlib.suppress(OSError), open(path, encoding='ascii') as stat:
                words = stat.read().rpartition(')')[2].split()
                if int(words[SESSION]) == self.agent_pid:
                    times = words[OWN_TIMES if self.agent_pid != pid_of(path)
                                  else ALL_TIMES]
                    ticks += sum(map(int, times))
        return ticks


def pid_of(path):
    """The process of a path below /proc."""
    return int(path.split('/')[2])


class Watch:
    """How busy others are from now on."""

    def __init__(self, machine):
        self.machine = machine
        self.before = self._now()

    def _now(self):
        """(all, idle, our) CPU time so far, in ticks."""
        with open('/proc/stat', encoding='ascii') as lines:
            words = lines.readline().split()[1:TICKS_OF_STAT + 1]
        ticks, own = [int(word) for word in words], os.times()
        return (sum(ticks), sum(ticks[IDLE]), self.machine.cpu_ticks()
                + (own.user + own.system) * SECOND)

    def others(self):
        """The part of the host's CPU time that others had, from 0 to 1."""
        total, idle, ours = (now - then for now, then
                             in zip(self._now(), self.before))
        return max(0.0, (total - idle - ours) / max(1, total))


def wait(machine, end):
    """Return when others leave the host alone, or at the end."""
    while time.monotonic() < end:
        watch = Watch(machine)
        time.sleep(LOOK_SECONDS)
        if watch.others() < CALM_SHARE:
            return


def calm(machine, patience, wanted, once):
    """Call once() until wanted samples are calm; returns Calm.

    For patience seconds it waits for calm moments and takes samples again.
    """
    if machine.counts:
        return Calm([once() for _ in range(wanted)], None, wanted)
    found, end = [], time.monotonic() + patience
    while len(found) < wanted or (
            time.monotonic() < end and len(found) < TRIES * wanted
            and sum(share < CALM_SHARE for share, _ in found) < wanted):
        wait(machine, end)
        watch = Watch(machine)
        result = once()
        found.append((watch.others(), result))
        say.info(f'{len(found)} taken; others had {found[-1][0]:.0%} of the '
                 "host's CPUs meanwhile")
    best = sorted(found, key=lambda sample: sample[0])[:wanted]
    return Calm([result for _, result in best], best[-1][0], len(found))


def enough(machine, pairs):
    """How many samples are needed: one, where nobody can disturb it."""
    return 1 if machine.counts else pairs


def disturbed(sample):
    """Tell whether others were in the way of what was taken."""
    return sample.others is not None and sample.others >= CALM_SHARE


def text(sample):
    """What the report says of a sample's calm."""
    if sample.others is None:
        return 'emulated instructions'
    if not disturbed(sample):
        return 'host calm'
    return (f'the least disturbed of {sample.tries} tries: others had up to '
            f'{sample.others:.0%} of the host\'s CPU time')
