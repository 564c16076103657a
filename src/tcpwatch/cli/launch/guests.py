"""Who relies on a viewer that somebody else has started, and will end: known by a lock.

Who starts a server again, or a second one, finds the viewer of the first and uses it. The first
ends its viewer when it ends itself, but not before those who came to it. A lock ends with the
process that has it, however that ends, so nobody has to be told and nothing grows stale.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def relying(port: int) -> Iterator[None]:
    """Keep the viewer on a port from being ended, within; waits while it is just being ended.

    Raises:
        OSError: the lock's file cannot be made.
    """
    with _locked(port, fcntl.LOCK_SH):
        yield


@contextmanager
def nobody(port: int) -> Iterator[None]:
    """Wait until nobody relies on the viewer on a port; within, nobody begins to.

    Raises:
        OSError: the lock's file cannot be made.
    """
    with _locked(port, fcntl.LOCK_EX):
        yield


def path(port: int) -> Path:
    """Return the lock's file, which is there as long as somebody has it."""
    return Path(tempfile.gettempdir()) / f"tcpwatch-{os.getuid()}-{port}.lock"


@contextmanager
def _locked(port: int, kind: int) -> Iterator[None]:
    file = path(port)
    while True:
        number = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(number, kind)
        if _is(file, number):
            break
        os.close(number)  # who had it before has taken the file away
    try:
        yield
    finally:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(file, number):
                file.unlink()
        os.close(number)


def _is(file: Path, number: int) -> bool:
    try:
        return os.path.samestat(file.stat(follow_symlinks=False), os.fstat(number))
    except FileNotFoundError:
        return False
