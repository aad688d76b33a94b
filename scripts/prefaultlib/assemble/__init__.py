# SPDX-License-Identifier: GPL-2.0-or-later
"""From an empty machine to a source tree that can be built.

system      what this machine is, and what works on it
packages    what is installed, and what for
debs        Debian packages: installed, or only fetched and unpacked
project     the upstream projects that we extend
source      their pinned archives
tree        an archive, our overlay and our patches put together
export      the same as mail, for a tree of one's own
"""
