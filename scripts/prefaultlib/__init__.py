# SPDX-License-Identifier: GPL-2.0-or-later
"""What the scripts and the test bed share; Python's standard library only.

From the bottom up:

paths, err, say, made   where things lie, one-sentence errors, progress, stamps
assemble    this machine and Debian's packages; upstream's source, our overlay
            and hooks on it
build       build directories of QEMU and libvirt, and the bed's own KVM
deb         Debian packages of QEMU and libvirt, and clean Debians
check       the suites of scripts/check, their results, upstream's own tests

Each group knows those above its line.
"""
import sys

from .paths import ROOT

# The one place: the scripts and the tests find `bed` as they find this.
sys.path.append(str(ROOT / 'tests'))
