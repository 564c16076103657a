"""Whether the machine itself was late: a thread on each processor that wakes all the time."""

from __future__ import annotations

import os
import threading
import time

BEAT = 0.002
LATE = 0.003
"""Seconds of delay from which on somebody else had the processor."""


class Metronome:
    """Notes, while the context lasts, when a processor was taken from those who were due on it."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._late: list[tuple[float, float]] = []
        self._threads = [
            threading.Thread(target=self._beat, args=(processor,))
            for processor in os.sched_getaffinity(0)
        ]

    def __enter__(self) -> Metronome:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _beat(self, processor: int) -> None:
        os.sched_setaffinity(0, {processor})  # of this thread alone
        due = time.monotonic() + BEAT
        while not self._over.is_set():
            time.sleep(max(due - time.monotonic(), 0))
            now = time.monotonic()
            if now - due > LATE:
                self._late.append((due, now))
            due = now + BEAT

    def disturbed(self, began: float, ended: float) -> bool:
        """Say whether a processor was late between two moments of the monotonic clock."""
        return any(since < ended and until > began for since, until in self._late)
