"""A gate between a request and the test: the request waits, the test lets it go on."""

from __future__ import annotations

import threading

LONGEST = 30
"""Seconds; a test that forgets to open the gate fails by its time limit, not by a hung child."""

_open = threading.Event()


def hold() -> None:
    """Wait until the gate is opened."""
    _open.wait(LONGEST)


def release() -> None:
    """Open the gate for good."""
    _open.set()
