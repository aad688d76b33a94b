# SPDX-License-Identifier: GPL-2.0-or-later
"""What was made from which inputs, by one process at a time.

A stamp beside a file or folder says what it was made from; it is written when
that is complete.
"""
import contextlib
import fcntl
import hashlib


def digest(files, words=()):
    """A hash of the files' content and of the words."""
    total = hashlib.sha256(repr([str(word) for word in words]).encode())
    for path in files:
        with open(path, 'rb') as data:
            total.update(hashlib.file_digest(data, 'sha256').digest())
    return total.hexdigest()


def is_stale(path, key):
    """Tell whether path is missing or was made from other inputs."""
    mark = _stamp_of(path)
    return not (path.exists() and mark.exists() and mark.read_text() == key)


def stamp(path, key):
    """Note that path is complete and what it was made from."""
    _stamp_of(path).write_text(key)


def unstamp(path):
    """Note that path is going to change, whatever may stop that."""
    _stamp_of(path).unlink(missing_ok=True)


def _stamp_of(path):
    return path.with_name(path.name + '.stamp')


@contextlib.contextmanager
def locked(path):
    """Only one process at a time makes what lies beside path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w', encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
