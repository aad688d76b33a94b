# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's own unit tests and qtests: which, and how they tell their cases."""
import re
import shutil
from pathlib import Path

from bed import artifacts

from . import compare
from .tap import LINE

SUITES = ('unit', 'qtest-x86_64')

# Takes longer than all others together: a suite of its own.
LONG = 'qtest-x86_64/migration-test'

# Ours have suites of their own.
OURS = re.compile(r'prefault')

# Both trees ran 2142 tests on Debian 12, all passed; a few may go away with a
# kernel or a machine that has less.
FLOOR = 2000

# They start QEMU with `-accel kvm -accel tcg` and would run on the host's KVM; of
# our hooks they reach none that others do not reach there.
OFF_KVM = {'qtest-x86_64/cdrom-test':
           "its guests' firmware was seen to spin on a KVM without nested "
           "paging, patched or not: it runs on TCG"}
NO_KVM = 'ioctl:0xae01:errno=ENODEV'            # KVM_CREATE_VM

FIRMWARE = ('/usr/share/seabios', '/usr/share/qemu', '/usr/lib/ipxe/qemu')


class Suite(compare.Suite):
    """The suites of one build directory."""

    def is_wanted(self, test):
        return (any(suite.split(':')[-1] in SUITES for suite in test['suite'])
                and not OURS.search(test['name']))

    def cases_of(self, record):
        """A case is a line of TAP."""
        found = {}
        for line in record.get('stdout', '').splitlines():
            tap = LINE.match(line)
            if tap and tap[3]:
                found[tap[3]] = ('failed' if tap[1] else
                                 'skipped' if tap[4] is not None else 'passed')
        return found

    def prepare(self):
        """Link firmware where a QEMU in its build directory looks for it."""
        place = (self.build.folder
                 / 'qemu-bundle/usr/local/share/qemu-firmware')
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        for folder in FIRMWARE:
            for path in sorted(Path(folder).glob('*')):
                if not (place / path.name).exists():
                    (place / path.name).symlink_to(path)

    def apart(self):
        return {name: why for name, why in OFF_KVM.items() if name in self.tests}

    def environment_apart(self):
        """QEMU goes on with its next accelerator, TCG."""
        inject = artifacts.programs()['inject.so']
        return dict(self.environment(), LD_PRELOAD=str(inject),
                    PREFAULT_INJECT=NO_KVM, PREFAULT_INJECT_LOG='/dev/null')
