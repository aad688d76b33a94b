# SPDX-License-Identifier: GPL-2.0-or-later
"""Bars on how fast memory gets ready: bare C, two workers, prealloc=on.

Ratios are of paired runs: both of a pair run one after the other, and the
median of the pairs' ratios counts.  On the deterministic machine (one CPU,
time is the number of emulated instructions) one pair is enough.
"""
import collections

import figures
import memory
import quiet
import start
from bed.owed import Owing
from prefaultlib import say

BARE_RATIO = 1.05
SPEEDUP = 1.6
PREALLOC_RATIO = 1.05

# ms: from launch to RESUME, of each run
Starts = collections.namedtuple('Starts', 'kind way workers ms')


def against_bare(machine, options):
    """One worker against a C program that does the same work without QEMU."""
    return [bare_bar(machine, options, kind)
            for kind in (memory.HUGE, memory.FOUR_KIB)]


def bare_bar(machine, options, kind):
    """One kind: pairs of the bare program and of ours."""
    mib = options.pair_mem

    def pair():
        return (machine.barefault(mib, start.LONG)['total_ns'],
                start.timed(machine, kind, mib, start.OURS, 1).cont_ns)

    say.step(f'against the bare C program: {kind.name}')
    with memory.ready(machine, kind, mib):
        sample = quiet.calm(machine, options.patience,
                            quiet.enough(machine, options.pairs), pair)
    return figures.at_most(
        f'cont to RESUME against the bare C program, {kind.name}', BARE_RATIO,
        [ours / bare for bare, ours in sample.results],
        f'one worker, {mib} MiB: {ms_of(sample.results, 1)} against '
        f'{ms_of(sample.results, 0)}; {quiet.text(sample)}',
        quiet.disturbed(sample))


def ms_of(pairs, which):
    """Text: the times of the pairs' first (0) or second (1) run."""
    return figures.spread([pair[which] / 1e6 for pair in pairs], 0) + ' ms'


def seconds_of(pairs, which):
    """Text: the seconds of the pairs' first (0) or second (1) run."""
    return figures.spread([pair[which] for pair in pairs], 2) + ' s'


def two_workers(machine, options):
    """Two workers against one, on two CPUs, with 4 KiB pages."""
    kind, mib = memory.FOUR_KIB, options.pair_mem

    def pair():
        return [start.timed(machine, kind, mib, start.OURS, workers).cont_ns
                for workers in (1, 2)]

    say.step(f'two workers against one: {options.pairs} pairs')
    with memory.ready(machine, kind, mib):
        sample = quiet.calm(machine, options.patience, options.pairs, pair)
    return [figures.at_least(
        'two workers against one, 4 KiB pages, times as fast', SPEEDUP,
        [one / two for one, two in sample.results],
        f'{mib} MiB, cont to RESUME: one '
        f'{ms_of(sample.results, 0)}, two {ms_of(sample.results, 1)}; '
        f'{quiet.text(sample)}', quiet.disturbed(sample))]


def two_vcpus(machine, options):
    """Two vCPUs against one, behind a running guest, with 4 KiB pages."""
    kind, mib = memory.FOUR_KIB, options.pair_mem

    say.step(f'what is owed, by two vCPUs against one: {options.pairs} pairs')
    with memory.ready(machine, kind, mib):
        guests = [Owing(machine, mib, threads) for threads in (1, 2)]
        try:
            sample = quiet.calm(machine, options.patience, options.pairs,
                                lambda: [guest.seconds() for guest in guests])
        finally:
            for guest in guests:
                guest.qemu.kill()
    return [figures.at_least(
        'what is owed to a running guest, two vCPUs against one, times as fast',
        SPEEDUP, [one / two for one, two in sample.results],
        f'{mib} MiB of 4 KiB pages: one '
        f'{seconds_of(sample.results, 0)}, two '
        f'{seconds_of(sample.results, 1)}; {quiet.text(sample)}',
        quiet.disturbed(sample))]


def starts(machine, options):
    """From launch to RESUME by the number of workers, several runs each; Starts."""
    found = []
    for kind in (memory.FOUR_KIB, memory.HUGE):
        say.step(f'start by the number of threads: {kind.name}')
        with memory.ready(machine, kind, options.pair_mem):
            found += [Starts(kind, way, workers, [
                start_ms(machine, kind, options, way, workers)
                for _ in range(options.pairs)])
                      for way in (start.OFF, start.PREALLOC, start.IOCTL, start.OURS)
                      for workers in options.workers]
    return found


def start_ms(machine, kind, options, way, workers):
    """The ms of one start, until the guest runs."""
    once = start.timed(machine, kind, options.pair_mem, way, workers)
    return (once.launch_ns + once.cont_ns) / 1e6


def populate_times(machine, kind, mib, workers):
    """One pair: the ns that prealloc took, and those of our populate part.

    prealloc works before QMP answers: what its launch takes longer than one
    without it.  Ours works between cont and RESUME: what that takes longer
    than without prefault.  prealloc does not map, so ours runs where it
    cannot map either.
    """
    off = start.timed(machine, kind, mib, start.OFF, workers)
    theirs = start.timed(machine, kind, mib, start.PREALLOC, workers)
    ours = start.timed(machine, kind, mib, start.POPULATE, workers)
    return theirs.launch_ns - off.launch_ns, ours.cont_ns - off.cont_ns


def against_prealloc(machine, options, workers):
    """The populate part against prealloc=on, on two kinds of memory."""
    return [prealloc_bar(machine, options, kind, workers)
            for kind in (memory.HUGE, memory.FOUR_KIB)]


def prealloc_bar(machine, options, kind, workers):
    """One kind: pairs of prealloc=on and our populate part."""
    mib, pairs = options.pair_mem, quiet.enough(machine, options.pairs)
    say.step(f'against prealloc=on: {kind.name}, workers: {workers}, '
             f'{pairs} pair{"s" * (pairs > 1)}')
    with memory.ready(machine, kind, mib):
        sample = quiet.calm(
            machine, options.patience, pairs,
            lambda: populate_times(machine, kind, mib, workers))
    return figures.at_most(
        f'populate part against prealloc=on, {kind.name}, '
        f'{workers} thread{"s" * (workers > 1)} each', PREALLOC_RATIO,
        [ours / theirs for theirs, ours in sample.results],
        f'{mib} MiB: {ms_of(sample.results, 1)} against '
        f'{ms_of(sample.results, 0)}; {quiet.text(sample)}',
        quiet.disturbed(sample))
