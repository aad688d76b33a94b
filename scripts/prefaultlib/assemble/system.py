# SPDX-License-Identifier: GPL-2.0-or-later
"""What this machine is, looked at before anything on it is changed.

Packages are installed, and others fetched, on Debian 12 and later only, and the
test bed and the comparisons are for x86_64.  Elsewhere a build with an installed
tool chain works; one sentence says so.
"""
import os
import shutil
from pathlib import Path

from ..err import Fail

OS_RELEASE = Path('/etc/os-release')
OLDEST_DEBIAN = 12
DEBIANS_TOOLS = ('dpkg-query', 'apt-get', 'apt-cache')
MACHINE = 'x86_64'
WORKS = ('`scripts/setup --source ARCHIVE` with QEMU\'s tool chain installed, '
         'then `ninja -C build` and `scripts/check assembly unit`')


def release(path=None):
    """{NAME: value} of /etc/os-release."""
    try:
        lines = (path or OS_RELEASE).read_text(encoding='utf-8').splitlines()
    except OSError:
        return {}
    pairs = (line.partition('=') for line in lines if '=' in line)
    return {name: value.strip('"\'') for name, _, value in pairs}


def title():
    """What the distribution calls itself."""
    return release().get('PRETTY_NAME', 'a system without /etc/os-release')


def is_debian():
    """Tell whether this is a Debian whose packages we know.

    A derived distribution has other packages, and another archive and key.
    """
    known = release()
    version = known.get('VERSION_ID', '')
    # testing and sid have no number
    new = not version.isdigit() or int(version) >= OLDEST_DEBIAN
    return (known.get('ID') == 'debian' and new
            and all(shutil.which(tool) for tool in DEBIANS_TOOLS))


def need_debian(what):
    """Fail unless this is_debian().

    what: what cannot be done elsewhere, for instance 'packages are installed'
    """
    if not is_debian():
        raise Fail(f'{what} on Debian {OLDEST_DEBIAN} and later only, and this '
                   f'is {title()}: what works here is {WORKS}')


def need_x86(what):
    """Fail unless this machine's CPU is the one that our guests are for.

    what: what needs it, for instance 'the test bed needs'
    """
    if os.uname().machine != MACHINE:
        raise Fail(f'{what} an {MACHINE} machine, and this is '
                   f'{os.uname().machine}: what works here is {WORKS}')


def need_plain_path(path):
    """Fail if the path has what QEMU's configure refuses."""
    if any(c.isspace() or c == ':' for c in str(path)):
        raise Fail(f'the path {path} has a space or a colon, which QEMU\'s '
                   'configure refuses: move this checkout to a path without')
