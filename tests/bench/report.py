# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures as tables: for a terminal, and for the document.

Markdown with aligned columns serves both.
"""
import textwrap

import balancing
import behind
import conversions
import firmware
import matrix

VERDICTS = {True: 'met', False: '**not met**'}


def table(head, rows, left=2):
    """A Markdown table with aligned columns."""
    rows = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ['| ' + ' | '.join(
        f'{cell:<{width}}' if i < left else f'{cell:>{width}}'
        for i, (cell, width) in enumerate(zip(row, widths))) + ' |'
             for row in rows]
    lines.insert(1, '|' + '|'.join(
        '-' * (width + 2) if i < left else '-' * (width + 1) + ':'
        for i, width in enumerate(widths)) + '|')
    return '\n'.join(lines) + '\n'


def bars_table(bars):
    """The bars, one a row."""
    return table(('what', 'bar', 'figure', ''),
                 [(b.what, b.bar, b.figure,
                   VERDICTS[b.met] + ', host disturbed' * b.disturbed)
                  for b in bars],
                 left=4)


def notes(bars):
    """How each bar was measured, and the times behind a ratio."""
    return '\n'.join(textwrap.fill(f'* {b.what}: {b.note}.', 80,
                                   subsequent_indent='  ')
                     for b in bars) + '\n'


def tables(results):
    """{section: its table} of what was measured, in the document's order."""
    boot = ('boot, million instructions' if results.emulated else 'boot, ms')
    found = {}
    if results.rows:
        found['matrix'] = table(matrix.HEAD, map(matrix.cells, results.rows))
    if results.plugs:
        found['behind'] = table(behind.HEAD, map(behind.cells, results.plugs), left=1)
    if results.left:
        found['firmware'] = table((*firmware.HEAD[:-1], boot),
                                  map(firmware.cells, results.left))
    if results.balanced:
        found['balancing'] = table(balancing.HEAD,
                                   map(balancing.cells, results.balanced), left=1)
    if results.converted:
        found['conversions'] = table(conversions.HEAD,
                                     map(conversions.cells, results.converted))
    return found


def missed(bars):
    """The bars that were not met."""
    return [bar for bar in bars if not bar.met]


def summary(bars):
    """One line for a terminal."""
    return (f'{len(bars) - len(missed(bars))} of {len(bars)} bars met'
            + ''.join(f'\n          not met: {bar.what}: {bar.figure}'
                      for bar in missed(bars)))
