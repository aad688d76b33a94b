# SPDX-License-Identifier: GPL-2.0-or-later
"""The document of a measurement: its text around tables and pictures."""
import re
import textwrap

import balancing
import behind
import conversions
import firmware
import monitor
import quiet
import report

BEGIN = '''# Benchmarks

Written by `{command}`; not edited by hand.

{about}

## What was to be reached

{bars}
{notes}
'''

SECTIONS = {
    'matrix': '''## Ways to bring a guest up

A guest of {mem} MiB.  Median, p99 and max are cycles of the first write to a page.

{table}
{kinds}

Of the same runs, with the most workers: which share of the first writes took longer than
so many cycles.  A line that ends early is a guest that waited for no write for long.

![First writes: shares that take longer]({plots}/first-writes.svg)

And how long it takes from QEMU's launch until a guest of {pair_mem} MiB runs, by the
number of threads, which is the number of its vCPUs as well:

![Start: time by the number of threads]({plots}/start.svg)

''',
    'behind': '''## What a guest notices that runs meanwhile

On the left a guest that writes to {large_mem} MiB in 4 KiB pages as soon as it runs: with
`prefault=background` the memory is prefaulted behind it at the same time.  A vCPU's thread
does that in steps between two entries of the guest, which the slowest of its writes wait
for.  {faults}

On the right a guest of {loop_mem} MiB gets a DIMM of {large_mem} MiB, in 4 KiB pages; it
writes its own memory and prints a line, again and again.  A line takes QEMU's global lock
(BQL), as any access to a device does that QEMU emulates; `prealloc=on` keeps it until all
memory is there.

![First writes and a loop of a guest that runs]({plots}/behind.svg)

{table}
''',
    'firmware': '''## What firmware leaves of it

A guest of {boot_mem} MiB that firmware boots and that then writes one word in
every page.  A boot is from RESUME to the guest's first word.  *Off* makes the same
memslots as the unpatched QEMU does (tests/functional/test_unpatched.py); *mapped
once* has neither retention nor refill: KVM drops all mappings with each memslot
that is deleted, and nothing is mapped again.

{table}
![Stage-2 faults over time while firmware boots a guest]({plots}/boot.svg)

''',
    'balancing': '''## What NUMA balancing leaves of it

A guest of {numa_mem} MiB in transparent huge pages, on a host with two nodes,
`kernel.numa_balancing=1` and no memory policy, that writes one word in every page again
and again for {numa_seconds} s.  Its vCPU may run on both nodes.

{table}
![Stage-2 faults over time under NUMA balancing]({plots}/balancing.svg)

''',
    'conversions': '''## Conversions between private and shared

The guest asks for a conversion (KVM_HC_MAP_GPA_RANGE) and then writes to each page.
Without prefault QEMU converts as well; it maps what becomes private by itself, as part of
the conversion, and leaves what becomes shared to page faults.

{table}
![Cycles of conversions, by size]({plots}/conversions.svg)

''',
}

METHOD = '''## How it is measured

The guest is the measuring guest of `tests/guest` on `microvm`: it writes one
word in every page of its memory and times each write with its cycle counter.

* *Stage-2 faults* are KVM's own count (`query-stats`, pf_fixed), never
  prefault's.
* *Median, p99, max* are cycles of the first write to a page.
* *Launch to QMP* is when `prealloc=on` works, *cont to RESUME* when prefault
  does.  Clocks are CLOCK_MONOTONIC beside QEMU.
* *The ioctl alone* is `prefault=on` whose `MADV_POPULATE_WRITE` is made to do
  nothing.
* *Workers* are prefault's threads or prealloc's; the guest has as many vCPUs.
{emulated}* Ratios of times are of paired runs, one after the other: the median of the
  pairs' ratios counts, the range is given.  Tables without a range are of one run,
  conversions of the median of {guests}.
* *Others* is how much of the host's CPU time other work had while a time was
  taken.  For the bars, samples are taken again when that was {calm:.1f} CPUs or
  more, up to a limit, and the least disturbed ones count.

### Populating, against prealloc=on

`prealloc=on` populates host memory and maps nothing, so it is compared with
prefault where that cannot map either: `prefault=auto` with KVM's capability
hidden.  Both use `MADV_POPULATE_WRITE`, the same number of threads and the
same backend.  The time of `prealloc=on` is what it adds to launch to QMP, ours
is what it adds to cont to RESUME: so both contain making and joining threads
and neither contains QEMU's own start.  Ours also has to see whether the host
has enough memory, and is slowed down by the library that hides the capability.
With one thread the figures compare the work done; with two threads they also
contain how well each way spreads it over the CPUs.
'''
EMULATED = '''* *Emulated instructions*: one CPU, whose clock counts the instructions that
  it executed.  Such a figure comes out the same each time, and is blind to
  caches and memory bandwidth.
'''
POLICY = re.compile(r'[0-9a-f]+ (\S+)')         # of /proc/self/numa_maps


def machine_text(machine):
    """One sentence on what was measured on."""
    kernel = machine.read('/proc/sys/kernel/osrelease').strip()
    if machine.kind == 'host':
        return host_text(machine, kernel)
    version = machine.read('/proc/sys/kernel/version').strip()
    npt = machine.read('/sys/module/kvm_amd/parameters/npt').strip()
    return (f'emulated by QEMU (TCG): {monitor.machine_cpus(machine)} CPUs, L1 with '
            f"the {'Debian ' * ('Debian' in version)}kernel {kernel}, kvm-amd "
            f"npt={int(npt in 'Y1')}")


def host_text(machine, kernel):
    """The same of a real host."""
    info = machine.read('/proc/cpuinfo')
    model = re.search(r'^model name\s*: (.*)', info, re.M)
    sockets = len(set(re.findall(r'^physical id\s*: (\d+)', info, re.M))) or 1
    nodes = machine.read('/sys/devices/system/node/online').strip()
    total = int(re.search(r'MemTotal: *(\d+)', machine.read('/proc/meminfo'))[1])
    return (f"with {sockets} x {model[1] if model else 'unknown CPUs'}, "
            f'{monitor.machine_cpus(machine)} CPUs, NUMA nodes {nodes}, '
            f'{total >> 20} GiB, Linux {kernel}; CPUs of the run '
            f'{allowed_cpus(machine)}, memory policy {policy(machine)}')


def allowed_cpus(machine):
    """The CPUs that the run is bound to."""
    return re.search(r'^Cpus_allowed_list:\s*(\S+)',
                     machine.read('/proc/self/status'), re.M)[1]


def policy(machine):
    """The memory policy that the run has from numactl, in the kernel's words."""
    try:
        return POLICY.match(machine.read('/proc/self/numa_maps'))[1]
    except OSError:             # a kernel without NUMA
        return 'default'


def about(results):
    """The paragraph on what the figures are worth."""
    text = f'Measured on a machine {results.machine}.  '
    if results.emulated:
        text += (
            "Times and cycles are an emulator's: compare them with each other only.  "
            "Counts of faults are KVM's own.  This is AMD's nested paging; on Intel's "
            'EPT `scripts/check intel` counts faults, and times were not taken.  ')
    text += (f'A figure marked *host disturbed* was taken while other work on the host '
             f'kept {quiet.CALM_CPUS} of its CPUs busy, or more.')
    return textwrap.fill(text, 88) + ''.join(
        '\n\n' + textwrap.fill(f'Not measured: {reason}.', 88)
        for reason in results.missing)


def text(options, results, pictures):
    """The whole document.

    pictures: the folder of the pictures, as the document names it
    """
    kinds = {row.kind.name: row.kind.text for row in results.rows}
    values = {
        'mem': options.mem, 'boot_mem': firmware.MIB, 'numa_mem': balancing.MIB,
        'numa_seconds': balancing.SECONDS, 'pair_mem': options.pair_mem,
        'large_mem': behind.large(options), 'loop_mem': behind.LOOP_MIB,
        'plots': pictures, 'faults': behind.faults_text(results.firsts),
        'kinds': '\n'.join(f'* {name}: {text}.' for name, text in kinds.items())}
    found = report.tables(results)
    return ''.join([
        BEGIN.format(command=options.command, about=about(results),
                     bars=report.bars_table(results.bars),
                     notes=report.notes(results.bars)),
        *(SECTIONS[name].format(table=text, **values)
          for name, text in found.items()),
        METHOD.format(calm=quiet.CALM_CPUS, guests=conversions.GUESTS,
                      emulated=EMULATED * results.emulated)])
