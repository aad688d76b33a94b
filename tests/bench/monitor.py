# SPDX-License-Identifier: GPL-2.0-or-later
"""Bars on the monitor while prefault works: answers, and giving a run up."""
import contextlib
import statistics
import time

import figures
import memory
import quiet
import start
from prefaultlib import say
from prefaultlib.err import Fail

WORKERS = 2
ANSWER_MS = 20
GIVE_UP_MS = 100
PAUSE = 0.005                   # seconds between two questions
IDLE_QUESTIONS = 100


@contextlib.contextmanager
def active(machine, options, workers=WORKERS):
    """A guest whose prefault run has just begun."""
    with start.paused(machine, memory.HUGE, options.long_mem, start.OURS,
                      workers) as qemu:
        qemu.qmp('cont')
        yield qemu


def answer_times(qemu):
    """The ns that each answer took, as long as the run is active."""
    times = []
    while True:
        reply = qemu.qmp('query-prefault', timeout=start.LONG)
        if reply.value['status'] != 'active':
            return times
        times.append(reply.received_ns - reply.sent_ns)
        time.sleep(PAUSE)


def idle_median_ms(machine, options):
    """What an answer costs here at least: query-status, nothing going on."""
    with start.paused(machine, memory.HUGE, options.mem, start.OFF, 1) as qemu:
        times = []
        for _ in range(IDLE_QUESTIONS):
            reply = qemu.qmp('query-status')
            times.append(reply.received_ns - reply.sent_ns)
            time.sleep(PAUSE)
    return statistics.median(times) / 1e6


def warm_up(machine, options):
    """A run that does not count: the emulator's part of first times is over.

    It gets L1's memory from the host when L1 first touches it, and translates
    code when it first runs: such a run takes three times as long.
    """
    with memory.ready(machine, memory.HUGE, options.long_mem), \
            active(machine, options) as qemu:
        answer_times(qemu)


def answers(machine, options):
    """How long query-prefault takes: both CPUs busy, and one of them."""
    idle_ms = idle_median_ms(machine, options)
    warm_up(machine, options)
    return [answers_bar(machine, options, workers, idle_ms)
            for workers in (2, 1)]


def answers_bar(machine, options, workers, idle_ms):
    """Answers with a number of workers, over several runs."""
    def once():
        with active(machine, options, workers) as qemu:
            return answer_times(qemu)

    say.step(f'QMP answers, workers: {workers}, {options.answer_runs} runs')
    with memory.ready(machine, memory.HUGE, options.long_mem):
        sample = quiet.calm(machine, options.patience, options.answer_runs,
                            once)
    times = [time_ns for run in sample.results for time_ns in run]
    if not times:
        raise Fail('no QMP answer came while a run was active')
    p50, p99, most = (figures.percentile(times, p) / 1e6
                      for p in (50, 99, 100))
    return figures.Bar(
        f'QMP answer time while prefaulting, {workers} of '
        f'{machine_cpus(machine)} CPUs at work, p99', f'under {ANSWER_MS} ms',
        f'{p99:.1f} ms', p99 < ANSWER_MS,
        f'{len(times)} answers in {len(sample.results)} runs of '
        f'{options.long_mem} MiB: median {p50:.1f} ms, longest {most:.1f} ms '
        f'(query-status with nothing going on: median {idle_ms:.1f} ms); '
        f'{quiet.text(sample)}', quiet.disturbed(sample))


def machine_cpus(machine):
    """The number of CPUs of the machine."""
    return machine.read('/proc/cpuinfo').count('processor\t')


def half_way(qemu):
    """Wait until half of the memory is populated."""
    while True:
        info = qemu.qmp('query-prefault', timeout=start.LONG).value
        if info['status'] != 'active':
            raise Fail(f'the run ended before its middle: {info}')
        if info['populated'] * 2 > info['total']:
            return
        time.sleep(PAUSE)


def give_up_ns(qemu, command):
    """The ns from the command until the run's workers are joined."""
    half_way(qemu)
    sent = qemu.qmp(command, timeout=start.LONG).sent_ns
    done = qemu.wait_event('PREFAULT_COMPLETED', start.LONG, sent)
    if done.data['status'] != 'cancelled':
        raise Fail(f'{command} came too late: {done.data}')
    return done.ns - sent


def give_up_once(machine, options, command):
    """One run, given up half way; returns the ms that it took."""
    with active(machine, options) as qemu:
        return give_up_ns(qemu, command) / 1e6


def giving_up(machine, options):
    """prefault-cancel, stop and quit half way: until the workers are gone."""
    bars = []
    with memory.ready(machine, memory.HUGE, options.long_mem):
        for command in ('prefault-cancel', 'stop', 'quit'):
            say.step(f'{command} half way, {options.give_ups} times')
            sample = quiet.calm(
                machine, options.patience, options.give_ups,
                lambda: give_up_once(machine, options, command))
            times = sample.results
            bars.append(figures.Bar(
                f'{command} half way, until the workers are joined, longest',
                f'under {GIVE_UP_MS} ms', f'{max(times):.1f} ms',
                max(times) < GIVE_UP_MS,
                f'{len(times)} runs of {options.long_mem} MiB: median '
                f'{statistics.median(times):.1f} ms; {quiet.text(sample)}',
                quiet.disturbed(sample)))
    return bars
