# SPDX-License-Identifier: GPL-2.0-or-later
"""Which pictures there are, and what each shows.

Each function takes the results of the measurements that it shows, and returns the
panels of one picture.
"""
import statistics

import balancing
import behind
import conversions
import firmware
import gnuplot
import start
from gnuplot import Line, Panel

# One colour for one way in all pictures
WAY_COLORS = {
    start.OFF.name: 'grey', start.PREALLOC.name: 'orange',
    start.IOCTL.name: 'purple', start.OURS.name: 'blue',
    firmware.ONCE.name: 'green', behind.BACKGROUND.name: 'green',
    balancing.KEEP_OFF.name: 'purple', balancing.AUTO.name: 'green',
    balancing.KEEP_ON.name: 'blue'}
SMALLEST = 1e-6                 # of a share that is drawn


def slower(histogram):
    """(cycles, the share of writes that took as long or longer) from a histogram.

    The share is that of all cycles since the point before: gnuplot's fsteps.
    """
    total, left, points = sum(histogram.values()), sum(histogram.values()), []
    for cycles in sorted(histogram):
        points.append((cycles, left / total))
        left -= histogram[cycles]
    return [*points, (max(histogram), SMALLEST)]


def shares(title, sweeps):
    """The panel of several (way's name, bed.Sweep)."""
    return Panel(title, 'cycles of a first write', 'share of writes that take longer',
                 [Line(way, WAY_COLORS[way], slower(sweep.histogram), 'fsteps')
                  for way, sweep in sweeps], 'xy', f'set yrange [{SMALLEST}:1]')


def first_writes(rows):
    """How long first writes take, for each kind of memory; with the most workers."""
    workers = max(row.workers for row in rows)
    panels = []
    for kind in dict.fromkeys(row.kind.name for row in rows):
        panels.append(shares(kind, [
            (row.way.name, row.start.sweep) for row in rows if row.kind.name == kind
            and (row.way == start.OFF or row.workers == workers)]))
    return panels


def starts(found):
    """How long a start takes, by the number of workers; each run, and a line through
    the medians."""
    panels = []
    for kind in dict.fromkeys(one.kind.name for one in found):
        own = [one for one in found if one.kind.name == kind]
        workers = sorted({one.workers for one in own})
        lines = []
        for way in dict.fromkeys(one.way.name for one in own):
            runs = [one for one in own if one.way.name == way]
            lines += [Line(way, WAY_COLORS[way],
                           [(one.workers, statistics.median(one.ms)) for one in runs],
                           'linespoints'),
                      Line('', WAY_COLORS[way],
                           [(one.workers, ms) for one in runs for ms in one.ms],
                           'points')]
        panels.append(Panel(
            kind, 'threads', 'from launch to RESUME, ms', lines, 'x',
            "set yrange [0:*]\nset format x '%g'\nset xtics ("
            + ', '.join(map(str, workers)) + ')\n'
            f'set xrange [{workers[0] * 0.8}:{workers[-1] * 1.25}]'))
    return panels


def boots(found):
    """Faults over time while firmware boots and the guest then writes its memory."""
    panels = []
    for name in dict.fromkeys(boot.firmware for boot in found):
        own = [boot for boot in found if boot.firmware == name]
        panels.append(Panel(
            name, 'seconds since RESUME; arrow: the guest begins to write all',
            'stage-2 faults so far',
            [Line(boot.way, WAY_COLORS[boot.way], boot.points, 'steps')
             for boot in own], '', ''.join(
                 ['set yrange [0:*]\nunset arrow\n']
                 + [f'set arrow from {boot.writes:.3f}, graph 0.12 to '
                    f'{boot.writes:.3f}, graph 0.02 linecolor '
                    f"'{gnuplot.COLORS[WAY_COLORS[boot.way]][0]}' linewidth 2\n"
                    for boot in own])))
    return panels


def balanced(rows):
    """Faults over time under NUMA balancing."""
    return [Panel(f'a guest of {balancing.MIB} MiB that writes its memory again and '
                  'again', 'seconds since its first sweep', 'stage-2 faults so far',
                  [Line(row.way, WAY_COLORS[row.way], row.points, 'steps')
                   for row in rows], '', 'set yrange [-50:*]')]


def converted(rows):
    """Conversions and the first writes after them, by size."""
    panels = []
    for direction in dict.fromkeys(row.direction for row in rows):
        lines = []
        for way, color in ((conversions.WAYS[0], 'grey'), (conversions.WAYS[1], 'blue')):
            own = [row for row in rows
                   if row.direction == direction and row.way == way.name]
            for name, value, how in (
                    ('with first writes', lambda row: row.convert + row.touch,
                     'linespoints'),
                    ('alone', lambda row: row.convert, 'points')):
                lines.append(Line(f'{way.name}, {name}', color,
                                  [(row.pages * conversions.PAGE_KIB,
                                    value(row) / row.pages) for row in own], how))
        panels.append(Panel(f'conversion {direction}', 'KiB', 'cycles a page', lines,
                            'xy', "set format x '%g'"))
    return panels


def behind_a_guest(firsts, plugs, options):
    """What a running guest notices."""
    writes = shares(f'first writes to {behind.reach(options)} MiB of 4 KiB pages',
                    [(one.way, one.sweep) for one in firsts])
    loop = Panel(
        f'a DIMM of {behind.large(options)} MiB is plugged in at 0',
        'seconds', 'ms for a turn of its loop',
        [Line(plug.way, WAY_COLORS[plug.way],
              [(end, ms) for end, ms in plug.points if -1 < end], 'points')
         for plug in plugs], 'y')
    return [writes, loop]


def all_of(results, options):
    """{name: (title, panels)} of the pictures that the results are there for."""
    found = {}
    if results.rows:
        found['first-writes'] = ('First writes', first_writes(results.rows))
    if results.starts:
        found['start'] = ('Start and threads', starts(results.starts))
    if results.plugs:
        found['behind'] = ('A guest that runs meanwhile', behind_a_guest(
            results.firsts, results.plugs, options))
    if results.boots:
        found['boot'] = ('Faults over time: firmware', boots(results.boots))
    if results.balanced:
        found['balancing'] = ('Faults over time: NUMA balancing',
                              balanced(results.balanced))
    if results.converted:
        found['conversions'] = ('Conversions', converted(results.converted))
    return found


def draw(results, options, folder):
    """Draw all into the folder; the names of the files."""
    for old in folder.glob('*.svg'):
        old.unlink()
    names = []
    for name, (title, panels) in all_of(results, options).items():
        gnuplot.draw(folder / f'{name}.svg', title, panels)
        names.append(f'{name}.svg')
    return names
