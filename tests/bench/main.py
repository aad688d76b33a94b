# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure prefault in the test bed, and write docs/benchmarks.md with its pictures.

Compares the ways to bring a guest up on several kinds of memory, then checks
each figure that the project wants to reach; with the word scale, what a large
guest takes (docs/scale.md).  Needs what scripts/setup and
ninja -C build make; takes up to 40 minutes on two CPUs, some minutes with
--quick.
"""
import argparse
import pickle
import signal
import unittest
from pathlib import Path

from prefaultlib import paths, say
from prefaultlib.err import Fail, run
import bed
import document
import measure
import memory
import pictures
import report
import scale

DOCUMENT = paths.ROOT / 'docs/benchmarks.md'
PICTURES = 'plots'
RESULTS = 'results'
# Where the document and the pictures of a measurement go that are not for docs
OUT = paths.BUILD / 'bench'

# mem: MiB of most guests; pair_mem: of paired runs; long_mem: to interrupt;
# patience: seconds to wait for a calm host, for each bar
FULL = {'mem': 256, 'pair_mem': 512, 'long_mem': 2048, 'kinds': memory.KINDS,
        'workers': (1, 2), 'pairs': 5, 'answer_runs': 8, 'give_ups': 5,
        'patience': 40}
QUICK = {'mem': 64, 'pair_mem': 256, 'long_mem': 512,
         'kinds': (memory.FOUR_KIB, memory.HUGE), 'workers': (1, 2), 'pairs': 3,
         'answer_runs': 2, 'give_ups': 2, 'patience': 0}
# The measuring guest reaches RAM below 4 GiB, of which microvm has 3
REAL = {'mem': 2048, 'pair_mem': 8192, 'long_mem': 16384}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('what', nargs='?', choices=('bed', 'scale'), default='bed',
                        help='bed (usual), or scale: what our parts take for guests '
                             'of up to 64 TiB, without the test bed, in '
                             'docs/scale.md; two minutes')
    parser.add_argument('--host', action='store_true',
                        help="this machine's own KVM instead of the bed; see "
                             'docs/run-book.md')
    parser.add_argument('--quick', action='store_true',
                        help='smaller guests, fewer runs: some minutes')
    parser.add_argument('--again', action='store_true',
                        help='measure nothing: write the last measurement once more')
    parser.add_argument('--output', type=Path, metavar='FILE',
                        help='the document to write; its pictures go into the folder '
                             f'{PICTURES} beside it (default docs/benchmarks.md, with '
                             '--quick or --host one in build/bench)')
    parser.add_argument('--check', action='store_true',
                        help='exit with status 1 if a bar is not met')
    return settle(parser.parse_args())


def settle(options):
    """Add what follows from the options."""
    values = (QUICK if options.quick else FULL) | (
        {'workers': measure.workers_of_host()} if options.host else {}) | (
        REAL if options.host and not options.quick else {})
    for name, value in values.items():
        setattr(options, name, value)
    options.name = ('host' if options.host else 'bed') + '-quick' * options.quick
    options.command = ('tests/bench/run' + ' --host' * options.host
                       + ' --quick' * options.quick)
    if not options.output and options.what == 'bed':
        options.output = (DOCUMENT if options.name == 'bed'
                          else OUT / f'{options.name}.md')
    return options


def measured(options):
    """Measure, or take the last measurement of the kind; measure.Results."""
    path = OUT / f'{options.name}.{RESULTS}'
    if options.again:
        if not path.exists():
            raise Fail(f'--again: nothing was measured yet by {options.command}')
        return pickle.loads(path.read_bytes())
    # As Ctrl-C: knobs of the kernel are put back
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        results = (measure.host if options.host else measure.bed)(options)
    except unittest.SkipTest as missing:
        raise Fail(f"what is needed cannot be had: {missing}") from None
    except bed.BedError as error:
        raise Fail(f'the benchmark stopped: {error}') from None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(results))
    return results


def write(options, results):
    """Write the document and its pictures."""
    options.output.parent.mkdir(parents=True, exist_ok=True)
    names = pictures.draw(results, options, options.output.parent / PICTURES)
    options.output.write_text(document.text(options, results, PICTURES),
                              encoding='utf-8')
    say.info(f"written: {options.output}, {', '.join(names)}")


def main():
    options = arguments()
    if options.what == 'scale':
        return scale.measure(options)
    pictures.need_tool()
    results = measured(options)
    print('', *report.tables(results).values(), report.bars_table(results.bars),
          report.notes(results.bars), sep='\n')
    write(options, results)
    say.step(report.summary(results.bars))
    return 1 if options.check and report.missed(results.bars) else 0


if __name__ == '__main__':
    run(main)
