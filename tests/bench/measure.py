# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured, in which order and where: in the test bed, or on this host.

A part is a function of a machine and the options that returns a dict of Results.
"""
import collections
import os
import unittest

import again
import balancing
import behind
import conversions
import document
import firmware
import matrix
import memory
import monitor
import quiet
import threads
from bed import BedError, QmpError, cannot_prefault
from prefaultlib import say
from prefaultlib.err import Fail

NODES_WITH_CPUS = '/sys/devices/system/node/has_cpu'
CAP_VM_TYPES = 235
SW_PROTECTED_VM = 1
MOST_WORKERS = 32               # KVM lets one thread at a time map on a vCPU
SPARE_MIB = 2048                # of the host's memory, beside the largest guest

# machine: what was measured on, as text; emulated: in the bed; rows: of matrix;
# starts: of threads; firsts, plugs: of behind; left: rows of firmware; boots: of
# firmware; balanced, converted: rows; bars: figures.Bar; missing: what was not
# measured, and why, as text
Results = collections.namedtuple(
    'Results', 'machine emulated rows starts firsts plugs left boots balanced '
    'converted bars missing')


def ways(machine, options):
    """Each way to bring a guest up, with each kind of memory."""
    rows = matrix.measure(machine, options, options.kinds)
    return {'rows': rows, 'bars': matrix.bar(rows, options)}


def speed(machine, options):
    """Bars on several workers, and how long a start takes."""
    return {'bars': threads.two_workers(machine, options)
            + threads.two_vcpus(machine, options)
            + threads.against_prealloc(machine, options, 2),
            'starts': threads.starts(machine, options)}


def answers(machine, options):
    """Bars on the monitor."""
    return {'bars': monitor.answers(machine, options)
            + monitor.giving_up(machine, options)}


def meanwhile(machine, options):
    """What a running guest notices."""
    return {'firsts': behind.first_writes(machine, options),
            'plugs': behind.plugs(machine, options)}


def alone(machine, options):
    """Bars of one worker against others' work."""
    return {'bars': threads.against_bare(machine, options)
            + threads.against_prealloc(machine, options, 1)
            + again.second_pass(machine, options)}


def bookkeeping(machine, options):
    """The bar on QEMU's own memory.  It hides the machine's /proc/meminfo."""
    return {'bars': again.bookkeeping(machine, options)}


def boots(machine, _options):
    """Faults over time while firmware boots."""
    return {'boots': firmware.watch(machine)}


def left(machine, _options):
    """What firmware leaves."""
    return {'left': firmware.measure(machine)}


def balanced(machine, _options):
    """What NUMA balancing leaves."""
    return {'balanced': balancing.measure(machine)}


def private(machine, options):
    """Private memory, and conversions."""
    return {'rows': matrix.measure(machine, options, (memory.GUEST_MEMFD,)),
            'converted': conversions.measure(machine)}


# What the machine is, QEMU's options for it, and the parts
BEDS = (('with two CPUs', {'uefi': True},
         (ways, speed, answers, meanwhile, bookkeeping, boots)),
        ('with a deterministic clock', {'icount': True, 'uefi': True},
         (left, alone)),
        ('with two nodes', {'nodes': 2}, (balanced,)),
        ('with guest_memfd', {'private': True}, (private,)))


def add(found, more):
    """Add what a part returned to the dict of Results."""
    for name, values in more.items():
        found[name] = found.get(name, []) + values


def finished(found):
    """The Results of a dict that lacks what was not measured."""
    return Results(**{name: found.get(name, []) for name in Results._fields})


def bed(options):
    """Measure in beds of four kinds, one after the other; Results."""
    found = {'emulated': True}
    for what, how, parts in BEDS:
        say.step(f'booting the test bed {what}')
        with quiet.Machine(**how) as machine:
            found.setdefault('machine', document.machine_text(machine))
            for part in parts:
                add(found, part(machine, options))
    return finished(found)


# Why a host cannot do a part; '' if it can

def cannot_balance(machine):
    try:
        nodes = machine.read(NODES_WITH_CPUS)
        machine.read(balancing.SWITCH)
    except OSError:
        return 'its kernel does not balance'
    if not set('-,') & set(nodes):
        return 'this host has one node with CPUs'
    if len(os.sched_getaffinity(0)) < os.cpu_count():
        return 'the run is bound to some CPUs'
    return ''


def cannot_be_private(machine):
    return '' if machine.capability(CAP_VM_TYPES) & 1 << SW_PROTECTED_VM else (
        "this host's KVM has no KVM_X86_SW_PROTECTED_VM, which is an option of the "
        'kernel (CONFIG_KVM_SW_PROTECTED_VM)')


PARTS_OF_HOST = (
    (ways, None), (speed, None), (answers, None), (meanwhile, None), (alone, None),
    (boots, None), (left, None), (balanced, cannot_balance),
    (private, cannot_be_private))


def host(options):
    """Measure on this host; Results.  A part that fails is told and left out."""
    say.step("measuring on this host's own KVM")
    with quiet.Host() as machine:
        found = {'emulated': False, 'machine': document.machine_text(machine)}
        options.kinds = kinds_of(machine, options, found)
        for part, cannot in PARTS_OF_HOST:
            why = cannot(machine) if cannot else ''
            if not why:
                try:
                    add(found, part(machine, options))
                except (Fail, BedError, QmpError, OSError, ValueError,
                        unittest.SkipTest) as error:
                    why = str(error).partition('\n')[0]
            if why:
                what = part.__doc__.rstrip('.')
                say.info(f'not measured: {what}: {why}')
                add(found, {'missing': [f'{what}: {why}']})
    return finished(found)


def kinds_of(machine, options, found):
    """The kinds of memory that this host has."""
    try:
        with memory.ready(machine, memory.HUGETLB, options.mem):
            return options.kinds
    except (Fail, OSError) as error:
        add(found, {'missing': [f'hugetlb: {error}']})
        return tuple(kind for kind in options.kinds if not kind.hugetlb)


def workers_of(cpus):
    """Numbers of workers that so many CPUs can have: 1, 2, 4 and so on."""
    return tuple(1 << i for i in range(min(MOST_WORKERS, cpus).bit_length()))


def fit_for(options):
    """Fail if this host cannot be measured on."""
    if why := cannot_prefault():
        raise Fail(f'--host: {why}')
    if os.geteuid():
        raise Fail('--host needs root: it sets transparent huge pages, the hugetlb '
                   'pool and NUMA balancing for a while, and puts them back')
    if len(options.workers) < 2:
        raise Fail('--host: this host has one CPU, it takes two')
    with open('/proc/meminfo', encoding='ascii') as lines:
        kib = next(int(line.split()[1]) for line in lines
                   if line.startswith('MemAvailable'))
    if kib // 1024 < options.long_mem + SPARE_MIB:
        raise Fail(f'--host: {kib // 1024} MiB of memory are available, '
                   f'{options.long_mem + SPARE_MIB} are needed'
                   + ': --quick needs less' * (not options.quick))
