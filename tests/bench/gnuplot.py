# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures of figures: panels of lines, drawn by gnuplot as SVG."""
import collections
import subprocess

from prefaultlib.assemble import packages
from prefaultlib.err import Fail

PROGRAM = 'gnuplot'
WIDTH = 860                     # of a picture with two panels beside each other
ONE_WIDTH = 640                 # of one with a single panel
HEIGHT = 340                    # of a row of panels
TITLE_HEIGHT = 30

# name: '' if it needs none; points: [(x, y)]; color: one of COLORS; how: of gnuplot, 'lines' or 'points' and so on
Line = collections.namedtuple('Line', 'name color points how', defaults=('lines',))
# logarithmic: 'x', 'y', 'xy' or ''; more: commands of gnuplot's for this panel
Panel = collections.namedtuple('Panel', 'title x y lines logarithmic more',
                               defaults=('', ''))

# Okabe and Ito's colours, which can be told apart by all; each has a dash of its own
COLORS = {'grey': ('#666666', 2, 2), 'orange': ('#d55e00', 1, 2),
          'purple': ('#aa4499', 4, 2), 'green': ('#009e73', 5, 2),
          'blue': ('#0072b2', 1, 3)}

BEGIN = '''set terminal svg size {width},{height} font 'sans-serif,12' background '#ffffff'
set output
set encoding utf8
set multiplot layout {rows},{columns} title '{title}' font 'sans-serif,15'
set key below maxrows 2 samplen 3 spacing 1.1 noenhanced
set grid linecolor '#dddddd'
set tics nomirror
set border 3
'''
PANEL = '''unset logscale
set autoscale
set format '%g'
{logscale}set title '{title}' font 'sans-serif,13' noenhanced
set xlabel '{x}' offset 0,0.4
set ylabel '{y}'
{more}
plot {lines}
'''


def need_tool():
    """Install gnuplot, or say that it is missing."""
    packages.need_program(PROGRAM, packages.PLOTS, 'draws pictures of figures')


def draw(path, title, panels):
    """Write the panels as an SVG picture, two beside each other."""
    done = subprocess.run([PROGRAM], input=script(title, panels), text=True,
                          encoding='utf-8', capture_output=True, check=False)
    if done.returncode or not done.stdout:
        raise Fail(f'{PROGRAM} cannot draw {path.name}: {done.stderr.strip()}')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(done.stdout, encoding='utf-8')


def script(title, panels):
    """What gnuplot is told."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    return BEGIN.format(
        title=title, rows=rows, columns=columns,
        width=WIDTH if columns > 1 else ONE_WIDTH,
        height=HEIGHT * rows + TITLE_HEIGHT) + ''.join(
            blocks(number, panel) + commands(number, panel)
            for number, panel in enumerate(panels))


def blocks(number, panel):
    """The points of a panel's lines, as gnuplot's data blocks."""
    return ''.join(
        f'$d{number}_{i} << EOD\n'
        + ''.join(f'{x:.6g} {y:.6g}\n' for x, y in line.points) + 'EOD\n'
        for i, line in enumerate(panel.lines))


def commands(number, panel):
    """gnuplot's commands that draw a panel."""
    lines = []
    for i, line in enumerate(panel.lines):
        color, dash, width = COLORS[line.color]
        style = (f"linecolor '{color}' linewidth {width} dashtype {dash}"
                 if 'lines' in line.how or 'steps' in line.how else
                 f"linecolor '{color}'")
        points = {'points': ' pointtype 6 pointsize 0.6',
                  'linespoints': ' pointtype 7 pointsize 0.5'}.get(line.how, '')
        title = f"title '{line.name}'" if line.name else 'notitle'
        lines.append(f'$d{number}_{i} using 1:2 with {line.how} {style}{points} '
                     f'{title}')
    logscale = ''.join(f"set logscale {axis}\nset format {axis} '10^{{%L}}'\n"
                       for axis in panel.logarithmic)
    return PANEL.format(logscale=logscale, title=panel.title, x=panel.x, y=panel.y,
                        more=panel.more, lines=', \\\n     '.join(lines))
