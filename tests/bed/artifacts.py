# SPDX-License-Identifier: GPL-2.0-or-later
"""What the bed needs on disk, made once and made again when an input changes.

programs()   our own test programs, compiled with the host's gcc
kernel()     L1's Linux image and its modules: a Debian package's, KVM built anew
             where it has to know guest_memfd
initramfs()  busybox, the programs, QEMU with its libraries, firmware, tools
ovmf()       UEFI firmware, from a Debian package

All of it lies below build/bed; a stamp holds the hash of every input.  What
cannot be had raises unittest.SkipTest with its name and the way to get it.
"""
import gzip
import lzma
import os
import re
import shutil
import stat
import subprocess
import unittest
from functools import partial
from pathlib import Path

from prefaultlib import err, made, paths
from prefaultlib.assemble import debs
from prefaultlib.build import linux
from prefaultlib.build import qemu as builds

TESTS = paths.ROOT / 'tests'

MODULES = ('kvm-amd',)          # loaded at boot, unless kernel() is told others
# For BedMachine.load()
MODULES_EXTRA = ('hwpoison-inject', 'loop', 'vfio-pci', 'vfio-iommu-type1',
                 'virtio-blk')
# Those that the host has; see Machine.tool()
TOOLS = ('chrt', 'mke2fs', 'setpriv')
FIRMWARE_DIRS = (Path('/usr/share/seabios'), Path('/usr/share/qemu'))
FIRMWARE = ('bios-256k.bin', 'bios-microvm.bin', 'kvmvapic.bin',
            'linuxboot_dma.bin', 'linuxboot.bin', 'multiboot_dma.bin',
            'pvh.bin')
OVMF_SUITES = ('trixie', 'bookworm')
OVMF = ('OVMF_CODE_4M.fd', 'OVMF_CODE_4M.secboot.fd', 'OVMF_VARS_4M.fd')
GCC = ['gcc', '-O2', '-Wall', '-Wextra']

USERS = '''root:x:0:0:root:/:/bin/sh
tester:x:1000:1000:tester:/tmp:/bin/sh
'''

# Built programs: name, command, inputs below tests/.
PROGRAMS = {
    'agent': (GCC + ['-static'], ['agent/agent.c', 'agent/agent-proto.c']),
    'barefault': (GCC + ['-static'], ['agent/barefault.c']),
    'membind': (GCC + ['-static'], ['agent/membind.c']),
    'inject.so': (GCC + ['-shared', '-fPIC'],
                  ['inject/inject.c', 'inject/rules.c']),
    'kick.so': (GCC + ['-shared', '-fPIC'], ['inject/kick.c']),
}
GUESTS = ['guest.bin', 'kernel.elf', 'guest.efi', 'convert.bin']

INIT = '''#!/bin/busybox sh
# PID 1 of L1: what the agent needs, then the agent, then off.
# The kernel's command line has AGENT=DEVICE, and MODULE.NAME=VALUE for modules.
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /tmp /dev/shm
mount -t tmpfs -o size=90% tmp /tmp
mount -t tmpfs -o size=90% shm /dev/shm
mount -t debugfs debugfs /sys/kernel/debug
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo +memory +hugetlb > /sys/fs/cgroup/cgroup.subtree_control
echo always > /sys/kernel/mm/transparent_hugepage/enabled
for module in $(ls /modules/*.ko 2>/dev/null); do
    name=$(basename $module .ko | sed 's/^[0-9]*-//; s/-/_/g')
    insmod $module $(tr ' ' '\\n' </proc/cmdline | sed -n "s/^$name\\.//p") ||
        echo "no $module"
done
chmod 666 /dev/kvm
cd /tmp
/prefault/agent $AGENT
poweroff -f
'''


def skip(what, remedy):
    """Raise SkipTest: what is missing, and how to get it."""
    raise unittest.SkipTest(f'{what} ({remedy})')


def qemu():
    """The QEMU under test; PREFAULT_BED_QEMU names another, PREFAULT_BED_VARIANT
    a variant that we build."""
    variant = os.environ.get('PREFAULT_BED_VARIANT', 'default')
    path = Path(os.environ.get('PREFAULT_BED_QEMU') or qemu_of(variant))
    if not path.exists():
        skip(f'no QEMU at {path}', 'run scripts/setup and ninja -C build'
             if variant == 'default' else
             f'run scripts/setup and scripts/build --variant {variant}')
    return path


def qemu_of(variant):
    """Where prefaultlib.build.qemu builds a variant."""
    if variant not in builds.VARIANTS:
        skip(f'no variant {variant} of QEMU',
             f"choose from {', '.join(builds.VARIANTS)}")
    return paths.BUILD / builds.VARIANTS[variant][0] / paths.QEMU.name


def follower():
    """The qemu-prefault built with the QEMU under test."""
    path = qemu().parent / builds.FOLLOWER
    if not path.exists():
        skip(f'no {path}', 'run ninja -C build')
    return path


def l0_qemu(uefi=False):
    """The QEMU that emulates L1; PREFAULT_BED_L0 names another.

    The one with patches/bed, which mend the emulator where two CPUs race.
    scripts/demo does without it: to build it takes minutes.
    uefi: without them OVMF in L2 makes it abort
    """
    named = os.environ.get('PREFAULT_BED_L0')
    if named:
        return Path(named)
    return (pristine_qemu() if uefi or paths.PRISTINE_QEMU.exists()
            else qemu_of('default'))


def pristine_qemu():
    """The unpatched QEMU, but for patches/bed."""
    if not paths.PRISTINE_QEMU.exists():
        skip(f'no unpatched QEMU at {paths.PRISTINE_QEMU}',
             'run scripts/check functional')
    return paths.PRISTINE_QEMU


def programs():
    """Compile what changed; returns {name: path}, GUESTS included."""
    out = paths.BED / 'bin'
    out.mkdir(parents=True, exist_ok=True)
    if not shutil.which('gcc'):
        skip('no gcc', 'run scripts/setup')
    headers = [*(TESTS / 'agent').glob('*.h'), *(TESTS / 'inject').glob('*.h')]
    for name, (command, inputs) in PROGRAMS.items():
        sources = [TESTS / source for source in inputs]
        made.ensure(out / name, made.digest([*sources, *headers], command),
                    partial(run, command + ['-o', out / name, *sources]))
    key = made.digest(path for path in sorted((TESTS / 'guest').rglob('*'))
                      if path.is_file())
    made.ensure(out / 'guest.bin', key, partial(
        run, ['make', '-s', '-B', '-f', TESTS / 'guest/Makefile',
              f'OUT={out}']))
    return {name: out / name for name in [*PROGRAMS, *GUESTS]}


def kernel(private=False, loaded=MODULES):
    """L1's kernel, unpacked or built once: (image, {path in L1: module}).

    Modules at the top are loaded at boot, in order; BedMachine.load() has the
    others.
    private: KVM has guest_memfd, and tests/module is there
    loaded:  names of modules, with all they need
    """
    extra, ours = MODULES_EXTRA, None
    with made.locked(paths.BED / 'lock'):
        if private:
            kvm = private_kvm()
            deb, ours = kvm.image, kvm.modules
            extra += tuple(path.stem for path in sorted(linux.MODULES.glob('*.c')))
        else:
            series = re.escape(linux.bed_series())
            deb = fetched('kernel', linux.IMAGE.format(series), linux.SUITES)
        tree = unpacked(deb.name.split('_')[0], deb)
    images = list(tree.glob('boot/vmlinuz-*'))
    if not images:
        skip(f'{deb} holds no kernel', f'remove {tree}')
    modules = {}
    for folder, names in (('', loaded), ('extra/', extra)):
        for i, path in enumerate(module_order(tree, names, ours)):
            name = path.name.split('.')[0]
            modules[f'/modules/{folder}{i:02d}-{name}.ko'] = path
    return images[0], modules


def private_kvm():
    """The PrivateKvm of a bed with private memory, built."""
    built = linux.PrivateKvm()
    try:
        built.build()
    except err.Fail as fail:
        skip(f'no KVM with guest_memfd: {fail}',
             'it needs the network once, and scripts/setup')
    return built


def ovmf():
    """Unpack UEFI firmware once; returns {name: path} of OVMF."""
    folder = package('ovmf', 'ovmf', OVMF_SUITES) / 'usr/share/OVMF'
    for name in OVMF:
        if not (folder / name).exists():
            skip(f'no firmware {name} in the package ovmf',
                 f'remove {folder} and try another version')
    return {name: folder / name for name in OVMF}


def package(name, pattern, suites):
    """The folder of the name below build/bed with a Debian package's files."""
    return unpacked(name, fetched(name, pattern, suites))


def fetched(name, pattern, suites):
    """A Debian package; @name: what it is to the bed."""
    try:
        return debs.fetch(pattern, suites)
    except err.Fail as fail:
        return skip(f'no {name} for the bed: {fail}', 'it needs the network once')


def unpacked(name, deb):
    """The folder of the name below build/bed with a package's files."""
    tree = paths.BED / name

    def unpack():
        shutil.rmtree(tree, ignore_errors=True)
        debs.unpack(deb, tree)

    made.ensure(tree, deb.name, unpack)
    return tree


def module_order(tree, names, ours=None):
    """The modules of the names and all they depend on, dependencies first.

    ours: a folder of modules that take the place of those in the package's tree
    """
    # Later packages have them below /usr
    files = {re.sub(r'\.ko(\.xz|\.gz)?$', '', path.name).replace('-', '_'):
             path for top in ('lib', 'usr/lib')
             for path in tree.glob(f'{top}/modules/*/kernel/**/*.ko*')}
    files |= {path.stem.replace('-', '_'): path
              for path in (ours.glob('*.ko') if ours else ())}
    order = []

    def visit(name):
        path = files.get(name.replace('-', '_'))
        if path is None or path in order:
            return              # built into the kernel, or listed already
        needs = re.search(rb'\0depends=([^\0]*)\0', module_data(path))
        for need in needs[1].decode().split(',') if needs else []:
            visit(need)
        order.append(path)

    for name in names:
        visit(name)
    return order


def module_data(path):
    """The bytes of a module, decompressed."""
    data = path.read_bytes()
    if path.suffix == '.xz':
        return lzma.decompress(data)
    return gzip.decompress(data) if path.suffix == '.gz' else data


def initramfs(modules, uefi=False, more=None):
    """Make L1's root; returns the path of the (uncompressed) archive.

    One archive for each QEMU, kernel and choice of files: tests of several may
    run at the same time.
    modules: of kernel()
    uefi:    with OVMF, 8 MiB that most beds need not carry
    more:    {path in L1: file}, likewise
    """
    binary = qemu()
    name = made.digest([], [binary.resolve(), *modules.values(),
                            *(more or {}).values()])[:8]
    name += '-uefi' if uefi else ''
    archive = paths.BED / f'initramfs-{name}.cpio'
    with made.locked(paths.BED / 'lock'):
        files = root_files(binary) | (more or {})
        for image, path in (ovmf() if uefi else {}).items():
            files[f'/prefault/fw/{image}'] = path
        key = made.digest([binary, *files.values(), *modules.values()],
                          [INIT, USERS, *files, *modules])
        made.ensure(archive, key,
                    lambda: pack(archive, binary, files, modules))
    return archive


def pack(archive, binary, files, modules):
    """Write the archive of initramfs()."""
    files = files | {'/prefault/qemu-system-x86_64': stripped(binary)}
    content = {name: path.read_bytes() for name, path in files.items()}
    content.update((name, module_data(path))
                   for name, path in modules.items())
    content |= {'/init': INIT.encode(), '/etc/passwd': USERS.encode(),
                '/etc/group': b'root:x:0:\ntester:x:1000:\n'}
    fresh = archive.with_suffix('.new')
    fresh.write_bytes(cpio(content))
    fresh.replace(archive)      # a bed that boots keeps the old one


def stripped(binary):
    """A copy of a program without symbols; several builds may have one."""
    copy = (paths.BED / 'stripped' / made.digest([], [binary])[:8]
            / binary.name)
    copy.parent.mkdir(parents=True, exist_ok=True)
    made.ensure(copy, made.digest([binary]),
                lambda: run(['strip', '-o', copy, binary]))
    return copy


def root_files(binary):
    """{path in L1: file} of all but QEMU itself and modules."""
    files = {f'/prefault/{name}': path for name, path in programs().items()}
    files |= libraries(binary)
    if (binary.parent / builds.FOLLOWER).exists():     # not beside another QEMU
        files |= {'/prefault/qemu-prefault': stripped(follower()),
                  **libraries(follower())}
    for name in FIRMWARE:
        files[f'/prefault/fw/{name}'] = firmware(name)
    files['/bin/busybox'] = busybox()
    for name in TOOLS:
        path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        if path:
            files |= {f'/prefault/tools/{name}': Path(path)} | libraries(path)
    return files


def libraries(binary, env=None):
    """{path: file} of the shared libraries that ldd names.

    env: more environment variables for ldd
    """
    said = run(['ldd', binary], env=env)
    names = re.findall(r'(?:=> )?(/\S+) \(0x', said)
    if 'not found' in said:
        skip(f'{binary} lacks a shared library', 'run scripts/setup')
    return {name: Path(name).resolve() for name in names}


def busybox():
    """A statically linked busybox."""
    path = shutil.which('busybox')
    if not path or '=>' in run(['ldd', path], check=False):
        skip('no static busybox', 'install the package busybox-static')
    return Path(path).resolve()


def firmware(name):
    """The file of the name in the firmware folders."""
    for folder in FIRMWARE_DIRS:
        if (folder / name).exists():
            return (folder / name).resolve()
    return skip(f'no firmware {name}',
                'install the packages seabios and qemu-system-data')


def cpio(content):
    """A newc archive of {absolute path: bytes}, folders included."""
    folders = {str(parent) for name in content
               for parent in Path(name).parents if str(parent) != '/'}
    folders |= {'/proc', '/sys', '/dev', '/tmp'}
    entries = [(name, stat.S_IFDIR | 0o755, b'') for name in sorted(folders)]
    entries += [(name, stat.S_IFREG | 0o755, data)
                for name, data in content.items()]
    entries.append(('/TRAILER!!!', 0, b''))
    out = bytearray()
    for inode, (name, mode, data) in enumerate(entries, 1):
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0,
                  len(name), 0)     # the length of name[1:] and its NUL
        out += b'070701' + b''.join(b'%08X' % field for field in fields)
        out += name[1:].encode() + b'\0'
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return bytes(out)


def run(command, check=True, env=None):
    """Run a program; returns its output.  AssertionError if it fails."""
    done = subprocess.run([str(word) for word in command], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, check=False, timeout=300,
                          env=dict(os.environ, **env or {}))
    if check and done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout
