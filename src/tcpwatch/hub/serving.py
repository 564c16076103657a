"""What each thread does now, and whether threads are still threads."""

from __future__ import annotations

import functools
import logging
import threading

from tcpwatch.hub.connection import Connection
from tcpwatch.hub.loop import Loop

logger = logging.getLogger("tcpwatch")


class Serving(threading.local):
    """What this thread does: the loop it runs, the connection it accepts, dispatches or serves."""

    loop: Loop | None = None
    accepting: Connection | None = None
    dispatching: Connection | None = None
    connection: Connection | None = None


def threads_are_native() -> bool:
    """Say whether threads are still what they were when we were imported.

    gevent's monkey.patch_all() makes them greenlets, and ours would stop them all.
    """
    native = issubclass(Serving, threading.local)
    if not native:
        _say_so()
    return native


@functools.cache
def _say_so() -> None:
    logger.warning(
        "tcpwatch watches nothing: threading was patched (by gevent or eventlet?) after tcpwatch "
        "was imported; patch first, then import tcpwatch"
    )
