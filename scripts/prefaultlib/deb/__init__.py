# SPDX-License-Identifier: GPL-2.0-or-later
"""From a distribution's source package to packages with prefault.

root            a clean Debian in a folder
sourcepackage   the distribution's own source, with our patches in its series
build           the packages of a project, built in a root
"""
