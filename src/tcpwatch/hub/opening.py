"""The opening of the way out: inside the first accept, and again later while the process cannot."""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic_ns as clock
from typing import TYPE_CHECKING, Final

from tcpwatch.hub import forks
from tcpwatch.hub.output import Opener, Output

if TYPE_CHECKING:
    from tcpwatch.hub.registry import Hub

_AGAIN_NS: Final = 1_000_000_000

logger = logging.getLogger("tcpwatch")


class Opening:
    """Opens the way out of one hub."""

    def __init__(self, opener: Opener | None = None) -> None:
        self.opener = opener
        self.opened: Callable[[], None] = lambda: None
        """Called whenever a way out has been opened."""
        self.lasts = False
        """Whether it is being opened: a loop waits for us then, and for nobody else."""
        self._again_ns = 0

    def prepare(self, hub: Hub, forking: bool) -> None:
        """Do what is slow before a server listens, or else before its loop begins."""
        if hub.output is None and self.opener is not None:
            self.opener.prepare(hub, forking)

    def open(self, hub: Hub, forking: bool) -> Output | None:
        """Return a way out; None while the process has no thread or descriptor to spare."""
        now = clock()
        if self.opener is None or now < self._again_ns:
            return None
        self.lasts = True
        try:
            output = self.opener(hub, forking)
        except (OSError, RuntimeError) as error:
            self._again_ns = now + _AGAIN_NS
            self.put_off(hub, error)
            return None
        finally:
            self.lasts = False
        if forking:
            forks.make_ready()
        self.opened()
        return output

    def put_off(self, hub: Hub, error: BaseException) -> None:
        """Count what is lost until the next attempt, and say so the first time."""
        hub.post.dropped["not_open"] += 1
        if hub.post.dropped["not_open"] == 1:
            logger.warning(
                "no telemetry yet: %s; the server goes on, we try again each second", error
            )
