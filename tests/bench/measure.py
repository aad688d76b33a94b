# SPDX-License-Identifier: GPL-2.0-or-later
"""What is measured, in which order and where: in the test bed, or on this host."""
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
from bed import cannot_prefault
from prefaultlib import say
from prefaultlib.err import Fail

NODES = '/sys/devices/system/node/online'
CAP_VM_TYPES = 235
SW_PROTECTED_VM = 1
MOST_WORKERS = 32               # KVM lets one thread at a time map on a vCPU
SPARE_MIB = 2048                # of the host's memory, beside the largest guest

# machine: what was measured on, as text; emulated: in the bed; rows: matrix.Row;
# starts: threads.Starts; firsts, plugs: of behind; boots, lines: of firmware; balanced, conversions: rows;
# bars: figures.Bar; missing: sentences on what was not measured
Results = collections.namedtuple(
    'Results', 'machine emulated rows starts firsts plugs boots lines balanced conversions '
    'bars missing')


def bed(options):
    """Measure in beds of four kinds, one after the other; Results."""
    say.step('booting the test bed with two CPUs')
    with quiet.Machine(uefi=True) as machine:
        found = on_any(machine, options)._replace(lines=firmware.watch(machine))
        found.bars.extend(again.bookkeeping(machine, options))
    say.step('booting the test bed with a deterministic clock')
    with quiet.Machine(icount=True, uefi=True) as machine:
        found = found._replace(boots=firmware.measure(machine))
        found.bars.extend(alone(machine, options))
    say.step('booting the test bed with two nodes')
    with quiet.Machine(nodes=2) as machine:
        found = found._replace(balanced=balancing.measure(machine))
    say.step('booting the test bed with guest_memfd')
    with quiet.Machine(private=True) as machine:
        return on_private(machine, options, found)


def on_any(machine, options):
    """What any machine with two CPUs can do; Results with no more than that."""
    rows = matrix.measure(machine, options, options.kinds)
    bars = matrix.bar(rows, options)
    bars += threads.two_workers(machine, options)
    bars += threads.two_vcpus(machine, options)
    bars += threads.against_prealloc(machine, options, 2)
    bars += monitor.answers(machine, options)
    bars += monitor.giving_up(machine, options)
    return Results(
        document.machine_text(machine), machine.kind == 'bed', rows,
        threads.starts(machine, options),
        behind.first_writes(machine, options), behind.plugs(machine, options),
        [], [], [], [], bars, [])


def alone(machine, options):
    """Bars of one worker against others' work."""
    return (threads.against_bare(machine, options)
            + threads.against_prealloc(machine, options, 1)
            + again.second_pass(machine, options))


def on_private(machine, options, found):
    """The Results, and what needs guest_memfd."""
    return found._replace(
        rows=found.rows + matrix.measure(machine, options, (memory.GUEST_MEMFD,)),
        conversions=conversions.measure(machine))


def workers_of_host():
    """Numbers of workers that this host can have: 1, 2, 4 and so on."""
    cpus = min(MOST_WORKERS, len(os.sched_getaffinity(0)))
    return tuple(1 << i for i in range(cpus.bit_length()))


def host(options):
    """Measure on this host; Results."""
    fit_for(options)
    say.step("measuring on this host's own KVM")
    with quiet.Host() as machine:
        found = on_any(machine, options)
        found.bars.extend(alone(machine, options))
        for need, do in ((has_firmware, with_firmware), (has_nodes, with_nodes),
                         (has_private, on_private)):
            if missing := need(machine):
                found.missing.append(missing)
            else:
                found = do(machine, options, found)
    return found


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


def has_firmware(machine):
    """Why firmware cannot be measured; '' if it can."""
    try:
        machine.path('fw/OVMF_CODE_4M.fd')
    except unittest.SkipTest as missing:
        return f'what firmware leaves: {missing}'
    return ''


def with_firmware(machine, _options, found):
    """The Results, and what firmware leaves."""
    return found._replace(boots=firmware.measure(machine),
                          lines=firmware.watch(machine))


def has_nodes(machine):
    """Why NUMA balancing cannot be measured; '' if it can."""
    return '' if set('-,') & set(machine.read(NODES)) else (
        'what NUMA balancing leaves: this host has one node')


def with_nodes(machine, _options, found):
    """The Results, and what NUMA balancing leaves."""
    return found._replace(balanced=balancing.measure(machine))


def has_private(machine):
    """Why guest_memfd cannot be measured; '' if it can."""
    return '' if machine.capability(CAP_VM_TYPES) & 1 << SW_PROTECTED_VM else (
        "private memory: this host's KVM has no KVM_X86_SW_PROTECTED_VM, which is an "
        'option of the kernel (CONFIG_KVM_SW_PROTECTED_VM)')
