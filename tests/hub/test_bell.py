"""What the worker sleeps by."""

from __future__ import annotations

import threading
from time import monotonic

from tcpwatch.hub.bell import Bell

LONG = 30.0


def test_a_ring_wakes_the_sleeper() -> None:
    """From any thread."""
    bell, began = Bell(), monotonic()
    ringing = threading.Thread(target=bell.ring)
    ringing.start()

    bell.sleep(LONG)

    ringing.join()
    assert monotonic() - began < LONG / 2


def test_a_bell_that_has_rung_lets_nobody_sleep_once() -> None:
    """However often it was rung: the next sleep is a sleep again."""
    bell = Bell()
    bell.ring()
    bell.ring()
    assert bell.has_rung()

    began = monotonic()
    bell.sleep(LONG)
    assert monotonic() - began < LONG / 2

    assert not bell.has_rung()
    bell.sleep(0.001)
    assert not bell.has_rung()
