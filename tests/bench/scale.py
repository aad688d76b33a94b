# SPDX-License-Identifier: GPL-2.0-or-later
"""What our parts take for guests of up to 64 TiB, and docs/scale.md.

The guests are made up: unit tests print a row for each size (-m perf).  QEMU's
own part is of a real one whose memory nobody touches.
"""
import os
import re
import socket
import subprocess
import tempfile
import textwrap
import time
from pathlib import Path

import bounds
import report
from prefaultlib import paths, say
from prefaultlib.check.suites import build
from prefaultlib.err import Fail

DOCUMENT = paths.ROOT / 'docs/scale.md'
PROGRAMS = ('tests/unit/test-prefault-scale', 'tests/unit/test-kvm-retention')
QEMU = 'qemu-system-x86_64'
ROW = re.compile(r'# scale: (.*)')
HEAD = ('what', 'RAM, TiB', 'pieces', 'workers', 'ms', 'MiB')
TIMEOUT = 300
MIB = 1 << 20

# TiB and vCPUs of a QEMU that only starts, and the host memory that it takes
ITSELF = ((1, 1), (1, 1024), (16, 1), (64, 1), (64, 1024))
NODES = 16                      # of less than 8 TiB each
NEEDS_MIB_PER_TIB = 128

# What a row's first word stands for; those with the BQL have a star
PARTS = {
    'plan': 'a plan is made *',
    'walk': 'all chunks, one after the other',
    'owe': 'so many ranges become owed, in random order *',
    'debts': 'these are listed *',
    'plan of debts': 'a plan of them *',
    'owe all': 'all memory is owed as well *',
    'settle': 'each of them is settled, in random order',
    'room': 'room for each chunk of 1 TiB',
    'count anonymous': 'absent pages are counted, anonymous memory *',
    'count memfd': 'absent pages are counted, memfd *',
    'work': 'all chunks by real threads that do nothing',
    'query': 'a query meanwhile, the longest *',
    'second run': 'the same when all of it is mapped already',
    'commit': 'a change of the memory map: memslots that stay *',
}

TEXT = '''# Large guests

Written by `tests/bench/run scale`; not edited by hand.

{about}

## What our parts take

{table}
{notes}
## QEMU itself

Started with `-S`, the qtest accelerator and {nodes} backends whose memory nobody
touches (`reserve=off`): until the monitor answers, and what it has resident then.  Most of
that is QEMU's record of written pages: three bits for each 4 KiB.  prefault is not in use.

{itself}
{bounds}'''

NOTES = '''* A star: with the BQL, so that the monitor waits.
* *Pieces* are sections of the memory map, ranges that are owed, or memslots; each is
  apart from the next.  *MiB* is what is allocated with malloc() meanwhile.
* A row with workers is elapsed time, all others are CPU time of one thread.  There are
  more workers than CPUs: a query waits for its turn, too.
* `scripts/check unit/test-prefault-scale` has bounds for most of this, on how it grows.
'''


def rows_of(text):
    """The cells of each row that a program has printed."""
    rows = []
    for line in text.splitlines():
        if found := ROW.match(line):
            what, *sizes, ms, mib = found[1].split(' | ')
            rows.append([PARTS[what], *(size if size != '0' else '' for size in sizes),
                         digits(float(ms)),
                         digits(float(mib)) if float(mib) > 0.01 else ''])
    return rows


def digits(value):
    """A number as text, with no more digits than it is worth."""
    places = 0 if value >= 100 else 1 if value >= 1 else 2 if value >= 0.1 else 3
    return f'{value:.{places}f}'


def simulate(folder):
    """Run the programs; their rows."""
    rows = []
    for program in PROGRAMS:
        say.step(f'{program} -m perf')
        done = subprocess.run([folder / program, '--tap', '-m', 'perf'], text=True,
                              capture_output=True, timeout=TIMEOUT, check=False)
        if done.returncode:
            raise Fail(f'{program}: {done.stderr.strip()}')
        rows += rows_of(done.stdout)
    return rows


def available_mib():
    """What the host has left, by its own account."""
    text = Path('/proc/meminfo').read_text(encoding='ascii')
    return int(re.search(r'MemAvailable: *(\d+)', text)[1]) // 1024


def command(folder, path, tib, vcpus):
    """The command of a QEMU with so much memory."""
    words = [str(folder / QEMU), '-accel', 'qtest', '-machine', 'q35', '-nodefaults',
             '-display', 'none', '-cpu', 'qemu64,x2apic=on,phys-bits=48', '-S',
             '-m', f'{tib}T', '-smp', f'{vcpus},maxcpus={max(vcpus, NODES)}',
             '-qmp', f'unix:{path},server=on,wait=off']
    for node in range(NODES):
        words += ['-object', f'memory-backend-ram,id=m{node},reserve=off,'
                  f'size={tib * 1024 // NODES}G', '-numa', f'node,memdev=m{node}']
    return words


def answered(qemu, path):
    """Wait until a QEMU's monitor answers a command."""
    while qemu.poll() is None:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(path))
            except OSError:             # not there yet
                time.sleep(0.01)
                continue
            talk = client.makefile('rw')
            talk.write('{"execute": "qmp_capabilities"} {"execute": "query-status"}')
            talk.flush()
            if [talk.readline() for _ in range(3)][2]:
                return
    raise Fail(f'QEMU ended: {qemu.stderr.read().strip()}')


def start_one(folder, tib, vcpus):
    """Start a QEMU; (seconds until QMP answers, resident MiB)."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / 'qmp'
        begun = time.monotonic()
        with subprocess.Popen(command(folder, path, tib, vcpus),
                              stderr=subprocess.PIPE, text=True) as qemu:
            try:
                answered(qemu, path)
                seconds = time.monotonic() - begun
                statm = Path(f'/proc/{qemu.pid}/statm').read_text(encoding='ascii')
            finally:
                qemu.kill()
    pages = int(statm.split()[1])
    return seconds, pages * os.sysconf('SC_PAGE_SIZE') // MIB


def itself(folder):
    """Rows of QEMU's own start, where this host has the memory."""
    rows = []
    for tib, vcpus in ITSELF:
        say.step(f'a QEMU with {tib} TiB and {vcpus} vCPUs')
        if available_mib() < NEEDS_MIB_PER_TIB * tib:
            rows.append((tib, vcpus, 'this host has too little memory', ''))
        else:
            seconds, mib = start_one(folder, tib, vcpus)
            rows.append((tib, vcpus, digits(seconds), mib))
    return rows


def about():
    """The paragraph on what was measured on."""
    return textwrap.fill(
        'Guests are made up, and our code is the real one, with operations that do '
        f'nothing.  Measured on an x86-64 machine with {os.cpu_count()} CPUs, which had '
        'other work, too: compare times with each other.', 88)


def measure(options):
    """Measure, print, and write the document."""
    folder = build('default', [QEMU, *PROGRAMS])
    text = TEXT.format(about=about(), table=report.table(HEAD, simulate(folder), left=1),
                       notes=NOTES, nodes=NODES, bounds=bounds.text(),
                       itself=report.table(
                           ('RAM, TiB', 'vCPUs', 'seconds to QMP', 'resident, MiB'),
                           itself(folder), left=0))
    print(text)
    output = options.output or DOCUMENT
    output.write_text(text, encoding='utf-8')
    say.info(f'written: {output}')
    return 0
