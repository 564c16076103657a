"""The worker's pace: short slices, and between requests rather than during them.

Each read and write of a request lets go of the GIL and wants it back, some ten times in all. Each
time it may find the worker at work and wait for the rest of a slice. So the worker looks, before a
slice, whether anybody is being served, and stands aside for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from time import monotonic_ns as clock
from time import sleep
from typing import Final

SLICE_NS: Final = 400_000
"""Shorter ones would find the caches cold, which costs as much as half of a message with traces.

They grow with what is waiting: on a server that never rests the worker gets the GIL back after 5 ms
(sys.getswitchinterval()), and has to get through in one slice what came meanwhile.
"""

PAUSE: Final = 0.00005
"""Seconds that it leaves to the others after a slice; to wake a thread takes some tens of µs."""

LOOK: Final = 0.0005
"""Seconds between two looks at who is being served: a look takes the GIL, too."""

PATIENCE_NS: Final = 2_000_000
PATIENCE_OF_A_ROUND_NS: Final = 60_000_000
"""So long it waits for those who are being served, before a slice and in a round of a tenth of a
second, of which each wait in vain takes away half. A busy server is never without any, a queue that
is never empty is memory for good, and each look costs those who are served the GIL.
"""

_CROWD: Final = 256
"""With more messages waiting it waits for nobody: what it lags behind would be lost one day."""


class Pace:
    """When the worker works.

    `is_serving` says whether a request has just begun in this process, `waiting` how many messages
    there are, and `crowd` how many are too many to wait for anybody.
    """

    def __init__(
        self, is_serving: Callable[[], bool], waiting: Callable[[], int], crowd: int = _CROWD
    ) -> None:
        self.awaited: set[Event] = set()
        """By whom what it does is waited for; then it waits for nobody either."""
        self._is_serving, self._waiting = is_serving, waiting
        self._crowd = max(min(crowd, _CROWD), 1)
        self._until_ns = self._patience_ns = 0

    def begin(self) -> None:
        """Begin a round: with new patience."""
        self._patience_ns = PATIENCE_OF_A_ROUND_NS

    def keep(self) -> None:
        """Call it before each piece of work; it may take a rest."""
        if clock() >= self._until_ns:
            self.rest()

    def rest(self) -> None:
        """Let others have the interpreter, and begin the next slice."""
        sleep(PAUSE)
        began = now = clock()
        until = began + min(PATIENCE_NS, self._patience_ns)
        while now < until and self._has_time() and self._is_serving():
            sleep(LOOK)
            now = clock()
        self._patience_ns -= now - began
        if now >= until:
            self._patience_ns //= 2
        self._until_ns = now + SLICE_NS * (1 + self._waiting() // self._crowd)

    def _has_time(self) -> bool:
        return not self.awaited and self._waiting() <= self._crowd
