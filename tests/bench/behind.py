# SPDX-License-Identifier: GPL-2.0-or-later
"""What a running guest notices while memory is prefaulted behind it.

Its first writes while prefault=background works, and how long its loop of writes
and output takes while a DIMM is plugged in.
"""
import collections
import statistics
import time

import memory
import start
from prefaultlib import say

WORKERS = 2
LOOP_MIB = 16                   # RAM of the guest that gets a DIMM
LOOP = ('-fw_cfg', 'name=opt/prefault/sweeps,string=1000000')
REACH_MIB = 3072                # of RAM on microvm, below 4 GiB
TURNS_BEFORE = 5                # the first writes its memory for the first time
REST_SECONDS = 1                # before a DIMM is plugged in, and after
LOOK_SECONDS = 0.002
HEAD = ('way', 'DIMM is there after, ms', 'loop before, median ms',
        'meanwhile, median ms', 'meanwhile, longest ms')

BACKGROUND = start.Way('prefault=background',
                       'kvm,prefault=background,prefault-threads={}', '', None)
# What a DIMM's memory gets: accel is the guest's, backend the DIMM's
DIMMS = (start.OFF, start.PREALLOC, start.OURS)

# sweep: the guest's bed.Sweep
First = collections.namedtuple('First', 'way sweep faults')
# points: (seconds since the DIMM was asked for, ms of a turn of the loop) for each
# turn; seconds: until its memory was ready
Plug = collections.namedtuple('Plug', 'way points seconds')


def large(options):
    """MiB of memory that takes a while, so that there is a meanwhile."""
    return options.pair_mem * 2


def reach(options):
    """The same of memory that the measuring guest writes to."""
    return min(large(options), REACH_MIB)


def first_writes(machine, options):
    """First writes without prefault, behind, and after it; a list of Firsts."""
    kind, mib, found = memory.FOUR_KIB, reach(options), []
    with memory.ready(machine, kind, mib):
        for way in (start.OFF, BACKGROUND, start.OURS):
            say.step(f'first writes of a guest that runs: {way.name}')
            with start.paused(machine, kind, mib, way, WORKERS,
                              *start.HISTOGRAM) as qemu:
                qemu.qmp('cont', timeout=start.LONG)
                sweep = qemu.wait_sweep(1, start.LONG)
                found.append(First(way.name, sweep, qemu.faults()))
                start.finish(qemu, way)
    return found


def plugs(machine, options):
    """A DIMM for a guest that runs, in each way; a list of Plugs."""
    mib, found = large(options), []
    with memory.ready(machine, memory.FOUR_KIB, mib):
        for way in DIMMS:
            say.step(f'a DIMM of {mib} MiB: {way.name}')
            with machine.guest(
                    *LOOP, machine='pc', wait=True, paused=True,
                    mem=f'{LOOP_MIB}M,slots=1,maxmem={LOOP_MIB + mib}M',
                    accel=way.accel.format(WORKERS), smp=WORKERS) as qemu:
                found.append(plugged(qemu, way, mib))
    return found


def plugged(qemu, way, mib):
    """The Plug of one DIMM."""
    qemu.qmp('cont', timeout=start.LONG)
    qemu.wait_text('READY', start.LONG)
    qemu.qmp('inject-nmi')
    qemu.wait_sweep(TURNS_BEFORE, start.LONG)
    time.sleep(REST_SECONDS)
    properties = {'prealloc': True, 'prealloc-threads': WORKERS
                  } if way is start.PREALLOC else {}
    begun = qemu.qmp('object-add', timeout=start.LONG, id='dimm-memory',
                     qom_type='memory-backend-ram', size=mib << 20,
                     **properties).sent_ns
    qemu.qmp('device_add', driver='pc-dimm', id='dimm', memdev='dimm-memory',
             timeout=start.LONG)
    while qemu.qmp('query-prefault').value.get('owed'):
        time.sleep(LOOK_SECONDS)
    ready = qemu.machine.now_ns()
    time.sleep(REST_SECONDS)
    turns = [sweep.ns for sweep in qemu.sweeps[1:]]
    start.finish(qemu, way)
    return Plug(way.name, [((now - begun) / 1e9, (now - before) / 1e6)
                           for before, now in zip(turns, turns[1:])],
                (ready - begun) / 1e9)


def turns(plug, meanwhile):
    """The ms of each turn before the DIMM, or of those that touch the time until it
    was ready."""
    return [ms for end, ms in plug.points
            if (end > 0 and end - ms / 1e3 < plug.seconds if meanwhile
                else end <= 0)]


def cells(plug):
    """A row as the table shows it."""
    before, meanwhile = turns(plug, False), turns(plug, True)
    return (plug.way, *(f'{ms:.1f}' for ms in (
        plug.seconds * 1e3, statistics.median(before), statistics.median(meanwhile),
        max(meanwhile))))


def faults_text(firsts):
    """A sentence: how many stage-2 faults each took."""
    return ('Stage-2 faults: ' + ', '.join(
        f'{one.faults} ({one.way})' for one in firsts) + '.')
