"""The keyboard of a terminal, key by key, given back as it was."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Keys(Protocol):
    """Waits for a key for at most so many seconds; returns "" if none came, or none can come."""

    def __call__(self, timeout: float) -> str: ...  # noqa: D102  # described by the class


@contextmanager
def keys() -> Iterator[Keys | None]:
    """Read keys from the standard input as they are pressed; None if it is no terminal."""
    stream = sys.stdin
    if stream is None or not stream.isatty():
        yield None
        return
    number = stream.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    try:
        yield lambda timeout: _pressed(number, timeout)
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _pressed(number: int, timeout: float) -> str:
    ready, _, _ = select.select([number], [], [], timeout)
    return os.read(number, 1).decode(errors="replace") if ready else ""
