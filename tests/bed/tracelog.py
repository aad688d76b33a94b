# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's trace events in a log that `-msg timestamp=on` was given for."""
import re
from datetime import datetime

# When: as ISO has it, or in QEMU 10.0 PID@SECONDS
LINE = re.compile(r'^(?:\d+@)?(\S+?)(?:Z |:)(\w+) (.*)$', re.M)


def events(text):
    """[(seconds, event, what it says)], the clock's beginning is unknown."""
    return [(datetime.fromisoformat(when).timestamp() if 'T' in when
             else float(when), event, said)
            for when, event, said in LINE.findall(text)]
