# SPDX-License-Identifier: GPL-2.0-or-later
"""What a test does to L1's kernel itself: modules and poisoned pages.

Page frames are named by their number (PFN), memory by bytes.  tests/module
describes the modules that only a bed with private memory has.
"""
import errno
import re

from .link import BedError

PAGE = 4096
PRESENT = 1 << 63               # of a word of /proc/PID/pagemap
PFN = (1 << 55) - 1
HWPOISON = 1 << 19              # of a word of /proc/kpageflags
PARAMETERS = '/sys/module/{}/parameters/{}'
POISON = '/sys/kernel/debug/hwpoison/corrupt-pfn'

# The module $0, whose file has the name $1; in order, each has what it needs
LOAD = '''test -d /sys/module/$0 || insmod /modules/extra/*-$1.ko 2>/dev/null && exit
for module in /modules/extra/*; do
    insmod $module 2>/dev/null
done
test -d /sys/module/$0'''

# Size and path of each guest_memfd of the process $1
GUEST_MEMFDS = '''for fd in /proc/$1/fd/*; do
    case "$(readlink $fd)" in
    *kvm-gmem*) echo $(stat -L -c %s $fd) $fd;;
    esac
done'''


class Knobs:
    """Methods of a BedMachine."""

    def load(self, module):
        """Load a module of artifacts.MODULES_EXTRA or tests/module, and what
        it needs."""
        code, _, said = self.run('/bin/sh', '-c', LOAD, module,
                                 module.replace('_', '?'))
        if code:
            raise BedError(f'no module {module}: {said}')

    def unload(self, module):
        """Remove a module."""
        code, _, said = self.run('/bin/rmmod', module)
        if code:
            raise BedError(f'module {module} stays: {said}')

    def implicit(self, to_private=(0, 0), to_shared=(0, 0)):
        """From now on a guest's access to memory in these windows, each (start,
        end), counts as one of the other kind; see tests/module/implicit.c.

        Without windows no access does.  Returns how many did so far.
        """
        self.load('implicit')
        for name, (start, end) in (('to_private', to_private),
                                   ('to_shared', to_shared)):
            self.write(PARAMETERS.format('implicit', name),
                       f'{start:#x}-{end:#x}')
        return self.implicit_changed()

    def implicit_changed(self):
        """How many accesses implicit() made count as another so far."""
        return int(self.read(PARAMETERS.format('implicit', 'changed')))

    def pfn(self, pid, address):
        """The page frame behind a process' address; None if none is mapped.

        Of guest memory QEMU's address is needed: HMP gpa2hva.
        """
        word = self._word(f'/proc/{pid}/pagemap', address // PAGE)
        return word & PFN if word & PRESENT else None

    def private_pfn(self, pid, offset):
        """The page frame behind private memory of a QEMU, at an offset in its
        largest guest_memfd; OSError (ENOENT) if there is no memory.

        That is the offset in its largest RAM block, and in a machine with no
        RAM above 4 GiB the guest address.
        """
        _, said, _ = self.run('/bin/sh', '-c', GUEST_MEMFDS, 'sh', str(pid))
        found = [(int(size), path) for size, path in
                 re.findall(r'^(\d+) (\S+)$', said, re.M)]
        if not found:
            raise BedError(f'process {pid} has no guest_memfd')
        self.load('private_pfn')
        name = PARAMETERS.format('private_pfn', 'pfn')
        self.write(name, f'{max(found)[1]} {offset // PAGE}')
        return int(self.read(name))

    def poison(self, pfn):
        """What a machine check does where memory has failed: the page is
        taken away from all, and who uses it is told.

        L1 never uses this page again.
        """
        self.load('hwpoison_inject')
        try:
            self.write(POISON, f'{pfn:#x}')
        except OSError as error:
            if error.errno != errno.EBUSY:      # a guest_memfd keeps its page
                raise
        flags = self._word('/proc/kpageflags', pfn)
        if not flags & HWPOISON:
            raise BedError(f'page {pfn:#x} has flags {flags:#x}, no poison')

    def _word(self, path, number):
        """A word of 64 bits of a file too long to be read as a whole."""
        code, said, errors = self.run(
            '/bin/sh', '-c', f'dd if={path} bs=8 count=1 skip={number} '
            '2>/dev/null | od -An -tx8')
        if code or not said.strip():
            raise BedError(f'no word {number:#x} in {path}: {errors}')
        return int(said, 16)
