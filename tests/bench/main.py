# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure prefault in the test bed, and write docs/benchmarks.md.

Compares the ways to bring a guest up on several kinds of memory, then checks
each figure that the project wants to reach; with the word scale, what a large
guest takes (docs/scale.md).  Needs what scripts/setup and
ninja -C build make; takes up to 20 minutes on two CPUs, some minutes with
--quick.
"""
import argparse
import unittest
from pathlib import Path

from prefaultlib import paths, say
from prefaultlib.err import Fail, run
import again
import balancing
import bed
import firmware
import matrix
import memory
import monitor
import quiet
import report
import scale
import threads

DOCUMENT = paths.ROOT / 'docs/benchmarks.md'

# mem: MiB of most guests; pair_mem: of paired runs; long_mem: to interrupt;
# patience: seconds to wait for a calm host, for each bar
FULL = {'mem': 256, 'pair_mem': 512, 'long_mem': 2048, 'kinds': memory.KINDS,
        'workers': (1, 2), 'pairs': 5, 'answer_runs': 8, 'give_ups': 5,
        'patience': 40}
QUICK = {'mem': 64, 'pair_mem': 256, 'long_mem': 512,
         'kinds': (memory.FOUR_KIB, memory.HUGE), 'workers': (2,), 'pairs': 3,
         'answer_runs': 2, 'give_ups': 2, 'patience': 0}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('what', nargs='?', choices=('bed', 'scale'), default='bed',
                        help='bed (usual), or scale: what our parts take for guests '
                             'of up to 64 TiB, without the test bed, in '
                             'docs/scale.md; two minutes')
    parser.add_argument('--quick', action='store_true',
                        help='smaller guests, fewer runs: some minutes')
    parser.add_argument('--output', type=Path, metavar='FILE',
                        help='the document to write (default '
                             'docs/benchmarks.md; none with --quick)')
    parser.add_argument('--check', action='store_true',
                        help='exit with status 1 if a bar is not met')
    options = parser.parse_args()
    for name, value in (QUICK if options.quick else FULL).items():
        setattr(options, name, value)
    options.command = 'tests/bench/run' + ' --quick' * options.quick
    if not options.output and not options.quick and options.what == 'bed':
        options.output = DOCUMENT
    return options


def on_two_cpus(options):
    """What needs time and two CPUs: (text on the machine, rows, bars)."""
    say.step('booting the test bed with two CPUs')
    with quiet.Machine() as machine:
        rows = matrix.measure(machine, options)
        bars = matrix.bar(rows, options)
        bars += threads.two_workers(machine, options)
        bars += threads.two_vcpus(machine, options)
        bars += threads.against_prealloc(machine, options, 2, options.pairs)
        bars += monitor.answers(machine, options)
        bars += monitor.giving_up(machine, options)
        bars += again.bookkeeping(machine, options)
        return (report.machine_text(machine, monitor.machine_cpus(machine)),
                rows, bars)


def on_one_cpu(options):
    """What is counted in emulated instructions: (rows of firmware, bars)."""
    say.step('booting the test bed with a deterministic clock')
    with quiet.Machine(icount=True, uefi=True) as machine:
        return (firmware.measure(machine),
                threads.against_bare(machine, options)
                + threads.against_prealloc(machine, options, 1, 1)
                + again.second_pass(machine, options))


def on_two_nodes():
    """The rows of NUMA balancing."""
    say.step('booting the test bed with two nodes')
    with quiet.Machine(nodes=2) as machine:
        return balancing.measure(machine)


def main():
    options = arguments()
    if options.what == 'scale':
        return scale.measure(options)
    try:
        machine, rows, bars = on_two_cpus(options)
        boots, more = on_one_cpu(options)
        bars += more
        balanced = on_two_nodes()
    except unittest.SkipTest as missing:
        raise Fail(f'the test bed cannot be had: {missing}') from None
    except bed.BedError as error:
        raise Fail(f'the benchmark stopped: {error}') from None
    print('', report.matrix_table(rows), report.firmware_table(boots),
          report.balancing_table(balanced), report.bars_table(bars),
          report.notes(bars), sep='\n')
    if options.output:
        options.output.write_text(
            report.document(options, machine, rows, boots, balanced, bars),
            encoding='utf-8')
        say.info(f'written: {options.output}')
    say.step(report.summary(bars))
    return 1 if options.check and report.missed(bars) else 0


if __name__ == '__main__':
    run(main)
