# SPDX-License-Identifier: GPL-2.0-or-later
"""The table: each way to bring a guest up, on each kind of memory."""
import collections

import figures
import memory
import quiet
import start
from prefaultlib import say

HEAD = ('memory', 'way', 'workers', 'stage-2 faults', 'median', 'p99', 'max',
        'launch to QMP, ms', 'cont to RESUME, ms', 'sum, ms', 'others')

# A row of the table: what was measured, the start.Start, and how much of the
# host's CPU time others had meanwhile
Row = collections.namedtuple('Row', 'kind way workers start others')


def runs(kinds, options):
    """What is measured: tuples of kind, way and number of workers."""
    for kind in kinds:
        yield kind, start.OFF, 1
        for way in (start.PREALLOC, start.IOCTL, start.OURS):
            for workers in options.workers:
                yield kind, way, workers


def measure(machine, options, kinds):
    """Run all with these kinds of memory; returns the rows."""
    rows, todo = [], list(runs(kinds, options))
    with memory.ready(machine, memory.HUGE, options.mem):
        # The first start reads QEMU's file for the first time
        start.timed(machine, memory.HUGE, options.mem, start.OFF, 1)
    for number, (kind, way, workers) in enumerate(todo, 1):
        say.step(f'table, {number} of {len(todo)}: {kind.name}, {way.name}, '
                 f'workers: {workers}')
        with memory.ready(machine, kind, options.mem):
            watch = quiet.Watch(machine)
            took = start.swept(machine, kind, options.mem, way, workers)
            rows.append(Row(kind, way, workers, took, watch.others()))
    return rows


def cells(row):
    """A row as the table shows it."""
    sweep, times = row.start.sweep, row.start
    return (row.kind.name, row.way.name,
            row.workers if row.way != start.OFF else '-',
            times.faults, sweep.median, sweep.p99, sweep.max,
            figures.ms(times.launch_ns), figures.ms(times.cont_ns),
            figures.ms(times.launch_ns + times.cont_ns), f'{row.others:.0%}')


def bar(rows, options):
    """The bar: no stage-2 fault at all with prefault=on."""
    ours = [row for row in rows if row.way == start.OURS]
    faults = sum(row.start.all_faults for row in ours)
    others = max(row.start.all_faults for row in rows
                 if row.way == start.OFF)
    return [figures.Bar(
        'stage-2 faults on microvm', '0', str(faults), faults == 0,
        f'from the start of the guest until it has written every page, summed '
        f'over {len(ours)} runs of {options.mem} MiB with prefault=on; one run '
        f'without prefault takes up to {others}')]
