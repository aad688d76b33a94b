# SPDX-License-Identifier: GPL-2.0-or-later
"""A Linux that L1 runs as a guest: the same Debian kernel, and an initramfs that
says what it saw.
"""
from . import artifacts
from .artifacts import made, paths

# Below Machine.path()
KERNEL, ROOT = 'linux/kernel', 'linux/root'
# What the guest says before it writes its memory, and last, with name=value words
UP, SAID = 'linux-guest: up', 'linux-guest: did '
MIB_EACH = 160          # what each CPU writes

# By taskset each CPU has to do its share; the folder is a tmpfs of its own, since
# the root takes half of the memory at most
INIT = f'''#!/bin/busybox sh
# PID 1 of the guest
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
mount -t tmpfs -o size=90% tmp /tmp
echo "{UP}"
for mask in 1 2; do
    taskset $mask dd if=/dev/zero of=/tmp/$mask bs=1M count={MIB_EACH} &
done 2>/dev/null
wait
set -- $(du -sm /tmp)
echo "{SAID}cpus=$(grep -c ^processor /proc/cpuinfo) mib=$1"
poweroff -f
'''

# What the kernel runs instead with this on its command line: a guest with a balloon
# that frees memory it has written
RETURNS = 'rdinit=/returns'
FREED = 'linux-guest: freed'
RETURNS_INIT = f'''#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t tmpfs -o size=90% tmp /tmp
for module in /modules/*.ko; do
    insmod $module
done
dd if=/dev/zero of=/tmp/file bs=1M count={2 * MIB_EACH} 2>/dev/null
rm /tmp/file
echo "{FREED}"
while :; do sleep 1000; done
'''

# Or with this: a guest that does what it is told by its second serial port: write MIB,
# free, total
OBEYS = 'rdinit=/obeys memhp_default_state=online_movable'
DONE = 'linux-guest: done '
OBEYS_INIT = f'''#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
mount -t tmpfs -o size=2g tmp /tmp
for module in /modules/*.ko; do
    insmod $module
done
stty -F /dev/ttyS1 raw -echo
exec 3< /dev/ttyS1
echo "{UP}"
while read what mib <&3; do
    case $what in
    write) dd if=/dev/zero of=/tmp/file bs=1M count=$mib 2>/dev/null
           set -- $(du -sm /tmp);;
    free)  rm /tmp/file; set -- 0;;
    total) set -- $(grep MemTotal /proc/meminfo); shift;;
    esac
    echo "{DONE}$what $1"
done
'''
GUEST_MODULES = ('virtio-pci', 'virtio-balloon', 'virtio-mem')


def contents(busybox):
    """{path: bytes} of the guest's root."""
    _, modules = artifacts.kernel(loaded=GUEST_MODULES)
    return {'/init': INIT.encode(), '/returns': RETURNS_INIT.encode(),
            '/obeys': OBEYS_INIT.encode(),
            '/bin/busybox': busybox.read_bytes(),
            **{name: artifacts.module_data(path)
               for name, path in modules.items() if '/extra/' not in name}}


def files():
    """{path in L1: file} of the kernel and its initramfs."""
    image, _ = artifacts.kernel()
    busybox, root = artifacts.busybox(), paths.BED / 'linux-guest.cpio'
    made.ensure(root, made.digest([busybox, image], [INIT, RETURNS_INIT, OBEYS_INIT]),
                lambda: root.write_bytes(artifacts.cpio(contents(busybox))))
    return {f'/prefault/{KERNEL}': image, f'/prefault/{ROOT}': root}
