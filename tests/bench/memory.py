# SPDX-License-Identifier: GPL-2.0-or-later
"""The kinds of memory that a guest is measured with.

A kind is a memory backend of QEMU and the state of two knobs of the kernel.
The knobs are put back after use, but nobody else may run there meanwhile.
"""
import collections
import contextlib
import re

from prefaultlib.err import Fail

THP = '/sys/kernel/mm/transparent_hugepage/enabled'
HUGE_PAGES = '/proc/sys/vm/nr_hugepages'
HUGE_FREE = re.compile(r'HugePages_Free: *(\d+)')
HUGE_MIB = 2

# private: the guest's RAM begins private (guest_memfd)
Kind = collections.namedtuple('Kind', 'name backend thp hugetlb text private',
                              defaults=(False,))

FOUR_KIB = Kind('4 KiB', 'memory-backend-ram', 'never', False,
                'anonymous memory, transparent huge pages off')
HUGE = Kind('THP', 'memory-backend-ram', 'always', False,
            'anonymous memory in transparent huge pages')
HUGETLB = Kind('hugetlb', 'memory-backend-memfd,hugetlb=on,hugetlbsize=2M',
               'always', True, 'a memfd of 2 MiB hugetlb pages')
# A folder: the file is made for each run, and gone after it
FILE = Kind('file', 'memory-backend-file,mem-path=/dev/shm,share=on',
            'always', False, 'a shared file on tmpfs')
MEMFD = Kind('memfd', 'memory-backend-memfd', 'always', False,
             'a memfd of ordinary pages')
KINDS = (FOUR_KIB, HUGE, HUGETLB, FILE, MEMFD)
GUEST_MEMFD = Kind('guest_memfd', 'memory-backend-ram', 'always', False,
                   'private memory of a guest_memfd, which has ordinary pages', True)
PRIVATE = ('-object', 'sw-protected-vm,id=cgs0,initial-state=private')


@contextlib.contextmanager
def ready(machine, kind, mib):
    """Set the machine up for a guest of mib MiB of the kind."""
    with knob(machine, THP, kind.thp), contextlib.ExitStack() as pool:
        if kind.hugetlb:
            pool.enter_context(knob(machine, HUGE_PAGES, pool_for(machine, mib)))
            if free_pages(machine) < mib // HUGE_MIB:
                raise Fail(f'the machine has {free_pages(machine)} of '
                           f'{mib // HUGE_MIB} huge pages')
        yield


@contextlib.contextmanager
def knob(machine, path, value):
    """Set a knob of the kernel's; what it was is put back."""
    now = machine.read(path).strip()
    try:
        machine.write(path, str(value))
        yield
    finally:
        machine.write(path, now.partition('[')[2].partition(']')[0] or now)


def machine_option(kind):
    """What QEMU's -machine needs for the kind, and more arguments."""
    return ((',confidential-guest-support=cgs0', PRIVATE) if kind.private
            else ('', ()))


def free_pages(machine):
    """Pages of the hugetlb pool that nobody uses."""
    return int(HUGE_FREE.search(machine.read('/proc/meminfo'))[1])


def pool_for(machine, mib):
    """How many pages the pool must have for so much memory to be free in it: it is
    never made smaller, for others may use it."""
    now = int(machine.read(HUGE_PAGES))
    return now + max(0, mib // HUGE_MIB - free_pages(machine))
