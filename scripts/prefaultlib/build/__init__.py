# SPDX-License-Identifier: GPL-2.0-or-later
"""From a source tree to programs.

directory       a build directory: configured once, then ninja does the work
qemu, libvirt   the build directories of each, a line for each variant
variants        all of them by their names
editor          compile_commands.json with the checkout's own files
linux           the KVM of a bed with private memory
"""
