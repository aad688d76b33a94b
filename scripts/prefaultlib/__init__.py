# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/setup, scripts/check, scripts/demo and the test bed share.

One idea a module: where things lie (paths), one-sentence errors (err),
progress (say), Debian packages (debs), what we extend and its source (project,
source, tree), build directories (builds, qemubuild, libvirtbuild, variants),
test results (tap, suites), upstream's own tests (upstream, qemutests,
libvirttests).
Python's standard library only.
"""
