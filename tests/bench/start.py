# SPDX-License-Identifier: GPL-2.0-or-later
"""One guest brought up in one of the ways that are compared, and timed.

launch_ns  from the start of QEMU to its QMP greeting (prealloc works here)
cont_ns    from QMP cont to RESUME (prefault works here)
faults     stage-2 faults (pf_fixed) while the guest wrote every page once
all_faults the same from the guest's start to the end of that
sweep      what the guest itself measured then, see bed.Sweep

Times are the machine's own clock.  Faults come from KVM's statistics, never
from prefault's own query.
"""
import collections
import contextlib

from prefaultlib.err import Fail
import memory

LONG = 600                      # seconds: a hang, not a slow machine

# The guest tells how many of its writes took how long
HISTOGRAM = ('-fw_cfg', 'name=opt/prefault/histogram,string=1')

NO_CAPABILITY = 'ioctl:KVM_CHECK_EXTENSION/236:return=0'
NO_POPULATE = 'madvise:MADV_POPULATE_WRITE:errno=0'

# backend: more options of the memory backend; {} is the number of workers
Way = collections.namedtuple('Way', 'name accel backend inject')

OFF = Way('off', 'kvm', '', None)
PREALLOC = Way('prealloc=on', 'kvm', ',prealloc=on,prealloc-threads={}', None)
IOCTL = Way('the ioctl alone', 'kvm,prefault=on,prefault-threads={}', '',
            NO_POPULATE)
OURS = Way('prefault=on', 'kvm,prefault=on,prefault-threads={}', '', None)
# With as many workers as prefault chooses
AS_IT_IS = Way('prefault=on', 'kvm,prefault=on', '', None)
# Populates, and cannot map: what prealloc=on can be compared with
POPULATE = Way('prefault=auto, populate only',
               'kvm,prefault=auto,prefault-threads={}', '', NO_CAPABILITY)

Start = collections.namedtuple(
    'Start', 'launch_ns cont_ns faults all_faults sweep')


@contextlib.contextmanager
def paused(machine, kind, mib, way, workers, *extra, **how):
    """QEMU with the measuring guest, before its cont.

    A vCPU for each worker: KVM lets one thread at a time map on a vCPU.
    """
    backend = kind.backend + way.backend.format(workers)
    option, objects = memory.machine_option(kind)
    with machine.guest(
            '-object', f'{backend},id=ram,size={mib}M', *objects, *extra,
            machine=f'microvm,memory-backend=ram{option}', mem=f'{mib}M',
            smp=workers,
            accel=way.accel.format(workers), inject=way.inject, paused=True,
            timeout=LONG, **how) as qemu:
        yield qemu


def cont(qemu, way, workers):
    """Start the guest; returns the ns from cont to RESUME."""
    sent = qemu.qmp('cont', timeout=LONG).sent_ns
    resumed = qemu.wait_event('RESUME', LONG).ns
    if 'prefault' in way.accel:
        info = qemu.qmp('query-prefault').value
        if info['status'] != 'completed' or info['threads'] != workers:
            raise Fail(f'{way.name}: not as intended: {info}')
    return resumed - sent


def launched(qemu):
    """The ns from QEMU's start to its QMP greeting."""
    return qemu.connected_ns - qemu.start_ns


def finish(qemu, way):
    """End QEMU; what was to be injected must have been."""
    qemu.quit(LONG)
    if way.inject and not all(hits for _, hits in qemu.injected().values()):
        raise Fail(f'{way.name}: never injected: {qemu.injected()}')


def timed(machine, kind, mib, way, workers):
    """One start, without letting the guest write; returns a Start."""
    with paused(machine, kind, mib, way, workers) as qemu:
        start = Start(launched(qemu), cont(qemu, way, workers), None, None,
                      None)
        finish(qemu, way)
    return start


def swept(machine, kind, mib, way, workers):
    """One start, then the guest writes all of its memory; a Start."""
    with paused(machine, kind, mib, way, workers, *HISTOGRAM, wait=True) as qemu:
        took = cont(qemu, way, workers)
        qemu.wait_text('READY', LONG)
        sweep, faults = qemu.sweep(LONG)
        start = Start(launched(qemu), took, faults, qemu.faults(), sweep)
        finish(qemu, way)
    return start
