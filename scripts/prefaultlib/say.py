# SPDX-License-Identifier: GPL-2.0-or-later
"""Progress that a person can follow and a log can hold.

Steps are lines of their own.  A bar is redrawn in place on a terminal and
elsewhere becomes one line for each tenth of the way.
"""
import os
import sys
import time

_START = time.monotonic()


def step(msg):
    """Print what begins now, with the seconds since the script started."""
    print(f'[{time.monotonic() - _START:5.0f} s] {msg}', flush=True)


def info(msg):
    """Print a detail of the current step."""
    print(f'          {msg}', flush=True)


def clock(seconds):
    """A duration as people read it: '7 s' or '3 min 05 s'."""
    seconds = int(seconds + 0.5)
    if seconds < 60:
        return f'{seconds} s'
    return f'{seconds // 60} min {seconds % 60:02d} s'


class Bar:
    """A progress bar.  at(fraction, text) as often as wanted, then done()."""

    WIDTH = 30

    def __init__(self, label, out=sys.stdout):
        self.label = label
        self.out = out
        self.tty = out.isatty() and os.environ.get('TERM') != 'dumb'
        self.tenth = -1
        self.text = ''

    def at(self, fraction, text=''):
        """Show the fraction (0 to 1) that is done, and a text behind it."""
        fraction = min(max(fraction, 0.0), 1.0)
        full = int(fraction * self.WIDTH)
        self.text = (f"{self.label} [{'#' * full}{'.' * (self.WIDTH - full)}]"
                     f' {fraction * 100:3.0f} % {text}')
        if self.tty:
            self.out.write('\r\033[K' + self.text)
            self.out.flush()
        elif int(fraction * 10) > self.tenth:
            self.tenth = int(fraction * 10)
            print(self.text, file=self.out, flush=True)

    def done(self):
        """Leave the last state on a line of its own."""
        if self.tty and self.text:
            print(file=self.out, flush=True)
