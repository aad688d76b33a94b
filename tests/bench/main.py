# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure prefault in the test bed, and write docs/benchmarks.md with its pictures.

Compares the ways to bring a guest up on several kinds of memory, then checks
each figure that the project wants to reach; with the word scale, what a large
guest takes (docs/scale.md).  Needs what scripts/setup and
ninja -C build make; takes up to 40 minutes on two CPUs, some minutes with
--quick.
"""
import argparse
import os
import pickle
import signal
import unittest
from pathlib import Path

from prefaultlib import paths, say
from prefaultlib.err import Fail, run
import bed
import document
import gnuplot
import measure
import memory
import pictures
import report
import scale

DOCUMENT = paths.ROOT / 'docs/benchmarks.md'
PICTURES = 'plots'
RESULTS = 'results'
# A folder in it has what was measured, and the documents that are not for docs
OUT = paths.BUILD / 'bench'

# mem: MiB of most guests; pair_mem: of paired runs; long_mem: to interrupt;
# patience: seconds to wait for a calm host, for each bar
FULL = {'mem': 256, 'pair_mem': 512, 'long_mem': 2048, 'kinds': memory.KINDS,
        'workers': (1, 2), 'pairs': 5, 'answer_runs': 8, 'give_ups': 5,
        'patience': 40}
QUICK = {'mem': 64, 'pair_mem': 256, 'long_mem': 512,
         'kinds': (memory.FOUR_KIB, memory.HUGE), 'workers': (1, 2), 'pairs': 3,
         'answer_runs': 2, 'give_ups': 2, 'patience': 0}
# A real host is fast.  The measuring guest reaches RAM below 4 GiB, of which microvm
# has 3.
REAL = {'mem': 2048, 'pair_mem': 8192, 'long_mem': 16384}
REAL_QUICK = {'mem': 512, 'pair_mem': 2048, 'long_mem': 8192}


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
                        help='the document to write; beside it go its pictures '
                             f'({PICTURES}) and what was measured ({RESULTS}), so '
                             'give each a folder of its own (default '
                             'docs/benchmarks.md, with --quick or --host one in '
                             'build/bench)')
    parser.add_argument('--check', action='store_true',
                        help='exit with status 1 if a bar is not met')
    return settle(parser.parse_args())


def settle(options):
    """Add what follows from the options."""
    values = QUICK if options.quick else FULL
    if options.host:
        values = values | (REAL_QUICK if options.quick else REAL) | {
            'workers': measure.workers_of(len(os.sched_getaffinity(0)))}
    for name, value in values.items():
        setattr(options, name, value)
    options.command = ('tests/bench/run' + ' --host' * options.host
                       + ' --quick' * options.quick)
    folder = OUT / (('host' if options.host else 'bed') + '-quick' * options.quick)
    options.results = (options.output.parent if options.output else folder) / RESULTS
    if not options.output and options.what == 'bed':
        options.output = (folder / 'benchmarks.md' if options.host or options.quick
                          else DOCUMENT)
    return options


def measured(options):
    """Measure, and keep it; measure.Results."""
    # As Ctrl-C: knobs of the kernel are put back
    for number in signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, signal.default_int_handler)
    try:
        results = (measure.host if options.host else measure.bed)(options)
    except unittest.SkipTest as missing:
        raise Fail(f'what is needed cannot be had: {missing}') from None
    except bed.BedError as error:
        raise Fail(f'the benchmark stopped: {error}') from None
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_bytes(pickle.dumps(tuple(results)))
    return results


def kept(options):
    """What was measured last; measure.Results."""
    try:
        return measure.Results(*pickle.loads(options.results.read_bytes()))
    except FileNotFoundError:
        raise Fail(f'--again: there is no {options.results}: {options.command} makes '
                   'it') from None
    except (TypeError, AttributeError, ImportError):
        raise Fail(f'--again: {options.results} is of another version: measure '
                   f'again, by {options.command}') from None


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
    if options.host and not options.again:
        measure.fit_for(options)
    gnuplot.need_tool()
    results = (kept if options.again else measured)(options)
    print('', *report.tables(results).values(), report.bars_table(results.bars),
          report.notes(results.bars), sep='\n')
    write(options, results)
    say.step(report.summary(results.bars))
    return 1 if options.check and report.missed(results.bars) else 0


if __name__ == '__main__':
    run(main)
