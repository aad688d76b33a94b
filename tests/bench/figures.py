# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures: what a bar is, and how many samples become one number."""
import collections
import math
import statistics

MIB = 1 << 20

# One requirement.  figure: text; met: bool; note: how it was measured, in a
# sentence without full stop; disturbed: other work on the host was in the way
Bar = collections.namedtuple('Bar', 'what bar figure met note disturbed',
                             defaults=(False,))


def ms(ns):
    """Nanoseconds as milliseconds with a sensible number of digits."""
    value = ns / 1e6
    return f'{value:.0f}' if value >= 100 else f'{value:.1f}'


def percentile(values, percent):
    """The smallest of the values that percent of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def spread(values, digits=2):
    """Text: the median of several values, and from where to where they go."""
    if len(values) == 1:
        return f'{values[0]:.{digits}f}'
    return (f'{statistics.median(values):.{digits}f} '
            f'({min(values):.{digits}f} to {max(values):.{digits}f}, '
            f'n={len(values)})')


def at_most(what, bar, values, note, disturbed=False):
    """A Bar that the median of the values must not exceed."""
    return Bar(what, f'at most {bar}', spread(values, 3),
               statistics.median(values) <= bar, note, disturbed)


def at_least(what, bar, values, note, disturbed=False):
    """A Bar that the median of the values must reach."""
    return Bar(what, f'at least {bar}', spread(values),
               statistics.median(values) >= bar, note, disturbed)
