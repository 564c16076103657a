"""What the worker sleeps by."""

from __future__ import annotations

import threading
from contextlib import suppress


class Bell:
    """Wakes the one who waits for it; rung before, it does not let him sleep.

    An Event would make a lock for each sleep, several times a second.
    """

    def __init__(self) -> None:
        self._silence = threading.Lock()
        self._silence.acquire()

    def ring(self) -> None:
        """Wake the sleeper; any thread may ring, and twice is once."""
        with suppress(RuntimeError):  # somebody has rung already
            self._silence.release()

    def has_rung(self) -> bool:
        """Say whether somebody has, and nobody has woken by it yet."""
        return not self._silence.locked()

    def sleep(self, seconds: float) -> None:
        """Sleep until somebody rings, for at most so many seconds."""
        self._silence.acquire(timeout=seconds)
