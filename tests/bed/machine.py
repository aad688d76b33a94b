# SPDX-License-Identifier: GPL-2.0-or-later
"""Where QEMU under test runs: the emulated L1, or this host.

Both kinds offer what Machine describes.  A machine that cannot be had raises
unittest.SkipTest naming what is missing.
"""
import atexit
import os
import socket

from . import (apparmorfiles, artifacts, debianfiles, instrument,
               libvirtfiles, linuxfiles)
from .emulated import Emulated
from .knobs import Knobs
from .link import BedError, Link
from .qemu import Qemu

BOOT_SECONDS = 90
CAP_PRE_FAULT_MEMORY = 236

# Removes all but libvirt's folders from the folder $0
CLEAR = '''cd "$0" && for name in *; do
    case $name in lv*) ;; *) rm -rf "$name" ;; esac
done'''


class Machine:
    """A Linux with /dev/kvm, reached through the agent.

    A context manager: leaving it stops the machine and all that runs in it.
    kind is 'bed', 'intel' or 'host'.
    """

    kind = None
    link = None

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def close(self):
        """End the machine and everything in it."""
        raise NotImplementedError

    def path(self, name):
        """Where the machine has a file of the bed: 'qemu-system-x86_64',
        'qemu-prefault', 'guest.bin', 'kernel.elf', 'guest.efi', 'convert.bin',
        'inject.so', 'barefault', 'membind', or 'fw' (folder)."""
        raise NotImplementedError

    def scratch(self, name):
        """A path in the machine that a test may write (short: sockets)."""
        raise NotImplementedError

    def qemu(self, *argv, env=None, inject=None, binary=None, connect=True,
             prefix=(), timeout=30):
        """Start QEMU with the arguments as they are, plus a QMP socket.

        env:     more environment variables
        inject:  rules for tests/inject
        binary:  path in the machine, default the QEMU under test
        prefix:  a command that runs QEMU: its words, QEMU's are appended
        connect: wait for QMP (BedError if QEMU ends before); False for a
                 QEMU that is meant to refuse: use wait_exit() and stderr;
                 'later' for one that has no QMP yet: use connect()
        """
        self._count += 1
        qmp_path = self.scratch(f'qmp{self._count}')
        env = instrument.environment(self, bool(inject)) | (env or {})
        if inject:
            env.update(PREFAULT_INJECT=inject)
        words = [*prefix, binary or self.path('qemu-system-x86_64'),
                 *self.firmware(), *argv,
                 '-qmp', f'unix:{qmp_path},server=on,wait=off']
        qemu = Qemu(self, words, env, qmp_path if connect else None)
        instrument.watch(qemu)
        if connect and connect != 'later':
            try:
                qemu.connect(timeout)
            except BaseException:
                qemu.kill()
                raise
        return qemu

    def guest(self, *extra, machine='microvm', accel='kvm', mem='256M', smp=1,
              cpu='host', bios='guest.bin', kernel=False, wait=False,
              paused=False, **how):
        """Start QEMU with the measuring guest (tests/guest).

        extra:   more arguments
        machine: -M, its options may follow; microvm gets the bed's defaults
        accel:   -accel, for instance 'kvm,prefault=on'
        bios:    'guest.bin', 'convert.bin' (see convert()), a path, or None for
                 the machine's own firmware
        kernel:  the machine's own firmware starts the guest (pc and q35):
                 True, or 'guest.efi' for UEFI
        wait:    the guest says READY and halts; each Qemu.sweep() is one sweep
        paused:  -S
        how:     env, inject, binary, connect, prefix, timeout of qemu()
        """
        if machine.split(',')[0] == 'microvm':
            machine = machine.replace(
                'microvm', 'microvm,x-option-roms=off,isa-serial=off', 1)
        argv = ['-M', machine, '-accel', accel, '-cpu', cpu, '-m', mem,
                '-smp', str(smp), '-nodefaults', '-display', 'none',
                '-chardev', 'stdio,id=debug,signal=off',
                '-device', 'isa-debugcon,iobase=0x402,chardev=debug']
        if kernel:
            argv += ['-kernel', self.path(
                'kernel.elf' if kernel is True else kernel)]
        elif bios:
            argv += ['-bios', self.path(bios) if bios in artifacts.GUESTS
                     else bios]
        if wait:
            argv += ['-fw_cfg', 'name=opt/prefault/wait,string=1']
        return self.qemu(*argv, *(['-S'] if paused else []), *extra, **how)

    def firmware(self):
        """QEMU's arguments that name the firmware folders."""
        return ['-L', self.path('fw')]

    def variables(self):
        """A new flash image of UEFI variables; its path."""
        path = self.scratch('variables')
        self.run('/bin/cp', self.path('fw/OVMF_VARS_4M.fd'), path)
        return path

    def ovmf(self, variables, code='OVMF_CODE_4M.fd'):
        """QEMU's arguments for OVMF in flash, with these variables."""
        return ['-drive', 'if=pflash,unit=0,format=raw,readonly=on,file='
                + self.path(f'fw/{code}'),
                '-drive', f'if=pflash,unit=1,format=raw,file={variables}']

    def clear(self):
        """Remove what tests left in the scratch space, but for libvirt's folder,
        whose daemon goes on."""
        if not self.link.closed:
            self.run('/bin/sh', '-c', CLEAR, self.scratch(''))

    def run(self, *argv, env=None, timeout=60):
        """Run a program to its end; returns (code, stdout, stderr)."""
        process = self.link.spawn(argv, env)
        self.link.wait(lambda: process.code is not None, timeout,
                       f'end of {argv[0]}')
        return (process.code, ''.join(l.text + '\n' for l in process.out),
                ''.join(l.text + '\n' for l in process.err))

    def read(self, path):
        """The text of a file in the machine (OSError if it has none)."""
        code, data = (self.link.ask('cat', path) + [''])[:2]
        if int(code):
            raise OSError(int(code), os.strerror(int(code)), path)
        return bytes.fromhex(data).decode(errors='replace')

    def write(self, path, text):
        """Write a file in the machine, a knob of /sys for instance."""
        code = int(self.link.ask('write', path, text)[0])
        if code:
            raise OSError(code, os.strerror(code), path)

    def now_ns(self):
        """The machine's CLOCK_MONOTONIC."""
        return int(self.link.ask('ping')[0])

    def capability(self, number):
        """KVM_CHECK_EXTENSION's answer on /dev/kvm, 0 if there is no KVM."""
        code, said, _ = self.run(self.path('barefault'), '--capability',
                                 str(number))
        return 0 if code else int(said)

    def can_prefault(self):
        """Tell whether its KVM has KVM_CAP_PRE_FAULT_MEMORY."""
        return self.capability(CAP_PRE_FAULT_MEMORY) > 0

    def barefault(self, mib, timeout=120):
        """Run the bare C program; returns its figures as a dict of ints."""
        code, said, errors = self.run(self.path('barefault'), str(mib),
                                      timeout=timeout)
        if code:
            raise BedError(f'barefault: {errors}')
        return {name: int(value) for name, value in
                (word.split('=') for word in said.split()[1:])}

    def _open(self, explain):
        """A link and the socket that is the agent's end of it."""
        ours, theirs = socket.socketpair()
        self.talk(ours, explain, instrument.patience())
        return theirs

    def talk(self, sock, explain, patience=1):
        """Use the socket as the link; see Link for the rest."""
        self._count = 0
        self.link = Link(sock, explain, patience)
        atexit.register(self.close)


# Without ERMS, L1 zeroes memory by words.  TCG emulates `rep stosb` one byte at a
# time, ten times as slow: zeroing would count for much more than on a real CPU.
CPU = 'max,+svm,+npt,-erms'


# A device that does nothing by itself, behind the IOMMU that L1's kernel has a
# driver for
VFIO_DEVICE = '0000:00:10.0'
ASSIGNABLE = ['-device', 'intel-iommu', '-device', 'edu,addr=0x10']


# For OVMF, which takes seconds to look for a keyboard and disks, in a bed at least
OVMF_MACHINE = 'q35,i8042=off,sata=off'

LOAD_PROFILES = '''mount -t securityfs none /sys/kernel/security
for file in "$0"/*; do cat $file > /sys/kernel/security/apparmor/.load; done'''
# With the bed's guests where path() has them
MOUNT_DEBIAN = '''mkdir $0
mount -t ext4 /dev/vda $0
for name in proc sys dev dev/shm sys/fs/cgroup tmp; do
    mount --bind /$name $0/$name
done
mkdir $0/prefault
cp -r $(ls -d /prefault/*.elf /prefault/*.bin /prefault/linux) $0/prefault'''
# The profile is in force from the next program on
CONFINED = '''echo "exec $0" > /proc/self/attr/apparmor/exec
exec "$@"'''


class BedMachine(Knobs, Emulated, Machine):
    """L1: a Debian kernel with kvm-amd and nested paging, emulated by TCG.

    smp, mem: L1's CPUs and memory
    nodes:    2: NUMA nodes 0 and 1, each with half of the CPUs and the memory
    icount:   a deterministic clock: one CPU, one thread, time is the count of
              emulated instructions (1 ns each)
    uefi:     OVMF is among the firmware, and L0 can run it
    vfio:     a PCI device, at VFIO_DEVICE, can be assigned to a guest
    private:  a KVM of our own build, which has guest_memfd and
              KVM_X86_SW_PROTECTED_VM, and tests/module; building it takes a
              minute, once
    libvirt:  with libvirt, see libvirt.Libvirt: True, or 'pristine'
    linux:    a Linux to run as a guest is there, see linuxfiles
    apparmor: profiles of libvirt's are loaded, see apparmorfiles and confined()
    debian:   our packages are installed in a Debian at debianfiles.FOLDER
    """

    kind = 'bed'

    def __init__(self, smp=2, mem='4096M', icount=False, nodes=1, uefi=False,
                 vfio=False, private=False, libvirt=False, linux=False,
                 apparmor=False, debian=False):
        disk = debianfiles.disk() if debian else None
        image, modules = artifacts.kernel(private)
        more = linuxfiles.files() if linux else {}
        if libvirt:
            more |= libvirtfiles.files(
                libvirtfiles.root(libvirt == 'pristine'))
        if apparmor:
            more |= apparmorfiles.files()
        root = artifacts.initramfs(modules, uefi, more)
        self.prepare()
        theirs = self._open(self.tail)
        argv = [artifacts.l0_qemu(uefi), *numa(nodes, smp, mem)]
        argv += self._argv(smp, mem, icount, image, root, theirs.fileno())
        argv += ASSIGNABLE if vfio else []
        argv += ['-drive', f'file={disk},format=raw,if=virtio,snapshot=on'
                 ] if disk else []
        try:
            self.start(argv, pass_fds=[theirs.fileno()])
            theirs.close()
            self.wait_agent(BOOT_SECONDS)
            self.check_parameter('kvm_amd', 'npt', 'Y')
            if apparmor:
                self.load_profiles()
            if disk:
                self.mount_debian()
        except BaseException:
            self.close()
            raise

    def _argv(self, smp, mem, icount, image, root, agent_fd):
        timing = ['-accel', 'tcg,thread=multi']
        if icount:
            smp = 1
            timing = ['-accel', 'tcg,thread=single',
                      '-icount', 'shift=0,sleep=off']
        folders = [word for folder in artifacts.FIRMWARE_DIRS
                   for word in ('-L', folder)]
        return [*folders, '-machine', 'q35', *timing,
                '-cpu', CPU, '-m', mem, '-smp', smp,
                '-nodefaults', '-display', 'none', '-no-reboot',
                '-monitor', 'none', '-serial', f'file:{self.console}',
                '-kernel', image, '-initrd', root,
                '-append', 'console=ttyS0 panic=-1 quiet kvm_amd.npt=1 '
                'intel_iommu=on AGENT=/dev/vport0p1 '
                + instrument.kernel_arguments(),
                '-chardev', f'socket,id=agent,fd={agent_fd}',
                '-device', 'virtio-serial-pci',
                '-device', 'virtserialport,chardev=agent,nr=1']

    def load_profiles(self):
        """Give the kernel the profiles of apparmorfiles."""
        code, _, errors = self.run('/bin/sh', '-ec', LOAD_PROFILES,
                                   apparmorfiles.FOLDER)
        if code:
            raise BedError(f'AppArmor: {errors}')

    def mount_debian(self):
        """Mount debianfiles.disk(), and what a system has in it."""
        self.load('virtio_blk')
        code, _, errors = self.run('/bin/sh', '-ec', MOUNT_DEBIAN,
                                   debianfiles.FOLDER)
        if code:
            raise BedError(f'no Debian: {errors}')

    @staticmethod
    def confined(profile):
        """The prefix of a QEMU in a profile of apparmorfiles; see qemu()."""
        return ['/bin/sh', '-ec', CONFINED, profile]

    def assignable(self):
        """Give VFIO_DEVICE to VFIO; returns its name for vfio-pci,host=."""
        self.load('vfio_pci')
        for path, text in (
                ('/sys/module/vfio_iommu_type1/parameters/'
                 'allow_unsafe_interrupts', '1'),
                (f'/sys/bus/pci/devices/{VFIO_DEVICE}/driver_override',
                 'vfio-pci'),
                ('/sys/bus/pci/drivers_probe', VFIO_DEVICE)):
            self.write(path, text)
        return VFIO_DEVICE


def numa(nodes, smp, mem):
    """L0's arguments for NUMA nodes of the same size."""
    if nodes == 1:
        return []
    size, cpus, words = int(mem.rstrip('M')) // nodes, smp // nodes, []
    for node in range(nodes):
        words += ['-object', f'memory-backend-ram,id=n{node},size={size}M',
                  '-numa', f'node,nodeid={node},memdev=n{node},'
                  f'cpus={node * cpus}-{node * cpus + cpus - 1}']
    return words


def convert(**files):
    """QEMU's arguments that tell the converting guest what to do.

    files: below opt/prefault, see tests/guest/convert/main.c; for instance
           machine.guest(*convert(storm=1000, hole=1), bios='convert.bin')
    """
    argv = []
    for name, value in files.items():
        text = str(value).replace(',', ',,')
        argv += ['-fw_cfg', f'name=opt/prefault/{name},string={text}']
    return argv


_SHARED = {}


def shared(kind=BedMachine, **options):
    """A machine of the kind, started once and kept for all who ask the same.

    At most one is kept: asking for another ends the first.
    """
    key = (kind, tuple(sorted(options.items())))
    machine = _SHARED.get(key)
    if machine is None or machine.link.closed:
        release()
        try:
            machine = kind(**options)
        except BedError as error:
            # An emulated CPU of L0 may fail by itself: once is no news
            print(f'# note: the bed is booted once more: {error}'.split('\n')[0])
            machine = kind(**options)
        _SHARED[key] = machine
    return machine


def release():
    """End the shared machine, if there is one."""
    while _SHARED:
        _SHARED.popitem()[1].close()
