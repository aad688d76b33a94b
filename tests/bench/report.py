# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures as text: for a terminal, and as the document.

Markdown with aligned columns serves both.
"""
import textwrap

import balancing
import firmware
import matrix
import quiet

VERDICTS = {True: 'met', False: '**not met**'}

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
* *Emulated instructions*: one CPU, whose clock counts the instructions that
  it executed.  Such a figure comes out the same each time, and is blind to
  caches and memory bandwidth.
* Ratios on two CPUs are of paired runs, one after the other: the median of the
  pairs' ratios counts, the range is given.
* *Others* is how much of the host's CPU time other work had while a time was
  taken.  For the bars, samples are taken again when that was {calm:.0%} or
  more, up to a limit, and the least disturbed ones count.

### Populating, against prealloc=on

`prealloc=on` populates host memory and maps nothing, so it is compared with
prefault where that cannot map either: `prefault=auto` with KVM's capability
hidden.  Both use `MADV_POPULATE_WRITE`, the same number of threads and the
same backend.  The time of `prealloc=on` is what it adds to launch to QMP, ours
is what it adds to cont to RESUME: so both contain making and joining threads
and neither contains QEMU's own start.  Ours also has to see whether the host
has enough memory, and is slowed down by the library that hides the capability.
With one thread, counted in instructions, the figures compare the work done;
with two threads they also contain how well each way spreads it over the CPUs.
'''


def machine_text(machine, cpus):
    """One sentence on what was measured on."""
    kernel = machine.read('/proc/sys/kernel/osrelease').strip()
    version = machine.read('/proc/sys/kernel/version').strip()
    model = 'Debian ' if 'Debian' in version else ''
    npt = machine.read('/sys/module/kvm_amd/parameters/npt').strip()
    return (f'emulated by QEMU (TCG): {cpus} CPUs, L1 with the {model}kernel '
            f"{kernel}, kvm-amd npt={int(npt in 'Y1')}")


def about(machine):
    """The paragraph on what the figures are worth."""
    return textwrap.fill(
        f"Measured on a machine {machine}.  Times and cycles are an "
        "emulator's: compare them with each other only.  Counts of faults are "
        "KVM's own.  This is AMD's nested paging; on Intel's EPT "
        "`scripts/check intel` counts faults, and times were not taken.  A figure marked *host disturbed* was taken "
        f"while other work on the host had {quiet.CALM_SHARE:.0%} or more of "
        "its CPU time.", 80)


def table(head, rows, left=2):
    """A Markdown table with aligned columns."""
    rows = [[str(cell) for cell in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ['| ' + ' | '.join(
        f'{cell:<{width}}' if i < left else f'{cell:>{width}}'
        for i, (cell, width) in enumerate(zip(row, widths))) + ' |'
             for row in rows]
    lines.insert(1, '|' + '|'.join(
        '-' * (width + 2) if i < left else '-' * (width + 1) + ':'
        for i, width in enumerate(widths)) + '|')
    return '\n'.join(lines) + '\n'


def bars_table(bars):
    """The bars, one a row."""
    return table(('what', 'bar', 'figure', ''),
                 [(b.what, b.bar, b.figure,
                   VERDICTS[b.met] + ', host disturbed' * b.disturbed)
                  for b in bars],
                 left=4)


def notes(bars):
    """How each bar was measured, and the times behind a ratio."""
    return '\n'.join(textwrap.fill(f'* {b.what}: {b.note}.', 80,
                                   subsequent_indent='  ')
                     for b in bars) + '\n'


def matrix_table(rows):
    """The table of ways and kinds of memory."""
    return table(matrix.HEAD, map(matrix.cells, rows))


def firmware_table(rows):
    """The table of firmware and what it leaves."""
    return table(firmware.HEAD, map(firmware.cells, rows))


def balancing_table(rows):
    """The table of NUMA balancing and what it leaves."""
    return table(balancing.HEAD, rows, left=1)


def document(options, machine, rows, boots, balanced, bars):
    """The whole document."""
    kinds = '\n'.join(f'* {kind.name}: {kind.text}.' for kind in options.kinds)
    return f'''# Benchmarks

Written by `{options.command}`; not edited by hand.

{about(machine)}

## What was to be reached

{bars_table(bars)}
{notes(bars)}
## Ways to bring a guest up

A guest of {options.mem} MiB.  Median, p99 and max are cycles of the first write
to a page.

{matrix_table(rows)}
{kinds}

## What firmware leaves of it

A guest of {firmware.MIB} MiB that firmware boots and that then writes one word in
every page.  A boot is from RESUME to the guest's first word.  *Off* makes the same
memslots as the unpatched QEMU does (tests/functional/test_unpatched.py); *mapped
once* has neither retention nor refill: KVM drops all mappings with each memslot
that is deleted, and nothing is mapped again.

{firmware_table(boots)}

## What NUMA balancing leaves of it

A guest of {balancing.MIB} MiB in transparent huge pages, on a host with two nodes,
`kernel.numa_balancing=1` and no memory policy, that writes one word in every page again
and again for {balancing.SECONDS} s.  Its vCPU may run on both nodes.

{balancing_table(balanced)}
{METHOD.format(calm=quiet.CALM_SHARE)}'''


def missed(bars):
    """The bars that were not met."""
    return [bar for bar in bars if not bar.met]


def summary(bars):
    """One line for a terminal."""
    return (f'{len(bars) - len(missed(bars))} of {len(bars)} bars met'
            + ''.join(f'\n          not met: {bar.what}: {bar.figure}'
                      for bar in missed(bars)))
