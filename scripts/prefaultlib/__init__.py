# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/setup, scripts/check, scripts/demo and the test bed share.

One idea a module: where things lie (paths), one-sentence errors (err),
progress (say), Debian packages (debs), the QEMU source (source, tree),
QEMU's build directories (qemubuild), test results (results, suites).
Python's standard library only.
"""
