# SPDX-License-Identifier: GPL-2.0-or-later
"""The document and the pictures of a measurement, from results that are made up."""
import pickle
import re
import tempfile
import unittest
from pathlib import Path
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


def sweep(first=100):
    """One whose histogram begins elsewhere for each way."""
    return bed.Sweep(1, 10, 0, 100, 1000, 50000, 53600, 5,
                     {first: 6, 1000: 3, 50000: 1})


def results(**others):
    """Those of a bed, with other values for some of them."""

    def took(way):
        return start.Start(100 * MS, 50 * MS, 3, 4, sweep(100 + WAYS.index(way)))

    values = {
        'machine': 'made up', 'emulated': True,
        'rows': [matrix.Row(kind, way, workers, took(way), 0)
                 for kind in (memory.FOUR_KIB, memory.GUEST_MEMFD) for way in WAYS
                 for workers in ((1,) if way is start.OFF else (1, 2))],
        'starts': [threads.Starts(memory.HUGE, way, workers, [5, WAYS.index(way)])
                   for way in WAYS for workers in (1, 2)],
        'firsts': [behind.First(way.name, sweep(), 7)
                   for way in (start.OFF, behind.BACKGROUND, start.OURS)],
        'plugs': [behind.Plug(way.name, [(-0.5, 10), (0.1, 20), (0.4, 300), (1, 12)],
                              0.5) for way in behind.DIMMS],
        'left': [firmware.Row('SeaBIOS, pc', way.name, 24, 200, 1, 500, 97 * MS)
                  for way in firmware.WAYS],
        'boots': [firmware.Boot('SeaBIOS, pc', way.name, [(0, 0), (1, 200)], 0.8)
                  for way in firmware.WAYS],
        'balanced': [balancing.Row(way.name, 2, 9, '-', [(0, 0), (1, 9)])
                     for way in balancing.WAYS],
        'converted': [conversions.Row(direction.name, way.name, pages, 9000, 100)
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
        found = results(left=[], boots=[], balanced=[], converted=[],
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
        named = sorted(PICTURE.findall(text))
        self.assertEqual(named, sorted(pictures.all_of(results(), OPTIONS)))
        self.assertEqual(named, sorted(
            path.stem for path in (ROOT / 'docs/plots').glob('*')))


class TestPictures(unittest.TestCase):

    def test_shares_that_take_longer(self):
        """A point's share is that of all cycles since the point before."""
        points = pictures.slower(HISTOGRAM)
        for cycles, share in (500, 0.4), (1000, 0.4), (1001, 0.1), (50000, 0.1):
            at = next(y for x, y in points if x >= cycles)
            self.assertEqual(at, share, cycles)
        self.assertEqual(points[-1], (50000, pictures.SMALLEST))

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
            for number, panel in enumerate(panels):
                for i, line in enumerate(panel.lines):
                    self.assertIn(f'$d{number}_{i} << EOD\n' + ''.join(
                        f'{x:.6g} {y:.6g}\n' for x, y in line.points) + 'EOD\n',
                                  script)
                    self.assertIn(f'$d{number}_{i} using 1:2 with {line.how} ', script)

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

    def test_workers(self):
        self.assertEqual([measure.workers_of(cpus) for cpus in (1, 2, 12, 64)],
                         [(1,), (1, 2), (1, 2, 4, 8), (1, 2, 4, 8, 16, 32)])

    def test_a_part_that_fails_is_told(self):
        """The others are measured all the same."""
        def broken(_machine, _options):
            """What breaks."""
            raise OSError(2, 'no such knob')

        def works(_machine, _options):
            """What works."""
            return {'plugs': [1]}

        parts = ((broken, None), (works, lambda machine: 'not here'), (works, None))
        with (mock.patch('quiet.Host'), mock.patch('document.machine_text'),
              mock.patch('measure.kinds_of'), mock.patch('measure.PARTS_OF_HOST', parts)):
            found = measure.host(SimpleNamespace())
        self.assertEqual(found.missing, ['What breaks: [Errno 2] no such knob',
                                         'What works: not here'])
        self.assertEqual(found.plugs, [1])
        self.assertEqual(found.rows, [])


class Knobs:
    """A machine that has knobs, and nothing else."""

    def __init__(self, **files):
        self.files = files

    def read(self, path):
        return self.files[path]

    def write(self, path, text):
        self.files[path] = text


class TestKnobs(unittest.TestCase):

    def test_are_put_back(self):
        machine = Knobs(thp='always [madvise] never\n', pages='7\n')
        with self.assertRaises(KeyboardInterrupt):
            with memory.knob(machine, 'thp', 'never'), memory.knob(machine, 'pages', 9):
                self.assertEqual(machine.files, {'thp': 'never', 'pages': '9'})
                raise KeyboardInterrupt
        self.assertEqual(machine.files, {'thp': 'madvise', 'pages': '7'})

    def test_the_pool_never_shrinks(self):
        for total, free, wanted in (0, 0, 128), (300, 200, 300), (300, 100, 328):
            machine = Knobs(**{memory.HUGE_PAGES: f'{total}\n',
                               '/proc/meminfo': f'HugePages_Free:   {free}\n'})
            self.assertEqual(memory.pool_for(machine, 256), wanted)


class TestAgain(unittest.TestCase):

    def test_results_that_are_not_there(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / 'results'
            options = SimpleNamespace(results=path, command='tests/bench/run')
            with self.assertRaisesRegex(err.Fail, '^--again: there is no .*results: '
                                        'tests/bench/run makes it'):
                main.kept(options)
            path.write_bytes(pickle.dumps((1, 2)))
            with self.assertRaisesRegex(err.Fail, 'of another version: measure again'):
                main.kept(options)
            path.write_bytes(pickle.dumps(tuple(results())))
            self.assertEqual(main.kept(options), results())


if __name__ == '__main__':
    unittest.main()
