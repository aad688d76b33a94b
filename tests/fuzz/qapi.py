# SPDX-License-Identifier: GPL-2.0-or-later
"""What prefault's QMP schema has: its commands and enumerations.

Of qapi/prefault.json: a QMP client cannot ask for types by their names.
"""
import ast
import re

from prefaultlib import paths

SCHEMA = paths.ROOT / 'qapi/prefault.json'
# Of QEMU's own schema
THEIRS = {'OnOffAuto': ['on', 'off', 'auto']}


def expressions():
    """The expressions of the schema, as dictionaries."""
    text = re.sub(r'^\s*#.*', '', SCHEMA.read_text(encoding='utf-8'), flags=re.M)
    text = re.sub(r'\btrue\b', 'True', re.sub(r'\bfalse\b', 'False', text))
    return [ast.literal_eval(one) for one in
            re.split(r'^(?=\{)', text, flags=re.M) if one.strip()]


def commands():
    """{name of a command: {argument: type}}."""
    return {one['command']: one.get('data', {}) for one in expressions()
            if 'command' in one}


def enumerations():
    """{name: values}, with QEMU's own."""
    ours = {one['enum']: [value if isinstance(value, str) else value['name']
                          for value in one['data']]
            for one in expressions() if 'enum' in one}
    return {**THEIRS, **ours}
