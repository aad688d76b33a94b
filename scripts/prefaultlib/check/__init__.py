# SPDX-License-Identifier: GPL-2.0-or-later
"""From programs to verdicts.

suites      what scripts/check can run: the table, and a function each
choice      what of it was asked for: suites, files, single tests
functional  the Python suites: their files, what those need, side by side
tap         test programs that speak TAP, and the counts of all
tapunit     files of Python unittests as such a program
compare     a project's own tests, patched against pristine
verdicts    what the pristine trees' tests are known to say
qemu, libvirt   how each project's tests are chosen and read
"""
