# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors for people: one clear sentence that says what, where and what to do.

Scripts raise Fail and run their main function through run(), which prints the
sentence without a traceback and exits with status 1.
"""
import sys


class Fail(Exception):
    """What went wrong, where, and what to do about it, in one sentence."""


def run(main):
    """Call main() and exit with its result; Fail and Ctrl-C end politely."""
    try:
        sys.exit(main())
    except Fail as fail:
        sys.stdout.flush()
        print(f'error: {fail}', file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print('\ninterrupted: run the same command again to go on',
              file=sys.stderr)
        sys.exit(130)
