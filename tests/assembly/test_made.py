# SPDX-License-Identifier: GPL-2.0-or-later
"""What is made once from its inputs is made again when it has to be."""
import tempfile
import threading
import unittest
from pathlib import Path

from prefaultlib import made


class Ensure(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / 'new' / 'thing'
        self.count = 0

    def make(self):
        self.count += 1
        self.path.write_text(str(self.count))

    def stop(self):
        self.path.write_text('half')
        raise OSError

    def test_made_once(self):
        for _ in range(2):
            made.ensure(self.path, 'a', self.make)
        self.assertEqual(self.count, 1)

    def test_made_again(self):
        """For other inputs, and when it is gone."""
        for key in 'a', 'b', 'a':
            made.ensure(self.path, key, self.make)
        self.path.unlink()
        made.ensure(self.path, 'a', self.make)
        self.assertEqual(self.count, 4)

    def test_what_was_stopped_is_made_again(self):
        """Also with the inputs that it was complete with before."""
        made.ensure(self.path, 'a', self.make)
        with self.assertRaises(OSError):
            made.ensure(self.path, 'b', self.stop)
        made.ensure(self.path, 'a', self.make)
        self.assertEqual(self.path.read_text(), '2')

    def test_two_at_once(self):
        """One makes it, the other waits until it is there."""
        inside, go = threading.Event(), threading.Event()

        def slowly():
            inside.set()
            go.wait(10)
            self.make()

        first = threading.Thread(
            target=made.ensure, args=(self.path, 'a', slowly))
        first.start()
        inside.wait(10)
        second = threading.Thread(
            target=made.ensure, args=(self.path, 'a', self.make))
        second.start()
        second.join(0.2)
        self.assertTrue(second.is_alive())
        go.set()
        first.join(10)
        second.join(10)
        self.assertEqual(self.count, 1)


if __name__ == '__main__':
    unittest.main()
