# SPDX-License-Identifier: GPL-2.0-or-later
"""What of the suites was asked for.

    SUITE                 a suite
    SUITE/FILE            one file of it
    SUITE/FILE:TEST       one test: of Python Class or Class.test_name, of C the
                          beginning of a path
    quick                 see QUICK
"""
from ..err import Fail

# An answer in two minutes: how trees are put together, the C code by itself, and
# what it is all for on a real KVM
QUICK = ('assembly', 'unit', 'functional/test_first_writes')


def parse(words, suites):
    """{suite: {file: [test, ...]}} in the order of the table; a suite that is
    wanted whole has None for its files, a file that is has no tests.

    suites: {name: suites.Suite}
    """
    words = [one for word in words
             for one in (QUICK if word == 'quick' else [word])]
    wanted = {}
    for word in words:
        name, _, rest = word.partition('/')
        suite = suites.get(name)
        if not suite:
            raise Fail(f"there is no suite {name}: choose from "
                       f"{', '.join(suites)}, quick")
        if not rest:
            wanted[name] = None
        elif wanted.get(name, {}) is not None:
            add(wanted.setdefault(name, {}), suite, rest)
    return {name: wanted[name] for name in suites if name in wanted}


def add(files, suite, word):
    """Add FILE or FILE:TEST to the files of a suite."""
    name, _, test = word.partition(':')
    known = suite.files()
    if name not in known:
        raise Fail(f'suite {suite.name} has no file {name}: '
                   + (f"choose from {', '.join(known)}" if known else
                      'it runs as a whole'))
    if not test:
        files[name] = []
    elif files.get(name) != []:
        files.setdefault(name, []).append(test)
