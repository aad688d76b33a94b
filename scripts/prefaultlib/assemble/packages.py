# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages that get installed, by what they are for.

Elsewhere nothing is installed: programs and libraries that a build would miss
are named, so that people can look for their distribution's packages.
"""
import shutil
import subprocess

from .. import paths, say
from ..err import Fail
from . import debs, system

SOURCE = 'to put source trees together'
BUILD = 'to build QEMU'
MODEL = 'to search the models of races'
BED = 'for the test bed'
INTEL = "for Intel's test bed"
KVM = "for the bed's own KVM"
UPSTREAM = "for QEMU's own tests"
LIBVIRT = 'to build libvirt'
FUZZ = 'to build fuzzers'
FULL = 'for all features of QEMU'
ROOT = 'to build packages in a clean Debian'
DOCS = 'to make HTML of the documents'
ANALYSE = 'to analyse our C files'
WATCH = 'to watch unit tests'
PLOTS = 'to draw pictures of figures'

PACKAGES = {
    SOURCE: 'python3 patch xz-utils bzip2 git ca-certificates',
    BUILD: 'gcc make ninja-build pkg-config libglib2.0-dev libfdt-dev '
           'zlib1g-dev device-tree-compiler python3-venv ccache '
           'libc6-dev libseccomp-dev libnuma-dev libpmem-dev',
    MODEL: 'spin gcc libc6-dev',
    BED: 'busybox-static cpio kmod e2fsprogs util-linux seabios '
         'qemu-system-data',
    INTEL: 'bochs bochs-term bochsbios vgabios grub-pc-bin xorriso',
    KVM: 'libelf-dev',
    UPSTREAM: 'ipxe-qemu',
    LIBVIRT: 'libnl-3-dev libnl-route-3-dev libjson-c-dev libgnutls28-dev '
             'libtirpc-dev libxml2-dev libxml2-utils xsltproc',
    FUZZ: 'clang libclang-rt-dev',
    ANALYSE: 'clang-tidy-19',
    WATCH: 'valgrind',
    FULL: 'libaio-dev liburing-dev libcap-ng-dev libattr1-dev libslirp-dev '
          'libpixman-1-dev libgnutls28-dev libsasl2-dev libjpeg-dev libpng-dev '
          'libzstd-dev libcurl4-gnutls-dev libssh-dev libiscsi-dev libnfs-dev '
          'librbd-dev libspice-server-dev libspice-protocol-dev '
          'libusb-1.0-0-dev libusbredirparser-dev libncurses-dev libgtk-3-dev '
          'libvte-2.91-dev libsdl2-dev libvirglrenderer-dev libepoxy-dev '
          'libdrm-dev libgbm-dev libpulse-dev libasound2-dev libjack-dev '
          'libpipewire-0.3-dev libcapstone-dev libbpf-dev libudev-dev '
          'libfuse3-dev librdmacm-dev libibverbs-dev libibumad-dev '
          'libcacard-dev libvdeplug-dev libbrlapi-dev libglusterfs-dev '
          'nettle-dev ipxe-qemu ovmf',
    ROOT: 'debootstrap',
    DOCS: 'cmark-gfm',
    PLOTS: 'gnuplot-nox',
}
# Only where they are asked for
SPECIAL = (FULL, ROOT, DOCS, PLOTS)
DEMO = (SOURCE, BUILD, BED)
# What is looked for where packages have other names
PROGRAMS = {SOURCE: ('patch', 'tar', 'xz', 'bzip2', 'git'),
            BUILD: ('gcc', 'make', 'ninja', 'pkg-config'),
            MODEL: ('spin', 'gcc')}
LIBRARIES = {SOURCE: (), MODEL: (),
             BUILD: ('glib-2.0', 'zlib', 'libseccomp', 'numa', 'libpmem')}


def announce(purposes):
    """Say what will happen to this machine before it does."""
    say.step('this is what gets used; '
             + ('packages that are missing get installed' if system.is_debian()
                else f'on {system.title()} nothing is installed'))
    for purpose in purposes:
        say.info(f'{purpose}: {PACKAGES[purpose]}')
    say.info(f'downloads: {paths.CACHE}; everything generated: {paths.BUILD}')


def install(purposes):
    """Install what is missing for the purposes, in the table's order."""
    purposes = [purpose for purpose in PACKAGES if purpose in purposes]
    if not purposes:
        return
    announce(purposes)
    names = [name for purpose in purposes for name in PACKAGES[purpose].split()]
    if system.is_debian():
        debs.install(names)
    elif set(purposes) <= set(PROGRAMS):
        check_tool_chain(purposes)
    else:
        system.need_debian(f'what is needed {purposes[-1]} is installed')


def need_program(name, purpose, does, no_install=False):
    """Install the packages of a purpose if their program is missing, or say that it
    is.

    does: what it does, for the message: 'makes HTML of the documents'
    """
    if shutil.which(name):
        return
    if no_install or not system.is_debian():
        raise Fail(f'{name} is missing, which {does}: install it (Debian: '
                   f'{PACKAGES[purpose]}), then run this again')
    install([purpose])


def check_tool_chain(purposes):
    """Fail naming the programs and libraries that would be missed."""
    missing = [name for purpose in purposes for name in PROGRAMS[purpose]
               if not shutil.which(name)]
    if 'pkg-config' not in missing:
        missing += [f'{name} (library)' for purpose in purposes
                    for name in LIBRARIES[purpose] if not has_library(name)]
    if missing:
        raise Fail(f'this is {system.title()}, where packages are not '
                   f"installed by themselves, and {', '.join(missing)} are "
                   'missing: install them with their development files, then '
                   'run this again')


def has_library(name):
    """Tell whether pkg-config knows the library."""
    return subprocess.run(['pkg-config', '--exists', name],
                          check=False).returncode == 0
