# SPDX-License-Identifier: GPL-2.0-or-later
"""Settings of a domain's memory beside prefault, through libvirt."""
import unittest

from domains import LibvirtTest
from resources import ResourceTest

BED = {'libvirt': True}

SIZE = 64                       # MiB
ALL = SIZE << 20
LITTLE = 1 << 20                # firmware's area, of which parts are ROM
ROOM = '''<maxMemory slots='2' unit='MiB'>1024</maxMemory>
<currentMemory unit='MiB'>{mem}</currentMemory>'''
CELL = f"<numa><cell id='0' cpus='0' memory='{SIZE}' unit='MiB'/></numa>"
DIMM = '''<memory model='dimm'>
  <target><size unit='MiB'>128</size><node>0</node></target>
</memory>'''
MEMTUNE = "<memtune>{}</memtune>"
HUGE = '<memoryBacking><hugepages/></memoryBacking>'
BALLOON = "<memballoon model='virtio' freePageReporting='on'/>"
# What five domains ask for together the host has not
FIVE, FIFTH = 5, 1024           # MiB


class Memory(LibvirtTest, ResourceTest):

    def test_plugged(self):
        """A DIMM by attach-device is prefaulted behind the guest."""
        domain = self.started('dimm', extra=ROOM.format(mem=SIZE), numa=CELL)
        before = self.query(domain)['mapped-now']
        path = self.machine.scratch('dimm.xml')
        self.machine.write(path, DIMM)
        domain.virsh('attach-device', path, '--live')
        self.until(lambda: not domain.stats('prefault')['prefault.bytes.owed'],
                   'mapped')
        self.assertGreaterEqual(self.query(domain)['mapped-now'] - before,
                                (128 << 20) - LITTLE)

    def test_current_memory_is_not_what_counts(self):
        """Less than <memory> takes a balloon: until then all is the guest's."""
        domain = self.started(
            'current', extra="<currentMemory unit='MiB'>32</currentMemory>")
        self.assertAlmostEqual(domain.stats('prefault')['prefault.bytes.total'],
                               ALL, delta=LITTLE)

    def test_hard_limit(self):
        """It is seen before memory is taken: libvirt shows what QEMU says."""
        self.define('hard', mem=512, extra=MEMTUNE.format(
            "<hard_limit unit='MiB'>256</hard_limit>"))
        self.assert_says(r'prefault=on: guest memory takes .*\(memory\.max '
                         '268435456', 'start', 'hard')

    def test_soft_limit(self):
        """Likewise."""
        self.define('soft', mem=512, extra=MEMTUNE.format(
            "<soft_limit unit='MiB'>256</soft_limit>"))
        self.assert_says(r'prefault=on: guest memory takes .*\(memory\.high '
                         '268435456', 'start', 'soft')

    def test_huge_pages(self):
        """libvirt has them populated by prealloc; prefault maps them."""
        self.hugepages(SIZE // 2 + 4)
        self.libvirt.stop()             # it looks for hugetlbfs at its start
        self.libvirt.start()
        domain = self.running('huge', extra=HUGE)
        self.assertIn('"prealloc":true', ' '.join(domain.argv))
        figures = domain.stats('prefault')
        self.assertEqual(figures['prefault.bytes.mapped'],
                         figures['prefault.bytes.total'])
        self.assertEqual(self.sweep_of(domain, 'huge pages'), 0)

    def test_free_page_reporting(self):
        """It undoes what prefault does: a warning in the daemon's log."""
        self.define('reports', devices=BALLOON)
        self.assertIn("Domain 'reports' has prefault and "
                      "freePageReporting='on'", self.libvirt.said)
        self.define('locked', devices=BALLOON, features="<kvm><prefault "
                    "state='on' keep='lock'/></kvm>")
        self.assertNotIn("Domain 'locked'", self.libvirt.said)

    def test_domains_that_do_not_fit_together(self):
        """Started at once, as by autostart: one runs at least, none is killed."""
        names = [f'auto{i}' for i in range(FIVE)]
        domains = [self.define(name, mem=FIFTH) for name in names]
        starts = [self.libvirt.spawn('start', name) for name in names]
        self.until(lambda: all(start.code is not None for start in starts),
                   'started')

        def settled():
            return all(domain.state() != ('paused', 'starting up')
                       for domain in domains)
        self.until(settled, 'settled')
        states = [' '.join(domain.state()) for domain in domains]
        print(f'# note: {states}')
        runs = states.count('running booted')
        self.assertIn(runs, range(1, FIVE))
        self.assertEqual(states.count('paused api error') +
                         states.count('shut off failed'), FIVE - runs)
        for domain in domains:
            if domain.state() == ('paused', 'api error'):
                self.assertIn('guest memory', domain.stats('prefault')[
                    'prefault.error'])


if __name__ == '__main__':
    unittest.main()
