"""What each thread does now, and whether threads are still threads."""

from __future__ import annotations

import functools
import logging
import threading
from threading import get_ident
from typing import Final

from tcpwatch.hub.connection import Connection

logger = logging.getLogger("tcpwatch")

_Local = threading.local

_LOOKED_AT: Final = 32
"""A look at more threads would be dear; those that have served for long are mostly idle."""


class Serving:
    """Which connection each thread serves.

    A dictionary by thread, because a thread per connection would make a threading.local build its
    storage for every connection.
    """

    def __init__(self) -> None:
        self.by_thread: dict[int, Connection] = {}
        self.dispatching: dict[int, Connection] = {}
        """By thread, too: the connection that its process_request() is called for."""

    @property
    def connection(self) -> Connection | None:
        """The connection that this thread serves."""
        return self.by_thread.get(get_ident())

    def answers(self, lately: int) -> bool:
        """Say whether one of the youngest threads answers a request begun after `lately` (ns)."""
        for connection in list(self.by_thread.values())[-_LOOKED_AT:]:
            exchange = connection.exchange
            if exchange is not None and exchange.first_byte_ns > lately:
                return True
        return False

    def clear(self) -> None:
        """No thread serves anybody: a process that was just forked has one thread."""
        self.by_thread.clear()
        self.dispatching.clear()


def threads_are_native() -> bool:
    """Say whether threads are still what they were when we were imported.

    gevent's monkey.patch_all() makes them greenlets, and ours would stop them all.
    """
    native = threading.local is _Local
    if not native:
        _say_so()
    return native


@functools.cache
def _say_so() -> None:
    logger.warning(
        "tcpwatch watches nothing: threading was patched (by gevent or eventlet?) after tcpwatch "
        "was imported; patch first, then import tcpwatch"
    )
