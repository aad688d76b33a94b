# SPDX-License-Identifier: GPL-2.0-or-later
"""The bed with Intel's nested paging: L1 in Bochs, which emulates VMX and EPT.

QEMU's TCG has no VMX.  Bochs interprets, some 60 million instructions a second on
one CPU: L1 is up in half a minute, and guests should be small.  It has no virtio,
so the agent talks over L1's second serial port, which carries some 10 KB a
second; the console is on the first.
"""
import shutil
import socket
import tempfile
from functools import partial
from pathlib import Path

from prefaultlib import made, paths

from . import artifacts, linuxfiles
from .emulated import Emulated
from .knobs import Knobs
from .link import BedError
from .machine import Machine

CONNECT_SECONDS = 30
BOOT_SECONDS = 60               # times PATIENCE
PATIENCE = 4                    # how much longer all takes than in a BedMachine

PACKAGES = ('install the packages bochs, bochs-term, bochsbios, vgabios, '
            'grub-pc-bin and xorriso')
BIOS = Path('/usr/share/bochs/BIOS-bochs-latest')
VGA_BIOS = Path('/usr/share/vgabios/vgabios-stdvga.bin')
GRUB = Path('/usr/lib/grub/i386-pc')

# Tests of itself and tables for tracing, that take the kernel 10 s to make.  A
# name that a kernel does not know does nothing.
NEEDLESS = ('jent_mod_init', 'load_system_certificate_list', 'btf_module_init',
            'bpf_tcp_ca_kfunc_init', 'bpf_dummy_struct_ops_init',
            'trace_eval_init', 'init_kprobe_trace')
KERNEL_ARGUMENTS = ('console=ttyS0,115200', 'quiet', 'panic=-1',
                    'AGENT=/dev/ttyS1', 'nokaslr', 'mitigations=off',
                    'tsc=reliable', 'cryptomgr.notests=1',
                    f'initcall_blacklist={",".join(NEEDLESS)}')

# ips says how much time an instruction takes: with few, waiting is short.  Sound is
# named only so that Bochs does not look for a sound card of the host.
CONFIGURATION = '''config_interface: textconfig
display_library: term
cpu: model=corei7_haswell_4770, count=1, ips=60000000, reset_on_triple_fault=0
clock: sync=none
memory: guest={mem}, host={mem}
romimage: file={bios}
vgaromimage: file={vga_bios}
ata0-master: type=cdrom, path={iso}, status=inserted
boot: cdrom
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
com1: enabled=1, mode=file, dev={folder}/console
com2: enabled=1, mode=socket-client, dev=127.0.0.1:{port}
log: {folder}/log
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
'''


class IntelMachine(Knobs, Emulated, Machine):
    """L1: a Debian kernel with kvm-intel and EPT, emulated by Bochs.

    mem:     L1's memory in MiB
    eptad:   EPT has accessed and dirty bits
    private: with a KVM of our own build, as BedMachine
    linux:   a Linux to run as a guest is there, see linuxfiles
    """

    kind = 'intel'

    def __init__(self, mem=1024, eptad=True, private=False, linux=False):
        check_programs()
        image = disc([] if eptad else ['kvm_intel.eptad=0'], private, linux)
        self.prepare()
        try:
            with socket.create_server(('127.0.0.1', 0)) as server:
                self.start(self._argv(image, mem, server.getsockname()[1]),
                           env={'TERM': 'vt100'})   # no terminal is needed
                self._accept(server)
            self.wait_agent(BOOT_SECONDS)
            self.check_parameter('kvm_intel', 'ept', 'Y')
            self.check_parameter('kvm_intel', 'eptad', 'Y' if eptad else 'N')
        except BaseException:
            self.close()
            raise

    def _argv(self, image, mem, port):
        """Bochs' arguments, the files that they name made before."""
        (self.folder / 'bochsrc').write_text(CONFIGURATION.format(
            mem=mem, bios=BIOS, vga_bios=VGA_BIOS, iso=image, port=port,
            folder=self.folder))
        # Debian's Bochs has a debugger in it, which waits to be told
        (self.folder / 'continue').write_text('c\n')
        return ['bochs', '-q', '-f', self.folder / 'bochsrc',
                '-rc', self.folder / 'continue']

    def _accept(self, server):
        """Wait for Bochs to connect the serial port: that is the link."""
        server.settimeout(CONNECT_SECONDS)
        try:
            sock, _ = server.accept()
        except TimeoutError:
            raise BedError(f'Bochs does not connect\n{self.tail()}') from None
        sock.settimeout(None)
        self.talk(sock, self.tail, PATIENCE)


def check_programs():
    """SkipTest unless Bochs and what makes its disc are there."""
    for name in ('bochs', 'grub-mkrescue', 'xorriso'):
        if not shutil.which(name):
            artifacts.skip(f'no {name}', PACKAGES)
    for path in (BIOS, VGA_BIOS, GRUB):
        if not path.exists():
            artifacts.skip(f'no {path}', PACKAGES)


def disc(arguments, private, linux):
    """Make the CD that L1 boots from; its path.

    arguments: more of the kernel's
    """
    image, modules = artifacts.kernel(private, loaded=('kvm-intel',))
    root = artifacts.initramfs(
        {name: without_symbols(path) for name, path in modules.items()
         if 'extra' not in name}, more=linuxfiles.files() if linux else None)
    line = ' '.join([*KERNEL_ARGUMENTS, *arguments])
    path = root.with_suffix(f'.{made.digest([], [line])[:8]}.iso')
    made.ensure(path, made.digest([image, root], [line]),
                partial(write_disc, path, image, root, line))
    return path


def write_disc(path, image, root, line):
    """Write the CD: GRUB, the kernel, its root and its command line."""
    fresh = path.with_suffix('.new')
    with tempfile.NamedTemporaryFile('w', suffix='.cfg') as menu:
        menu.write(f'linux /boot/linux {line}\ninitrd /boot/root\nboot\n')
        menu.flush()
        artifacts.run(['grub-mkrescue', '-d', GRUB, '-o', fresh,
                       '--install-modules=linux iso9660 normal biosdisk',
                       '--compress=no', '--themes=', '--locales=', '--fonts=',
                       f'/boot/grub/grub.cfg={menu.name}',
                       f'/boot/linux={image}', f'/boot/root={root}'])
    fresh.replace(path)         # a bed that boots keeps the old one


def without_symbols(path):
    """A copy of a module without the symbols that it does without.

    For each of its functions the kernel goes through all of them: 10 s.
    """
    copy = (paths.BED / 'intel' / made.digest([], [path])[:8]
            / path.name.removesuffix('.xz'))
    copy.parent.mkdir(parents=True, exist_ok=True)

    def make():
        copy.write_bytes(artifacts.module_data(path))
        artifacts.run(['strip', '--strip-unneeded', copy])

    made.ensure(copy, made.digest([path]), make)
    return copy
