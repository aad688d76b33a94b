# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/qmp.md says what QEMU does: its commands, run in order."""
import json
import re
import unittest
from pathlib import Path

from common import BedTest, RUN_SECONDS, WALKED
import bed

# The first run takes a few seconds; so would, after some progress, the one between
# 'stop' and 'system_reset', which is cut short
SLOW = ('madvise:MADV_POPULATE_WRITE:count=150:delay-ms=60;'
        'madvise:MADV_POPULATE_WRITE:when={}:from=100:delay-ms=200')

PAGE = Path(__file__).resolve().parents[2] / 'docs/qmp.md'

# Samples: compared by type only.
VARYING = {'elapsed-ms', 'rate', 'remaining-ms', 'mapped-now'}
# So are these, unless all is done.
PROGRESS = {'populated', 'mapped'}


def messages():
    """The page's messages: ('->' or '<-', object), in order."""
    blocks = re.findall(r'^```\n(.*?)^```', PAGE.read_text(),
                        re.MULTILINE | re.DOTALL)
    parts = re.split(r'^(->|<-) ', ''.join(blocks), flags=re.MULTILINE)[1:]
    return [(way, json.loads(text))
            for way, text in zip(parts[::2], parts[1::2])]


def fixed(data):
    """What of a message has to be equal; of the rest, the type."""
    done = data.get('status') == 'completed'
    # For a moment after a run that was cut short
    data.pop('threads-left-behind', None)
    # Off here, so that there is a second run to cancel
    data.get('retention', {}).pop('keep', None)
    return {name: type(value).__name__
            if name in VARYING or name in PROGRESS and not done else value
            for name, value in data.items()}


class QmpPage(BedTest):

    maxDiff = None

    def test_examples(self):
        self.slow = self.trigger()
        self.qemu = self.guest(WALKED, mem='2G', wait=True,
                               inject=SLOW.format(self.slow))
        said = messages()
        self.assertGreater(len(said), 30)
        last_ns = 0
        while said:
            way, message = said.pop(0)
            with self.subTest(message=message):
                if way == '->':
                    last_ns = self.command(message, said.pop(0)[1])
                else:
                    self.event(message, last_ns)

    def command(self, message, expected):
        """Send a command, compare the answer; returns when it was sent."""
        if message['execute'] == 'stop':
            self.machine.write(self.slow, '')
        elif message['execute'] == 'system_reset':
            self.put_away(self.slow)
        try:
            answer = self.qemu.qmp(message['execute'])
        except bed.QmpError as error:
            self.assertEqual({'error': {'class': error.qmp_class,
                                        'desc': str(error)}}, expected)
            return self.machine.now_ns()
        self.assertEqual(fixed(answer.value), fixed(expected['return']))
        return answer.sent_ns

    def event(self, message, since_ns):
        """Wait for an event, compare its data."""
        event = self.qemu.wait_event(message['event'], RUN_SECONDS, since_ns)
        self.assertEqual(fixed(event.data or {}),
                         fixed(message.get('data', {})))


if __name__ == '__main__':
    unittest.main()
