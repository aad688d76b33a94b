# SPDX-License-Identifier: GPL-2.0-or-later
"""Bars on what a run costs beyond its work: a second pass, bookkeeping."""
import contextlib
import re

import figures
import memory
import quiet
import start
from prefaultlib import say
from prefaultlib.err import Fail

SECOND_PASS = 0.01              # of the first
BOOK_MIB = 1                    # MiB of QEMU's own for each TiB of guest RAM
TIB_GIB = 1024

# What a CPU of 40 address bits can have; its memory begins again above 4 GiB
BIG_GIB = 1000
PLENTY_KIB = 4 * TIB_GIB ** 3   # 4 TiB: what the host is made to say it has

# Nothing is populated: each piece takes a moment instead
HARMLESS = start.POPULATE._replace(
    inject=f'{start.NO_CAPABILITY};{start.NO_POPULATE}:delay-ms=2')


def pass_ns(qemu):
    """A whole prefault run on the stopped guest; returns its ns."""
    sent = qemu.qmp('prefault-start', timeout=start.LONG).sent_ns
    done = qemu.wait_event('PREFAULT_COMPLETED', start.LONG, sent)
    if done.data['status'] != 'completed':
        raise Fail(f'the run did not complete: {done.data}')
    return done.ns - sent


def two_passes(machine, options, kind):
    """The ns of a run, and of another one right after it."""
    with start.paused(machine, kind, options.long_mem, start.OURS, 1) as qemu:
        return pass_ns(qemu), pass_ns(qemu)


def second_pass(machine, options):
    """Prefault a stopped guest twice: nothing was dropped in between."""
    bars = []
    for kind in (memory.HUGE, memory.FOUR_KIB):
        say.step(f'a second pass: {kind.name}')
        with memory.ready(machine, kind, options.long_mem):
            sample = quiet.calm(machine, options.patience, 1,
                                lambda: two_passes(machine, options, kind))
        first, second = sample.results[0]
        share = second / first
        bars.append(figures.Bar(
            f'a second pass when nothing was dropped, {kind.name}',
            f'under {SECOND_PASS:.0%} of the first', f'{share:.2%}',
            share < SECOND_PASS,
            f'one worker, {options.long_mem} MiB: {figures.ms(second)} ms after '
            f'{figures.ms(first)} ms; {quiet.text(sample)}',
            quiet.disturbed(sample)))
    return bars


@contextlib.contextmanager
def rich(machine):
    """Have the machine's /proc/meminfo tell of memory without end."""
    fake = machine.scratch('meminfo')
    machine.write(fake, ''.join(
        f'{name}: {PLENTY_KIB} kB\n' for name in
        ('MemTotal', 'MemFree', 'MemAvailable', 'SwapTotal', 'SwapFree')))
    must(machine, '/bin/mount', '--bind', fake, '/proc/meminfo')
    try:
        yield
    finally:
        must(machine, '/bin/umount', '/proc/meminfo')


def must(machine, *argv):
    """Run a program in the machine that must succeed."""
    code, _, said = machine.run(*argv)
    if code:
        raise Fail(f"{' '.join(argv)}: {said}")


def resident(machine, qemu, name):
    """A figure of QEMU's memory, in KiB."""
    status = machine.read(f'/proc/{qemu.process.pid}/status')
    return int(re.search(rf'^{name}:\s+(\d+) kB', status, re.M)[1])


def bookkeeping(machine, _options):
    """QEMU's memory before a run over a huge guest, and at its most."""
    say.step(f'bookkeeping for a guest of {BIG_GIB} GiB')
    # 4 KiB pages, or the kernel makes QEMU's heap larger meanwhile
    kind = memory.FOUR_KIB._replace(
        backend='memory-backend-ram,reserve=off')
    with memory.ready(machine, kind, 0), rich(machine), start.paused(
            machine, kind, BIG_GIB * TIB_GIB, HARMLESS, 2) as qemu:
        before = resident(machine, qemu, 'VmRSS')
        qemu.qmp('prefault-start', timeout=start.LONG)
        info = qemu.qmp('query-prefault').value
        if info['status'] != 'active':
            raise Fail(f'the run is not under way: {info}')
        qemu.qmp('prefault-cancel')
        most = resident(machine, qemu, 'VmHWM')
        start.finish(qemu, HARMLESS)
    each = (most - before) / 1024 * TIB_GIB / BIG_GIB
    return [figures.Bar(
        "QEMU's own memory for bookkeeping", f'under {BOOK_MIB} MiB a TiB',
        f'{each:.2f} MiB a TiB', each < BOOK_MIB,
        f'a guest of {BIG_GIB} GiB whose memory is not populated for this: '
        f'{most - before} KiB more resident at most, threads and their stacks '
        'included, while a run was planned, started and cancelled')]
