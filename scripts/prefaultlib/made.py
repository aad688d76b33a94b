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


@contextlib.contextmanager
def locked(path):
    """Only one process at a time makes what lies beside path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, 'w', encoding='ascii') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure(path, key, make):
    """Make path, a file or folder, unless it was made with this key.

    One process at a time does; whatever stops @make, path is made again.
    @make: function without arguments
    """
    mark = path.with_name(path.name + '.stamp')
    with locked(path.with_name(path.name + '.lock')):
        if path.exists() and mark.exists() and mark.read_text() == key:
            return
        mark.unlink(missing_ok=True)
        make()
        mark.write_text(key)
