# SPDX-License-Identifier: GPL-2.0-or-later
"""Private memory on Intel's nested paging: mapped before it is touched, and after
conversions."""
import unittest

from common import bed
from private import PRIVATE, PrivateTest

BED = {'private': True}

FEW = 8                         # faults


class Conversions(PrivateTest):

    kind = bed.IntelMachine

    def test_private(self):
        faults = {}
        for prefault in 'off', 'on':
            qemu = self.private_running('private', mem='32M',
                                        prefault=prefault)
            sweep, faults[prefault] = qemu.sweep()
            print(f'# note: EPT, private memory, prefault={prefault}: '
                  f'{faults[prefault]} faults in {sweep.pages} pages')
            qemu.quit()
        self.assertGreater(faults['off'], sweep.pages - FEW)
        self.assertLessEqual(faults['on'], FEW)

    def test_converted(self):
        """Both ways, 2 MiB each time."""
        for state, flags, counter in (('shared', PRIVATE, 'to_private'),
                                      ('private', 0, 'to_shared')):
            with self.subTest(state=state):
                path = self.trigger()
                qemu = self.private_running(state, mem='32M',
                                            inject=self.fault(path, flags))
                qemu.sweep()
                self.fire(qemu, path)
                self.converted(qemu, **{counter: 1})
                sweep, faults = qemu.sweep()
                print(f'# note: EPT, converted {counter}: {faults} faults in '
                      f'{sweep.pages} pages')
                self.assertLessEqual(faults, FEW)
                qemu.quit()


if __name__ == '__main__':
    unittest.main()
