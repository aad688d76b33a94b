# SPDX-License-Identifier: GPL-2.0-or-later
"""Where everything lies.  Every other module takes its paths from here.

ROOT      this checkout
BUILD     everything generated; removing it loses nothing but time
CACHE     downloads, shared by all checkouts of the user; may be removed
sources() a folder of the user's with downloads, or None
QEMU      the QEMU that `ninja -C build` makes
"""
import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / 'build'

SRC = BUILD / 'src'                  # assembled trees, one for each project
TOOLS = BUILD / 'tools'              # Meson and pycotap, unpacked, private
TOOLS_PYTHON = TOOLS / 'usr/lib/python3/dist-packages'
QEMU_BUILD = BUILD / 'qemu'
QEMU = QEMU_BUILD / 'qemu-system-x86_64'
BED = BUILD / 'bed'                  # the test bed's kernels and initramfs
LOGS = BUILD / 'logs'
HTML = BUILD / 'docs/html'           # the documents
COVERAGE = BUILD / 'coverage'        # what QEMUs in the bed counted, as archives
PRISTINE = BUILD / 'pristine'        # trees without ours, for comparison
PRISTINE_QEMU = PRISTINE / 'qemu' / 'qemu-system-x86_64'

CACHE = Path(os.environ.get('PREFAULT_CACHE')
             or Path(os.environ.get('XDG_CACHE_HOME')
                     or Path.home() / '.cache') / 'prefault')


def sources():
    """PREFAULT_SOURCES: archives and packages for whom has no network.

    Set by --source, too; under the names that they have where they come from.
    """
    named = os.environ.get('PREFAULT_SOURCES')
    return Path(named) if named else None
