# SPDX-License-Identifier: GPL-2.0-or-later
"""Prefault and QEMU's memory map: what counts, and what changes meanwhile."""
import re
import unittest

from bed.tracelog import events
from common import BedTest, MIB

# A call that takes this long, made while others change memslots
SLOW_MAP_MS = 150
SLOW_MAP = f'ioctl:KVM_PRE_FAULT_MEMORY:delay-ms={SLOW_MAP_MS}'
SLOW = 'madvise:MADV_POPULATE_WRITE:delay-ms=60'

RAM_LINE = re.compile(r'\s+([0-9a-f]+)-([0-9a-f]+) \(prio -?\d+, '
                      r'(?:nv-)?(?:ram|rom|ramd)\): (.+)')


def ram_bytes(mtree):
    """RAM of the address space 'memory' in `info mtree -f`, aliases once."""
    view = next(part for part in mtree.split('FlatView #')
                if 'AS "memory", root: system' in part)
    seen = set()
    for line in view.splitlines():
        match = RAM_LINE.match(line)
        if not match:
            continue
        first, last = (int(word, 16) for word in match.group(1, 2))
        name, _, rest = match.group(3).partition(' @')
        name = name.removesuffix(' KVM')
        offset = int(rest.split()[0], 16) if rest else 0
        seen.update((name, (offset + at) // 4096)
                    for at in range(0, last + 1 - first, 4096))
    return len(seen) * 4096


class MemoryMap(BedTest):

    def test_total_and_skipped_are_all_ram(self):
        for machine in 'microvm', 'pc', 'q35':
            with self.subTest(machine=machine):
                # Looked at before the guest runs: firmware changes the map
                qemu = self.guest(machine=machine, bios=None, inject=SLOW)
                qemu.qmp('cont')
                ram = ram_bytes(qemu.hmp('info mtree -f'))
                info = self.query(qemu)
                self.assertEqual(info['status'], 'active')
                print(f'# note: {machine}: total {info["total"]} + skipped '
                      f'{info["skipped"]} = {ram}')
                self.assertEqual(info['total'] + info['skipped'], ram)
                self.assertEqual(info['skipped'],
                                 sum(s['bytes'] for s in info['skips']))
                self.assertGreater(ram, 250 * MIB)

    def test_display_memory_is_skipped(self):
        """It logs dirty pages: mapping it would mark every page dirty."""
        qemu = self.guest('on', '-device', 'isa-vga', machine='pc', bios=None,
                          mem='64M', inject=SLOW)
        qemu.qmp('cont')
        ram = ram_bytes(qemu.hmp('info mtree -f'))
        info = self.query(qemu)
        self.assertEqual(info['total'] + info['skipped'], ram)
        skips = {skip['reason']: skip['bytes'] for skip in info['skips']}
        self.assertGreaterEqual(skips.get('dirty-logging', 0), 4 * MIB)

    def test_memory_plugged_while_held(self):
        """A plan that no longer holds is made again, with the new memory."""
        qemu = self.guest('on', machine='q35', mem='256M,slots=1,maxmem=1G',
                          inject=SLOW)
        qemu.qmp('cont')
        before = self.query(qemu)
        self.assertEqual(before['status'], 'active')
        qemu.qmp('object-add', qom_type='memory-backend-ram', id='m1',
                 size=64 * MIB)
        qemu.qmp('device_add', driver='pc-dimm', id='d1', memdev='m1')
        done = self.completed(qemu)
        info = self.query(qemu)
        self.assertEqual(info['total'], before['total'] + 64 * MIB)
        self.assertEqual(info['mapped'], info['total'])
        self.assertGreaterEqual(self.resumed(qemu).ns, done.ns)
        names = [e.name for e in qemu.events]
        self.assertEqual(names.count('PREFAULT_COMPLETED'), 1)

    def test_no_map_call_during_a_memslot_change(self):
        """They would wait for each other for ever (Linux up to 6.16)."""
        log = self.machine.scratch('trace')
        qemu = self.guest('on', '-msg', 'timestamp=on', '-D', log,
                          '-trace', 'kvm_pre_fault_map',
                          '-trace', 'kvm_set_user_memory',
                          '-device', 'VGA,addr=2,romfile=',
                          machine='pc', mem='64M', inject=SLOW_MAP)
        qemu.qmp('cont')
        for _ in range(10):
            qemu.flip_pam()
            self.flip_bar(qemu)
        self.assertEqual(self.query(qemu)['status'], 'active')
        self.completed(qemu)
        self.assertEqual(self.query(qemu)['mapped'],
                         self.query(qemu)['total'])
        self.assert_injected(qemu)
        calls, changes = self.read_trace(log)
        among = [c for c in changes if calls[0] < c < calls[-1]]
        print(f'# note: {len(among)} memslot changes among {len(calls)} map '
              f'calls of {SLOW_MAP_MS} ms')
        self.assertGreater(len(among), 10, 'nothing changed meanwhile')
        for change in among:
            for end in calls:
                # Less than the whole call: time stamps are taken around it
                self.assertFalse(end - SLOW_MAP_MS * 900 < change < end,
                                 'a memslot changed during a map call')

    def flip_bar(self, qemu):
        """Video memory comes and goes: memslots that overlap no others.

        Where some overlap, QEMU itself waits for ioctls on vCPUs.
        """
        qemu.hmp('o /w 0xcf8 0x80001010')
        qemu.hmp('o /w 0xcfc 0xe0000000')
        qemu.hmp('o /w 0xcf8 0x80001004')
        for command in '0x02', '0x00':
            qemu.hmp(f'o /h 0xcfc {command}')

    def read_trace(self, log):
        """Ends of map calls and times of memslot changes, in us."""
        found = events(self.machine.read(log))
        return tuple(sorted(at * 1000000 for at, name, _ in found
                            if (name == 'kvm_pre_fault_map') == is_call)
                     for is_call in (True, False))

    def test_guest_migrated_away_while_held(self):
        """It may run elsewhere now: its start here is given up.

        What was populating when migration began takes longer than that.
        """
        qemu = self.guest(mem='64M', inject=SLOW.replace('60', '8000') + ':count=1')
        qemu.qmp('cont')
        qemu.qmp('migrate', uri='exec:cat >/dev/null')
        self.until(lambda: qemu.qmp('query-migrate').value['status'] ==
                   'completed', 'migrated')
        self.assertEqual(self.query(qemu)['status'], 'active')
        self.completed(qemu)
        info = self.query(qemu)
        self.assertEqual((info['populated'], info['mapped']), (64 * MIB, 0))
        self.assertEqual([x['reason'] for x in info['owed-for']], ['logged'])
        self.assertGreaterEqual(info['owed'], 64 * MIB)
        self.assertIn('start was given up', qemu.stderr)
        self.assertEqual(self.run_state(qemu), 'postmigrate')
        self.assertNotIn('RESUME', [e.name for e in qemu.events])


if __name__ == '__main__':
    unittest.main()
