# SPDX-License-Identifier: GPL-2.0-or-later
"""The document and the pictures of a measurement, from results that are made up."""
import re
import unittest
from types import SimpleNamespace
from unittest import mock

import balancing
import behind
import bed
import conversions
import document
import figures
import firmware
import gnuplot
import main
import matrix
import measure
import memory
import pictures
import start
import threads
from prefaultlib import err
from prefaultlib.paths import ROOT

MS = 1_000_000
HISTOGRAM = {100: 6, 1000: 3, 50000: 1}
OPTIONS = SimpleNamespace(**main.QUICK, command='tests/bench/run --quick')
WAYS = (start.OFF, start.PREALLOC, start.IOCTL, start.OURS)
PICTURE = re.compile(r'!\[[^]]+\]\(plots/([^)]+)\.svg\)')


def sweep():
    return bed.Sweep(1, 10, 0, 100, 1000, 50000, 53600, 5, HISTOGRAM)


def results(**others):
    """Those of a bed, with other values for some of them."""
    took = start.Start(100 * MS, 50 * MS, 3, 4, sweep())
    values = {
        'machine': 'made up', 'emulated': True,
        'rows': [matrix.Row(kind, way, workers, took, 0)
                 for kind in (memory.FOUR_KIB, memory.GUEST_MEMFD) for way in WAYS
                 for workers in ((1,) if way is start.OFF else (1, 2))],
        'starts': [threads.Starts(memory.HUGE, way, workers, [5, 7])
                   for way in WAYS for workers in (1, 2)],
        'firsts': [behind.First(way.name, sweep(), 7)
                   for way in (start.OFF, behind.BACKGROUND, start.OURS)],
        'plugs': [behind.Plug(way.name, [(-0.5, 10), (0.1, 20), (0.4, 300), (1, 12)],
                              0.5) for way in behind.DIMMS],
        'boots': [firmware.Row('SeaBIOS, pc', way.name, 24, 200, 1, 500, 97 * MS)
                  for way in firmware.WAYS],
        'lines': [firmware.Line('SeaBIOS, pc', way.name, [(0, 0), (1, 200)], 0.5, 0.8)
                  for way in firmware.WAYS],
        'balanced': [balancing.Row(way.name, 2, 9, '-', [(0, 0), (1, 9)])
                     for way in balancing.WAYS],
        'conversions': [conversions.Row(direction.name, way.name, pages, 9000, 100)
                        for direction in conversions.DIRECTIONS
                        for way in conversions.WAYS for pages in (1, 512)],
        'bars': [figures.Bar('a bar', '0', '0', True, 'so')], 'missing': []}
    return measure.Results(**(values | others))


class TestDocument(unittest.TestCase):

    def test_shows_each_picture_that_is_drawn(self):
        found = results()
        self.assertEqual(
            sorted(PICTURE.findall(document.text(OPTIONS, found, 'plots'))),
            sorted(pictures.all_of(found, OPTIONS)))

    def test_says_what_was_not_measured(self):
        """And shows no table or picture of it."""
        found = results(boots=[], lines=[], balanced=[], conversions=[],
                        missing=['what NUMA balancing leaves: one node'])
        text = document.text(OPTIONS, found, 'plots')
        self.assertIn('Not measured: what NUMA balancing leaves: one node.', text)
        self.assertNotIn('## What NUMA', text)
        self.assertEqual(sorted(PICTURE.findall(text)),
                         sorted(pictures.all_of(found, OPTIONS)))

    def test_a_real_host_has_times(self):
        self.assertIn('boot, million instructions',
                      document.text(OPTIONS, results(), 'plots'))
        text = document.text(OPTIONS, results(emulated=False), 'plots')
        self.assertIn('boot, ms', text)
        self.assertNotIn("emulator's", text)

    def test_the_one_in_the_tree_has_its_pictures(self):
        text = main.DOCUMENT.read_text(encoding='utf-8')
        self.assertEqual(
            sorted(PICTURE.findall(text)),
            sorted(path.stem for path in (ROOT / 'docs/plots').glob('*')))


class TestPictures(unittest.TestCase):

    def test_shares_that_take_longer(self):
        self.assertEqual(pictures.slower(HISTOGRAM),
                         [(100, 1), (1000, 0.4), (50000, 0.1),
                          (50000, pictures.SMALLEST)])

    def test_each_way_has_a_colour_of_its_own(self):
        """In each panel, so that lines can be told apart."""
        for name, (_, panels) in pictures.all_of(results(), OPTIONS).items():
            for panel in panels:
                styles = [(line.color, line.how) for line in panel.lines]
                self.assertEqual(len(set(styles)), len(styles),
                                 f'{name}, {panel.title}')

    def test_all_points_are_given_to_gnuplot(self):
        for title, panels in pictures.all_of(results(), OPTIONS).values():
            script = gnuplot.script(title, panels)
            for panel in panels:
                for line in panel.lines:
                    for x, y in line.points:
                        self.assertIn(f'\n{x:.6g} {y:.6g}\n', script)

    def test_what_gnuplot_says(self):
        said = SimpleNamespace(returncode=1, stdout='', stderr='no such plot\n')
        with (mock.patch('subprocess.run', return_value=said),
              self.assertRaisesRegex(err.Fail, 'cannot draw x.svg: no such plot')):
            gnuplot.draw(ROOT / 'x.svg', 'title', [gnuplot.Panel('', '', '', [])])


class TestLoop(unittest.TestCase):

    def test_turns_before_and_meanwhile(self):
        """One that began before the memory was ready counts."""
        plug = results().plugs[0]
        self.assertEqual(behind.turns(plug, False), [10])
        self.assertEqual(behind.turns(plug, True), [20, 300])
        late = plug._replace(points=[(-0.1, 5), (0.9, 800)])
        self.assertEqual(behind.turns(late, True), [800])


class TestHost(unittest.TestCase):
    """Which hosts are measured on."""

    def refused(self, sentence, why='', root=True, workers=(1, 2), mib=100):
        options = SimpleNamespace(workers=workers, long_mem=mib, quick=False)
        with (mock.patch('measure.cannot_prefault', return_value=why),
              mock.patch('os.geteuid', return_value=0 if root else 1000),
              self.assertRaisesRegex(err.Fail, f'^--host.*{sentence}')):
            measure.fit_for(options)

    def test_refusals(self):
        self.refused('no /dev/kvm', why='this host has no /dev/kvm')
        self.refused('needs root', root=False)
        self.refused('one CPU', workers=(1,))
        self.refused('MiB of memory are available.*--quick needs less', mib=1 << 40)

    def test_nothing_was_measured_yet(self):
        options = SimpleNamespace(name='none', again=True, command='tests/bench/run')
        with self.assertRaisesRegex(err.Fail, '^--again: nothing was measured yet by '
                                    'tests/bench/run'):
            main.measured(options)


if __name__ == '__main__':
    unittest.main()
